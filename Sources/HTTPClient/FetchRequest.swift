public import HTTPCodec
public import NetAddress
public import Reactor

/// One HTTP/1.1 request on a connection of its own, which asks the server to close behind the response.
public struct FetchRequest {
    /// What a request over TLS needs.
    public struct TLS {
        let context: TLSClientContext?
        let name: String
        let engine: TLSEngine
        let sessionKey: UInt64?

        /// - Parameters:
        ///   - context: `nil`: the fetch fails.
        ///   - name: asked for, and looked for in the server's certificate; a name or an IP address.
        ///   - engine: of the loop that the fetch runs on.
        ///   - sessionKey: names the server among those whose sessions the engine keeps; `nil`: none is kept.
        public init(_ context: TLSClientContext?, name: String, _ engine: TLSEngine, sessionKey: UInt64? = nil) {
            self.context = context
            self.name = name
            self.engine = engine
            self.sessionKey = sessionKey
        }
    }

    public enum Target: Hashable, Sendable {
        case tcp(SocketAddress)
        case unix(path: String)
    }

    public var target: Target
    /// `nil`: in clear.
    public var tls: TLS?
    /// A token (RFC 9110 section 9.1), in its own case.
    public var method: String
    /// The request target in origin form (RFC 9112 section 3.2.1): begins with `/`, already percent-encoded.
    public var path: String
    /// The Host field's value.
    public var host: String
    /// Further fields. Host, Connection and the framing fields are written by the fetch and do not belong here.
    public var headers: [(name: String, value: String)]
    /// `nil`: no body and no Content-Length.
    public var body: [UInt8]?
    /// Bytes in front of the request: a PROXY header.
    public var preamble: [UInt8] = []
    /// From the start of dialling to the end of the response.
    public var timeoutNanoseconds: UInt64
    /// The largest response body in bytes; a larger one fails the fetch.
    public var bodyLimitBytes: Int
    /// `false`: the fetch ends behind the response's head, whatever body follows.
    public var keepsBody: Bool

    public init(
        _ method: String, _ path: String, to target: Target, host: String,
        headers: [(name: String, value: String)] = [], body: [UInt8]? = nil, timeoutNanoseconds: UInt64,
        bodyLimitBytes: Int = 1 << 20, keepsBody: Bool = true
    ) {
        self.target = target
        self.method = method
        self.path = path
        self.host = host
        self.headers = headers
        self.body = body
        self.timeoutNanoseconds = timeoutNanoseconds
        self.bodyLimitBytes = bodyLimitBytes
        self.keepsBody = keepsBody
    }
}

/// What a fetch was busy with.
public enum FetchPhase: String, Sendable {
    case connect, handshake, request, head, body
}

public enum FetchFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case connectFailed(SystemError)
    case timedOut(FetchPhase)
    /// The TLS handshake failed, or the server ended TLS with an alert, in OpenSSL's words.
    case tlsFailed(reason: String)
    /// There is no context for TLS: its authorities cannot be used.
    case noTLS
    /// The response breaks HTTP/1.1, or the request would have.
    case malformed(MessageError)
    /// The server ended the connection before the response was whole.
    case closedEarly
    case bodyTooLarge
    /// The loop's buffer pool is at its limit.
    case outOfBuffers

    /// Whether this node's own want is the cause, so that nothing is said about the server.
    public var isLocal: Bool {
        switch self {
        case .connectFailed(let error): error.isLocal
        case .outOfBuffers, .noTLS: true
        default: false
        }
    }

    public var description: String {
        switch self {
        case .connectFailed(let error): SystemError.text(error.code).lowercasedFirst
        case .timedOut(let phase): "timed out (\(phase))"
        case .malformed(let error): "\(error.reason)"
        case .closedEarly: "connection closed early"
        case .tlsFailed(let reason): "TLS: \(reason)"
        case .noTLS: "the authorities for TLS cannot be used"
        case .bodyTooLarge: "response body too large"
        case .outOfBuffers: "out of buffers"
        }
    }
}

public enum FetchResult: Equatable, Sendable {
    /// - Parameters:
    ///   - status: 101, or 200...599.
    ///   - body: without its transfer coding; empty where the request does not keep it.
    case response(status: Int, body: [UInt8])
    case failed(FetchFailure)
}

extension SystemError {
    /// Whether a failed dial is for want of something on this node: descriptors, memory, ports.
    public var isLocal: Bool { isShortage }
}

extension String {
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}

// MARK: - Bytes

extension FetchRequest {
    /// Head and body as they go out.
    ///
    /// Fails where a part would change what the request says: text from a label or a file must not smuggle a line in.
    func encoded() throws(MessageError) -> [UInt8] {
        guard !method.isEmpty, method.utf8.allSatisfy(Self.isTokenOctet) else { throw .badMethod }
        guard path.utf8.first == UInt8(ascii: "/"), path.utf8.allSatisfy(Self.isTargetOctet) else { throw .badTarget }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw .badHost }
        var text = "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\nAccept: */*\r\nConnection: close\r\n"
        for (name, value) in headers {
            guard !name.isEmpty, name.utf8.allSatisfy(Self.isTokenOctet) else { throw .badFieldName }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else { throw .badFieldValue }
            text += "\(name): \(value)\r\n"
        }
        if let body { text += "Content-Length: \(body.count)\r\n" }
        text += "\r\n"
        return preamble + Array(text.utf8) + (body ?? [])
    }

    /// RFC 9110 section 5.6.2.
    private static func isTokenOctet(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private static func isTargetOctet(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "#")
    }
}
