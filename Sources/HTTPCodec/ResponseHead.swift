/// A response's head (RFC 9112 section 4) as offsets into its bytes.
public struct ResponseHead: Sendable {
    /// 100...599.
    public var status = 0
    /// From behind the status code to the end of the line, its leading space included.
    public var reason = ByteRange.empty
    public var minorVersion: UInt8 = 1
    public var framing = Framing.none
    public var options: ConnectionOptions = []
    public var upgradeField: Int32 = -1

    /// Where the three digits of the status are, in every head.
    static let statusStart = 9

    public init() {}

    public var isInterim: Bool { status < 200 && status != 101 }

    /// Whether the instance will take another request on this connection.
    public var keepsAlive: Bool {
        if options.contains(.close) || framing == .untilClose { return false }
        return minorVersion >= 1 || options.contains(.keepAlive)
    }

    /// Reads one response head from the start of `bytes`.
    ///
    /// - Parameter toHead: the request was HEAD, so whatever the fields say there is no body.
    public mutating func parse(
        _ bytes: UnsafeRawBufferPointer, toHead: Bool, limits: MessageLimits, fields: inout FieldTable
    ) -> HeadOutcome {
        self = ResponseHead()
        guard let raw = bytes.baseAddress else { return .incomplete }
        let base = raw.assumingMemoryBound(to: UInt8.self)
        let fieldsStart: Int
        switch Line.find(base, from: 0, to: bytes.count) {
        case .found(let end, let next):
            guard parseStatusLine(base, end) else { return .malformed(.badStatusLine) }
            fieldsStart = next
        case .incomplete: return bytes.count >= limits.headBytes ? .malformed(.headTooLarge) : .incomplete
        case .malformed(let error): return .malformed(error)
        }
        let outcome = fields.parseLines(base, from: fieldsStart, to: bytes.count, limit: limits.fields)
        guard case .complete(let end) = outcome else {
            return outcome == .incomplete && bytes.count >= limits.headBytes ? .malformed(.headTooLarge) : outcome
        }
        guard end <= limits.headBytes else { return .malformed(.headTooLarge) }
        if let error = interpret(base, toHead, &fields) { return .malformed(error) }
        return .complete(end)
    }

    private mutating func parseStatusLine(_ base: UnsafePointer<UInt8>, _ end: Int) -> Bool {
        guard end >= 12, base[0] == 0x48, base[1] == 0x54, base[2] == 0x54, base[3] == 0x50, base[4] == 0x2f,
            base[5] == UInt8(ascii: "1"), base[6] == 0x2e, Octets.isDigit(base[7]), base[8] == Octets.space,
            Octets.isDigit(base[9]), Octets.isDigit(base[10]), Octets.isDigit(base[11])
        else { return false }
        minorVersion = min(base[7] &- 48, 1)
        status = Int(base[9] &- 48) * 100 + Int(base[10] &- 48) * 10 + Int(base[11] &- 48)
        reason = ByteRange(12, end)
        guard status >= 100, status < 600, end == 12 || base[12] == Octets.space else { return false }
        return Octets.isFieldValue(base + 12, end - 12)
    }

    private mutating func interpret(
        _ base: UnsafePointer<UInt8>, _ toHead: Bool, _ fields: inout FieldTable
    ) -> MessageError? {
        var seen = FramingFields()
        if let error = seen.read(&fields, base) { return error }
        options = seen.options
        upgradeField = seen.upgrade
        if seen.hasTransferEncoding, minorVersion == 0 { return .transferEncodingInHTTP10 }
        if toHead || status < 200 || status == 204 || status == 304 {
            framing = .none
            dropForbiddenLength(&fields)
        } else if seen.isChunked {
            framing = .chunked
        } else if let length = seen.contentLength {
            framing = length == 0 ? .none : .length(length)
        } else {
            framing = .untilClose
        }
        return nil
    }

    /// 1xx and 204 have no Content-Length (RFC 9110 section 8.6); one that came is not passed on.
    private func dropForbiddenLength(_ fields: inout FieldTable) {
        guard status < 200 || status == 204 else { return }
        for index in 0..<fields.count where fields.fields[index].known == .contentLength {
            fields.fields[index].isDropped = true
        }
    }
}
