// Fields of HTTP/2 (RFC 9113 section 8) as lines of HTTP/1.1. Nothing is trusted that came before: what would not be a
// line of its own in HTTP/1.1 never gets into the text.

/// What a field of a header block means for the text that it is rendered into.
enum BlockField {
    case plain, cookie, host, contentLength, te
    /// Has no meaning where a WebSocket is a stream (RFC 8441 section 5).
    case webSocketKey, webSocketAccept
    /// Concerns one connection and must not be in HTTP/2 at all (RFC 9113 section 8.2.2).
    case connectionSpecific

    init(_ name: UnsafeRawBufferPointer) {
        func named(_ text: StaticString) -> Bool { Octets.equal(name, text) }
        switch name.count {
        case 2: self = named("te") ? .te : .plain
        case 4: self = named("host") ? .host : .plain
        case 6: self = named("cookie") ? .cookie : .plain
        case 7: self = named("upgrade") ? .connectionSpecific : .plain
        case 10: self = named("connection") || named("keep-alive") ? .connectionSpecific : .plain
        case 14: self = named("content-length") ? .contentLength : .plain
        case 16: self = named("proxy-connection") ? .connectionSpecific : .plain
        case 17:
            if named("transfer-encoding") {
                self = .connectionSpecific
            } else {
                self = named("sec-websocket-key") ? .webSocketKey : .plain
            }
        case 20: self = named("sec-websocket-accept") ? .webSocketAccept : .plain
        default: self = .plain
        }
    }
}

extension HeadWriter {
    /// `name: value` and a line's end.
    ///
    /// - Returns: `nil`, or why these two would not be one line of HTTP/1.1 (RFC 9110 section 5); nothing is written.
    public mutating func appendLine(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> MessageError? {
        guard let nameStart = name.baseAddress, !name.isEmpty, name.allSatisfy({ Octets.isToken($0) }) else {
            return .badFieldName
        }
        if let valueStart = value.baseAddress {
            guard Octets.isFieldValue(valueStart.assumingMemoryBound(to: UInt8.self), value.count) else {
                return .badFieldValue
            }
        }
        // Room for all of it or for none.
        guard capacity - count >= name.count + value.count + 4 else {
            append(base, capacity - count + 1)
            return .headTooLarge
        }
        append(nameStart, name.count)
        append(": ")
        append(value)
        append("\r\n")
        return nil
    }
}
