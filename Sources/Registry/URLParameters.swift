import Reactor

/// What stands behind the `?` of a registry's URL: `NAME=VALUE` joined by `&`, values percent-encoded.
struct URLParameters {
    private var values: [String: String] = [:]
    private let scheme: String

    /// - Parameters:
    ///   - text: without the `?`; may be empty.
    ///   - known: names that the registry takes.
    init(_ text: Substring, of scheme: String, known: [String]) throws(RegistryURL.Problem) {
        self.scheme = scheme
        for part in text.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(pair[0])
            guard known.contains(name) else {
                let list = known.joined(separator: ", ")
                throw problem("\(OneLine.quoted(name)) is no parameter; there are \(list)")
            }
            guard pair.count == 2, !pair[1].isEmpty else { throw problem("\(name) has no value") }
            guard values[name] == nil else { throw problem("\(name) is given twice") }
            values[name] = try Self.decoded(pair[1], name, of: scheme)
        }
    }

    subscript(name: String) -> String? { values[name] }

    func problem(_ message: String) -> RegistryURL.Problem { RegistryURL.Problem(message: "\(scheme): \(message)") }

    /// Percent-decoding (RFC 3986 section 2.1).
    static func decoded(_ text: Substring, _ what: String, of scheme: String) throws(RegistryURL.Problem) -> String {
        var octets: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                octets.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, !digits.hasPrefix("+"), let value = UInt8(digits, radix: 16) else {
                let message = "a '%' in \(what) is not followed by two hexadecimal digits"
                throw RegistryURL.Problem(message: "\(scheme): \(message)")
            }
            octets.append(value)
            rest = rest.dropFirst(2)
        }
        guard let result = String(validating: octets, as: UTF8.self), octets.count <= 1_024,
            octets.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { throw RegistryURL.Problem(message: "\(scheme): \(what) is no text of up to 1024 bytes") }
        return result
    }
}

/// Where a registry's password is. Its text is never part of a message.
public enum RegistryPassword: Hashable, Sendable {
    case text(String)
    /// The file's first line, read for each login.
    case file(path: String)
    /// A variable of the environment.
    case environment(name: String)

    static let parameters = ["password-file", "password-env"]

    /// - Parameter text: the one in the URL itself.
    init?(_ parameters: URLParameters, text: String?) throws(RegistryURL.Problem) {
        let file = parameters["password-file"]
        let name = parameters["password-env"]
        guard [text, file, name].count(where: { $0 != nil }) <= 1 else {
            throw parameters.problem("the password is given twice")
        }
        if let text {
            self = .text(text)
        } else if let file {
            self = .file(path: file)
        } else if let name {
            self = .environment(name: name)
        } else {
            return nil
        }
    }

    /// - Throws: why there is none.
    func read() throws(TextFault) -> String {
        switch self {
        case .text(let text): return text
        case .environment(let name):
            guard let text = Process.environment(name) else { throw TextFault("password-env \(name) is not set") }
            return text
        case .file(let path):
            let bytes: [UInt8]
            do throws(SystemError) {
                bytes = try FileBytes.read(path, limit: 4_096)
            } catch {
                throw TextFault("password-file \(path): \(SystemError.text(error.code))")
            }
            let line = bytes.prefix { $0 != 0x0a && $0 != 0x0d }
            guard !line.isEmpty else { throw TextFault("password-file \(path): its first line is empty") }
            return String(decoding: line, as: UTF8.self)
        }
    }
}
