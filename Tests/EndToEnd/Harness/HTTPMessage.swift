import Glibc

struct HTTPField: Sendable, CustomStringConvertible {
    let name: String
    let value: String

    var description: String { "\(name): \(value)" }
}

/// Start line and fields of a message, read strictly.
struct HTTPHead: Sendable {
    let startLine: String
    let fields: [HTTPField]
    let raw: [UInt8]

    func values(_ name: String) -> [String] {
        let wanted = name.lowercased()
        return fields.filter { $0.name.lowercased() == wanted }.map(\.value)
    }

    /// The only value of `name`, the first when there are several.
    subscript(_ name: String) -> String? { values(name).first }

    /// Members of a comma list spread over any number of fields, lower case.
    func list(_ name: String) -> [String] {
        values(name).flatMap { $0.split(separator: ",") }.map { $0.trimmed.lowercased() }.filter { !$0.isEmpty }
    }
}

struct HTTPResponse: Sendable {
    let head: HTTPHead
    let status: Int
    let body: [UInt8]
    let trailers: [HTTPField]
    /// Heads of 1xx answers that came before.
    let interim: [HTTPHead]
    /// The body ended with the connection.
    let endedByClose: Bool

    var text: String { String(decoding: body, as: UTF8.self) }
    var instance: String? { head["X-Instance"] }
    var proxyStatus: String? { head["Proxy-Status"] }

    /// Whether meshd itself made this answer, for this reason (any reason when `nil`).
    func isMade(because error: String? = nil) -> Bool {
        guard let proxyStatus, proxyStatus.hasPrefix("meshd") else { return false }
        return error.map { proxyStatus.contains("error=\($0)") } ?? proxyStatus.contains("error=")
    }
}

enum BodyFraming: Equatable {
    case none, chunked, untilClose
    case length(Int)
}

extension StringProtocol {
    var trimmed: String {
        var part = self[...]
        while let first = part.first, first == " " || first == "\t" { part = part.dropFirst() }
        while let last = part.last, last == " " || last == "\t" { part = part.dropLast() }
        return String(part)
    }
}

/// Reads HTTP/1.1 messages with no tolerance at all (RFC 9112): what meshd writes must be beyond doubt.
extension Connection {
    func readHead() throws(ReadError) -> HTTPHead {
        let start = try readLine()
        var raw = start + [13, 10]
        let fields = try readFields(into: &raw)
        return HTTPHead(startLine: String(decoding: start, as: UTF8.self), fields: fields, raw: raw)
    }

    /// Field lines up to and with the empty one.
    func readFields(into raw: inout [UInt8]) throws(ReadError) -> [HTTPField] {
        var fields: [HTTPField] = []
        while true {
            let line = try readLine()
            raw += line + [13, 10]
            if line.isEmpty { return fields }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0,
                line[..<colon].allSatisfy(Self.isToken),
                line[colon...].allSatisfy({ $0 >= 32 && $0 != 127 || $0 == 9 })
            else { throw .malformed("field line \"\(String(decoding: line, as: UTF8.self))\"") }
            let name = String(decoding: line[..<colon], as: UTF8.self)
            let value = String(decoding: line[(colon + 1)...], as: UTF8.self).trimmed
            fields.append(HTTPField(name: name, value: value))
        }
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// The framing a message says it has; `fallback` when it says nothing.
    static func framing(_ head: HTTPHead, fallback: BodyFraming) throws(ReadError) -> BodyFraming {
        let codings = head.values("Transfer-Encoding")
        let lengths = head.values("Content-Length")
        if let coding = codings.first {
            guard codings.count == 1, coding.lowercased() == "chunked", lengths.isEmpty else {
                throw .malformed("Transfer-Encoding \(codings), Content-Length \(lengths)")
            }
            return .chunked
        }
        guard let length = lengths.first else { return fallback }
        guard lengths.count == 1, length.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(length) else {
            throw .malformed("Content-Length \(lengths)")
        }
        return .length(count)
    }

    func readBody(_ framing: BodyFraming) throws(ReadError) -> (bytes: [UInt8], trailers: [HTTPField]) {
        switch framing {
        case .none: return ([], [])
        case .length(let count): return (try readExactly(count), [])
        case .untilClose: return (try readToEnd(), [])
        case .chunked: return try readChunks()
        }
    }

    private func readChunks() throws(ReadError) -> (bytes: [UInt8], trailers: [HTTPField]) {
        var bytes: [UInt8] = []
        while true {
            let line = String(decoding: try readLine(), as: UTF8.self)
            let digits = line.prefix { $0 != ";" }.trimmed
            guard (1...15).contains(digits.utf8.count), digits.allSatisfy({ $0.isHexDigit }),
                let size = Int(digits, radix: 16)
            else { throw .malformed("chunk size \"\(line)\"") }
            if size == 0 { break }
            bytes += try readExactly(size)
            guard try readExactly(2) == [13, 10] else { throw .malformed("no CRLF after a chunk") }
        }
        var raw: [UInt8] = []
        return (bytes, try readFields(into: &raw))
    }
}
