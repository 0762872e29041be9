/// The HTTP/1.1 text of a response head, made from the fields of an HTTP/2 header block as they come (RFC 9113 section
/// 8.3.2). Where a WebSocket was asked for (RFC 8441), success is the upgrade that it stands for. Only the first fault
/// is kept; after it nothing is written, but the octets are still counted.
public struct ResponseText {
    private let limits: MessageLimits
    private let accept: WebSocketAccept?
    private var writer: HeadWriter
    private var fields = 0
    private var hasLength = false
    private var givenOctets = 0
    /// Why this cannot be a response.
    public private(set) var fault: MessageError?
    /// As it came; 0 until `:status` has come.
    public private(set) var status = 0
    /// The stream is a WebSocket from here on.
    public var isTunnel: Bool { accept != nil && status / 100 == 2 }

    /// Octets of text so far.
    public var count: Int { writer.count }

    public var listOctets: Int { givenOctets }

    /// - Parameters:
    ///   - capacity: of the memory at `base`.
    ///   - accept: the answer to the key that asked for a WebSocket; `nil`: nobody did.
    public init(
        _ base: UnsafeMutableRawPointer, capacity: Int, limits: MessageLimits, accept: WebSocketAccept? = nil
    ) {
        self.limits = limits
        self.accept = accept
        writer = HeadWriter(base, capacity: capacity)
    }

    /// Takes the next field; `:status` is the first.
    public mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        givenOctets += name.count + value.count + 32
        guard fault == nil else { return }
        if name.first == Octets.colon {
            fault = begin(name, value)
            return
        }
        guard status > 0 else {
            fault = .badStatusLine
            return
        }
        fields += 1
        guard fields <= limits.fields else {
            fault = .tooManyFields
            return
        }
        switch BlockField(name) {
        case .connectionSpecific: fault = .badFieldName
        case .contentLength:
            guard !isTunnel else { return }
            hasLength = true
            fault = writer.appendLine(name, value)
        case .webSocketAccept: if !isTunnel { fault = writer.appendLine(name, value) }
        case .plain, .cookie, .host, .te, .webSocketKey: fault = writer.appendLine(name, value)
        }
    }

    private mutating func begin(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> MessageError? {
        guard status == 0, Octets.equal(name, ":status"), value.count == 3, value.allSatisfy({ Octets.isDigit($0) })
        else { return .badStatusLine }
        let code = value.reduce(0) { $0 * 10 + Int($1 &- 48) }
        // An upgrade is not HTTP/2's (RFC 9113 section 8.6).
        guard (100..<600).contains(code), code != 101 else { return .badStatusLine }
        status = code
        if isTunnel, let accept {
            writer.append("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n")
            accept.withText { writer.appendField("sec-websocket-accept: ", $0) }
            return nil
        }
        writer.append("HTTP/1.1 ")
        writer.append(value)
        writer.append(" \r\n")
        return nil
    }

    /// Ends the head.
    ///
    /// - Parameters:
    ///   - hasBody: data or trailers follow.
    ///   - toHead: the request was HEAD.
    /// - Returns: whether the body is to be rendered in chunks: nothing told how long it is.
    public mutating func finish(hasBody: Bool, toHead: Bool) -> Bool {
        if status == 0, fault == nil { fault = .badStatusLine }
        guard fault == nil else { return false }
        let hasNone = isTunnel || toHead || status < 200 || status == 204 || status == 304
        let isChunked = hasBody && !hasLength && !hasNone
        if isChunked {
            writer.append("transfer-encoding: chunked\r\n")
        } else if !hasBody, !hasLength, !hasNone {
            writer.append("content-length: 0\r\n")
        }
        writer.append("\r\n")
        if writer.hasOverflowed || writer.count > limits.headBytes { fault = .headTooLarge }
        return isChunked && fault == nil
    }
}
