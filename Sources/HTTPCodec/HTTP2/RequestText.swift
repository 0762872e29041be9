/// The HTTP/1.1 text of a request head, made from the fields of an HTTP/2 header block as they come.
///
/// The pseudo-header fields wait at the end of the memory until the first other field shows that they are complete:
/// their order is free, that of a request line is not. Only the first fault is kept; after it nothing is written, but
/// the octets are still counted. An extended CONNECT for a WebSocket (RFC 8441) becomes the upgrade that it stands for,
/// with a key of our own. The text is then parsed like any other head, so this looks only at what cannot be
/// told from the text any more.
public struct RequestText {
    private let base: UnsafeMutableRawPointer
    private let limits: MessageLimits
    private var writer: HeadWriter
    /// Start of the pseudo-header fields' values, which end at the capacity.
    private var tail: Int
    private var method = ByteRange.empty
    private var path = ByteRange.empty
    private var authority = ByteRange.empty
    private var tunnel = ByteRange.empty
    private var isBegun = false
    /// Where the authority's text begins.
    private var authorityStart = 0
    private var fields = 0
    private var cookieEnd = -1
    private var hasLength = false
    private var hasHost = false
    private var acceptsTrailers = false
    private var givenOctets = 0
    /// Why this cannot be a request.
    public private(set) var fault: MessageError?
    public private(set) var isHead = false
    /// It asks for a WebSocket.
    public private(set) var isTunnel = false

    /// Octets of text so far.
    public var count: Int { writer.count }

    /// Octets of all fields as HTTP/2 counts them: 32 more for each (RFC 9113 section 6.5.2).
    public var listOctets: Int { givenOctets }

    /// - Parameter capacity: of the memory at `base`; what the target and the authority take is needed twice.
    public init(_ base: UnsafeMutableRawPointer, capacity: Int, limits: MessageLimits) {
        self.base = base
        self.limits = limits
        writer = HeadWriter(base, capacity: capacity)
        tail = capacity
    }

