/// How long a message's body is (RFC 9112 section 6.3).
public enum Framing: Equatable, Sendable {
    case none
    case length(UInt64)
    case chunked
    /// A response that ends with its connection.
    case untilClose
}

/// What the Connection header and its relatives ask for.
public struct ConnectionOptions: OptionSet, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let close = ConnectionOptions(rawValue: 1)
    public static let keepAlive = ConnectionOptions(rawValue: 2)
    /// Connection names Upgrade and an Upgrade field is there.
    public static let upgrade = ConnectionOptions(rawValue: 4)
    public static let expectContinue = ConnectionOptions(rawValue: 8)
    /// TE names `trailers`.
    public static let acceptsTrailers = ConnectionOptions(rawValue: 16)
    /// Content-Type is gRPC's.
    public static let grpc = ConnectionOptions(rawValue: 32)
}

/// What the fields of a head say about framing and the connection, gathered in one pass.
struct FramingFields {
    var options: ConnectionOptions = []
    var contentLength: UInt64?
    var hasTransferEncoding = false
    var isChunked = false
    var host: Int32 = -1
    var upgrade: Int32 = -1
    /// Nanoseconds; 0: none.
    var grpcTimeout: UInt64 = 0
    /// An Expect field asks for something else than `100-continue`. No contradiction: a response may hold anything
    /// there.
    var hasUnknownExpectation = false
    private var namesUpgrade = false

    /// Fails at the first contradiction; nothing is repaired.
    mutating func read(_ table: inout FieldTable, _ base: UnsafePointer<UInt8>) -> MessageError? {
        for index in 0..<table.count {
            let field = table.fields[index]
            if field.known == .other { continue }
            let value = field.value.bytes(in: base)
            switch field.known {
            case .contentLength: if let error = readLength(value) { return error }
            case .transferEncoding: if let error = readTransferEncoding(value) { return error }
            case .connection: readConnection(value, &table, base)
            case .host:
                guard host < 0 else { return .repeatedHost }
                host = Int32(index)
            // An upgrade to HTTP/2 is not offered any more (RFC 9113 section 3.1); the request is one of HTTP/1.1.
            case .upgrade: if !Octets.equal(value, "h2c") { upgrade = Int32(index) }
            case .expect:
                if Octets.equal(value, "100-continue") {
                    options.insert(.expectContinue)
                } else {
                    hasUnknownExpectation = true
                }
            case .te: readTE(value)
            case .contentType: if GRPC.isContentType(value) { options.insert(.grpc) }
            case .grpcTimeout: grpcTimeout = GRPC.timeout(value) ?? 0
            default: break
            }
        }
        if namesUpgrade && upgrade >= 0 { options.insert(.upgrade) }
        return hasTransferEncoding && contentLength != nil ? .lengthAndTransferEncoding : nil
    }

    private mutating func readLength(_ value: UnsafeRawBufferPointer) -> MessageError? {
        guard contentLength == nil else { return .repeatedContentLength }
        // Nineteen digits fit.
        guard value.count > 0, value.count <= 19 else { return .badContentLength }
        var length: UInt64 = 0
        for byte in value {
            guard Octets.isDigit(byte) else { return .badContentLength }
            length = length &* 10 &+ UInt64(byte &- 48)
        }
        // What the next reader may take for a negative number is not passed on.
        guard length <= UInt64(Int64.max) else { return .badContentLength }
        contentLength = length
        return nil
    }

    /// `chunked` alone: no other coding is spoken between proxies, and a second `chunked` is an attack.
    private mutating func readTransferEncoding(_ value: UnsafeRawBufferPointer) -> MessageError? {
        guard !hasTransferEncoding else { return .badTransferEncoding }
        hasTransferEncoding = true
        var members = 0
        var chunked = 0
        var lastIsChunked = false
        Octets.forEachMember(value) { member in
            members += 1
            lastIsChunked = Octets.equal(member, "chunked")
            if lastIsChunked { chunked += 1 }
        }
        isChunked = members == 1 && lastIsChunked
        if isChunked { return nil }
        // Without `chunked` at the very end nobody can tell where the body ends (RFC 9112 section 6.3).
        return members == 0 || chunked > 1 || chunked == 1 && !lastIsChunked
            ? .badTransferEncoding : .unknownTransferEncoding
    }

    private mutating func readConnection(
        _ value: UnsafeRawBufferPointer, _ table: inout FieldTable, _ base: UnsafePointer<UInt8>
    ) {
        // Most say just one of these.
        if Octets.equal(value, "keep-alive") { return options.formUnion(.keepAlive) }
        if Octets.equal(value, "close") { return options.formUnion(.close) }
        var seen: ConnectionOptions = []
        var sawUpgrade = false
        Octets.forEachMember(value) { member in
            if Octets.equal(member, "close") {
                seen.insert(.close)
            } else if Octets.equal(member, "keep-alive") {
                seen.insert(.keepAlive)
            } else if Octets.equal(member, "upgrade") {
                sawUpgrade = true
            } else {
                table.drop(named: member, base)
            }
        }
        options.formUnion(seen)
        if sawUpgrade { namesUpgrade = true }
    }

    private mutating func readTE(_ value: UnsafeRawBufferPointer) {
        var trailers = false
        Octets.forEachMember(value) { member in if Octets.equal(member, "trailers") { trailers = true } }
        if trailers { options.insert(.acceptsTrailers) }
    }
}