    /// Takes the next field. Pseudo-header fields behind others are a fault.
    public mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        givenOctets += name.count + value.count + 32
        guard fault == nil else { return }
        if name.first == Octets.colon {
            fault = isBegun ? .badFieldName : keep(name, value)
            return
        }
        if !isBegun { begin() }
        guard fault == nil else { return }
        fields += 1
        guard fields <= limits.fields else {
            fault = .tooManyFields
            return
        }
        switch BlockField(name) {
        case .plain, .webSocketAccept: fault = writer.appendLine(name, value)
        case .webSocketKey: if !isTunnel { fault = writer.appendLine(name, value) }
        case .cookie: fault = appendCookie(name, value)
        case .host: fault = checkHost(name, value)
        case .contentLength:
            hasLength = true
            // What follows is no content (RFC 9110 section 9.3.6).
            fault = isTunnel ? .badContentLength : writer.appendLine(name, value)
        case .te: acceptsTrailers = Octets.equal(value, "trailers")
        case .connectionSpecific: fault = .badFieldName
        }
    }

    /// What came of a request's method, authority and path, for whoever wants to tell of it; empty where nothing did.
    /// Valid as long as nothing else is written to the memory.
    public var seen: (method: UnsafeRawBufferPointer, authority: UnsafeRawBufferPointer, path: UnsafeRawBufferPointer) {
        // Before the request line is written they wait at the end.
        guard writer.count > 0 else { return (method.bytes(in: base), authority.bytes(in: base), path.bytes(in: base)) }
        func written(_ start: Int, _ length: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: base + start, count: start + length <= writer.count ? length : 0)
        }
        let methodLength = isTunnel ? 3 : Int(method.count)
        return (
            written(0, methodLength), written(authorityStart, Int(authority.count)),
            written(methodLength + 1, Int(path.count))
        )
    }

    // MARK: - Pseudo-header fields

    private mutating func keep(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> MessageError? {
        // What waits at the end must not meet the text, which is not begun.
        guard value.count <= tail, value.count <= limits.headBytes else {
            return Octets.equal(name, ":path") ? .targetTooLong : .headTooLarge
        }
        let start = tail - value.count
        let range = ByteRange(start, tail)
        func isFirst(_ present: ByteRange) -> Bool { present.isEmpty && !value.isEmpty }
        if Octets.equal(name, ":method") {
            guard isFirst(method), value.count <= 32, value.allSatisfy({ Octets.isToken($0) }) else {
                return .badMethod
            }
            method = range
        } else if Octets.equal(name, ":path") {
            guard isFirst(path), value.allSatisfy({ Octets.isTarget($0) }) else { return .badTarget }
            guard value.count <= limits.targetBytes else { return .targetTooLong }
            // Another form would name a host of its own.
            guard value[0] == UInt8(ascii: "/") || value.count == 1 && value[0] == UInt8(ascii: "*") else {
                return .badTarget
            }
            path = range
        } else if Octets.equal(name, ":authority") {
            guard isFirst(authority), value.count <= 261, value.allSatisfy({ Octets.isTarget($0) }) else {
                return .badHost
            }
            authority = range
        } else if Octets.equal(name, ":protocol") {
            guard isFirst(tunnel), value.allSatisfy({ Octets.isToken($0) }) else { return .badFieldName }
            tunnel = range
        } else {
            // What the scheme was is not for the client to say: the connection knows.
            return Octets.equal(name, ":scheme") ? nil : .badFieldName
        }
        if let source = value.baseAddress { (base + start).copyMemory(from: source, byteCount: value.count) }
        tail = start
        return nil
    }

    /// Methods tell upper from lower case.
    private func isMethod(_ name: StaticString) -> Bool {
        let bytes = method.bytes(in: base)
        return bytes.count == name.utf8CodeUnitCount
            && bytes.elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    /// A tunnel leads to a service, as the same request in HTTP/1.1 would: to none where it is plain CONNECT, and only
    /// with the one protocol that is understood (RFC 8441 section 4).
    private mutating func judgeTunnel() -> MessageError? {
        guard isMethod("CONNECT") else { return tunnel.isEmpty ? nil : .badMethod }
        guard !tunnel.isEmpty else { return .unsupportedMethod }
        guard Octets.equal(tunnel.bytes(in: base), "websocket") else { return .unsupportedTunnel }
        guard !path.isEmpty, path.bytes(in: base)[0] == UInt8(ascii: "/") else { return .badTarget }
        guard !authority.isEmpty else { return .missingHost }
        isTunnel = true
        return nil
    }

    /// Request line and Host.
    private mutating func begin() {
        isBegun = true
        guard !method.isEmpty else {
            fault = .badMethod
            return
        }
        if let refusal = judgeTunnel() {
            fault = refusal
            return
        }
        guard !path.isEmpty else {
            fault = .badTarget
            return
        }
        isHead = isMethod("HEAD")
        // All three at most fill the memory; where the text would run into what waits, it is moved out of the way.
        withUnsafeTemporaryAllocation(byteCount: 32 + 261, alignment: 1) { aside in
            aside.baseAddress!.copyMemory(from: base + Int(method.start), byteCount: Int(method.count))
            (aside.baseAddress! + 32).copyMemory(from: base + Int(authority.start), byteCount: Int(authority.count))
            if isTunnel {
                writer.append("GET")
            } else {
                writer.append(UnsafeRawBufferPointer(rebasing: aside[..<Int(method.count)]))
            }
            writer.append(byte: Octets.space)
            writer.append(base + Int(path.start), Int(path.count))
            writer.append(" HTTP/1.1\r\n")
            guard !authority.isEmpty else { return }
            writer.append("host: ")
            authorityStart = writer.count
            writer.append(UnsafeRawBufferPointer(rebasing: aside[32..<32 + Int(authority.count)]))
            writer.append("\r\n")
        }
        if writer.hasOverflowed { fault = .headTooLarge }
    }

    // MARK: - Fields

    /// Host may only repeat what `:authority` says (RFC 9113 section 8.3.1).
    private mutating func checkHost(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> MessageError? {
        guard !hasHost else { return .repeatedHost }
        hasHost = true
        guard !authority.isEmpty else { return writer.appendLine(name, value) }
        guard value.count == Int(authority.count) else { return .repeatedHost }
        for index in 0..<value.count {
            let own = base.load(fromByteOffset: authorityStart + index, as: UInt8.self)
            guard Octets.lowercased(own) == Octets.lowercased(value[index]) else { return .repeatedHost }
        }
        return nil
    }

    /// Crumbs of one Cookie field become one line again (RFC 9113 section 8.2.3).
    private mutating func appendCookie(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) -> MessageError? {
        guard cookieEnd >= 0 else {
            let fault = writer.appendLine(name, value)
            cookieEnd = writer.count - 2
            return fault
        }
        guard
            value.isEmpty
                || Octets.isFieldValue(value.baseAddress!.assumingMemoryBound(to: UInt8.self), value.count)
        else { return .badFieldValue }
        let added = value.count + 2
        guard writer.capacity - writer.count >= added else { return .headTooLarge }
        let behind = writer.count - cookieEnd
        // Whatever else came between moves back.
        (base + cookieEnd + added).copyMemory(from: base + cookieEnd, byteCount: behind)
        var crumb = HeadWriter(base, capacity: cookieEnd + added, count: cookieEnd)
        crumb.append("; ")
        crumb.append(value)
        cookieEnd += added
        writer = HeadWriter(base, capacity: writer.capacity, count: writer.count + added)
        return nil
    }

    // MARK: - End

    /// Ends the head.
    ///
    /// - Parameters:
    ///   - hasBody: data or trailers follow.
    ///   - key: for a WebSocket; asked for only there.
    /// - Returns: whether the body is to be rendered in chunks: nothing told how long it is.
    public mutating func finish(hasBody: Bool, key: () -> WebSocketKey) -> Bool {
        if !isBegun, fault == nil { begin() }
        guard fault == nil else { return false }
        if isTunnel { appendUpgrade(key()) }
        if acceptsTrailers { writer.append("te: trailers\r\n") }
        let isChunked = hasBody && !hasLength && !isTunnel
        if isChunked {
            writer.append("transfer-encoding: chunked\r\n")
        } else if !hasBody, !hasLength, !isTunnel, expectsBody {
            writer.append("content-length: 0\r\n")
        }
        writer.append("\r\n")
        if writer.hasOverflowed || writer.count > limits.headBytes { fault = .headTooLarge }
        return isChunked && fault == nil
    }

    private mutating func appendUpgrade(_ key: WebSocketKey) {
        writer.append("connection: Upgrade\r\nupgrade: websocket\r\n")
        key.withText { writer.appendField("sec-websocket-key: ", $0) }
    }

    /// Methods whose requests without a length some servers refuse (RFC 9110 section 8.6).
    private var expectsBody: Bool {
        let text = UnsafeRawBufferPointer(start: base, count: Int(method.count))
        return Octets.equal(text, "post") || Octets.equal(text, "put") || Octets.equal(text, "patch")
    }
}
