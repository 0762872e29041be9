/// A request's head (RFC 9112 section 3) as offsets into its bytes, without the fields, which are in a `FieldTable`.
public struct RequestHead: Sendable {
    public enum Method: UInt8, Sendable {
        case other, get, head, post, put, delete, options, trace, patch

        /// RFC 9110 section 9.2.2: sending it twice is as good as sending it once.
        public var isIdempotent: Bool {
            switch self {
            case .get, .head, .put, .delete, .options, .trace: true
            case .post, .patch, .other: false
            }
        }
    }

    public var method = Method.other
    public var methodRange = ByteRange.empty
    /// The target as it is written.
    public var target = ByteRange.empty
    /// From the first `/` to the end, query included; empty for `*` and for an absolute target without a path.
    public var path = ByteRange.empty
    /// Host and port: from an absolute target, else from Host. Empty in HTTP/1.0 without Host.
    public var authority = ByteRange.empty
    /// The authority's host, without port; an IPv6 literal keeps its brackets.
    public var host = ByteRange.empty
    /// 0 or 1.
    public var minorVersion: UInt8 = 1
    public var isAbsoluteTarget = false
    public var framing = Framing.none
    public var options: ConnectionOptions = []
    /// Index of the Upgrade field; -1: none.
    public var upgradeField: Int32 = -1
    /// How long the caller waits, in nanoseconds; 0: it does not say. Of gRPC calls only.
    public var grpcTimeout: UInt64 = 0

    public init() {}

    /// Whether the client means to send another request on this connection (RFC 9112 section 9.3).
    public var keepsAlive: Bool {
        if options.contains(.close) { return false }
        return minorVersion >= 1 || options.contains(.keepAlive)
    }

    /// Reads one request head from the start of `bytes`.
    ///
    /// Refuses whatever two readers could understand differently: repeated or contradictory framing, bare line feeds,
    /// folded lines, white space before a colon, a target or host with octets that do not belong there.
    public mutating func parse(
        _ bytes: UnsafeRawBufferPointer, limits: MessageLimits, fields: inout FieldTable
    ) -> HeadOutcome {
        self = RequestHead()
        guard let raw = bytes.baseAddress else { return .incomplete }
        let base = raw.assumingMemoryBound(to: UInt8.self)
        let start = Self.skipEmptyLines(base, bytes.count)
        let fieldsStart: Int
        switch Line.find(base, from: start, to: bytes.count) {
        case .found(let end, let next):
            if let error = parseRequestLine(base, start, end, limits) { return .malformed(error) }
            fieldsStart = next
        case .incomplete: return incomplete(base, start, bytes.count, limits)
        case .malformed(let error): return .malformed(error)
        }
        let outcome = fields.parseLines(base, from: fieldsStart, to: bytes.count, limit: limits.fields)
        guard case .complete(let end) = outcome else {
            return outcome == .incomplete && bytes.count >= limits.headBytes ? .malformed(.headTooLarge) : outcome
        }
        guard end <= limits.headBytes else { return .malformed(.headTooLarge) }
        if let error = interpret(base, &fields) { return .malformed(error) }
        return .complete(end)
    }

    /// Up to two empty lines before a request are the end of a careless client's last body (RFC 9112 section 2.2).
    private static func skipEmptyLines(_ base: UnsafePointer<UInt8>, _ count: Int) -> Int {
        var start = 0
        while start < 4, start + 1 < count, base[start] == Octets.cr, base[start + 1] == Octets.lf { start += 2 }
        return start
    }

    /// A request line without its end: refused as soon as it cannot become a good one.
    private func incomplete(
        _ base: UnsafePointer<UInt8>, _ start: Int, _ count: Int, _ limits: MessageLimits
    ) -> HeadOutcome {
        // Method, space and version are far shorter than this.
        if count - start > limits.targetBytes + 64 { return .malformed(.targetTooLong) }
        if count > start, !Octets.isToken(base[start]), base[start] != Octets.cr || count - start > 1 {
            return .malformed(.badRequestLine)
        }
        return count >= limits.headBytes ? .malformed(.headTooLarge) : .incomplete
    }

    private mutating func parseRequestLine(
        _ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ limits: MessageLimits
    ) -> MessageError? {
        var position = start
        while position < end, Octets.isToken(base[position]) { position += 1 }
        guard position > start, position < end, base[position] == Octets.space else { return .badRequestLine }
        methodRange = ByteRange(start, position)
        let targetStart = position + 1
        position = Octets.endOfTarget(base, from: targetStart, to: end)
        guard position < end, base[position] == Octets.space, position > targetStart else {
            return position - targetStart > limits.targetBytes ? .targetTooLong : .badTarget
        }
        guard position - targetStart <= limits.targetBytes else { return .targetTooLong }
        target = ByteRange(targetStart, position)
        if let error = parseVersion(base + position + 1, end - position - 1) { return error }
        return parseMethod(base) ?? parseTarget(base)
    }

    private mutating func parseVersion(_ version: UnsafePointer<UInt8>, _ count: Int) -> MessageError? {
        guard count == 8, version[0] == 0x48, version[1] == 0x54, version[2] == 0x54, version[3] == 0x50,
            version[4] == 0x2f, version[6] == 0x2e, Octets.isDigit(version[5]), Octets.isDigit(version[7])
        else { return .badVersion }
        guard version[5] == UInt8(ascii: "1") else { return .unsupportedVersion }
        minorVersion = min(version[7] &- 48, 1)
        return nil
    }

    private mutating func parseMethod(_ base: UnsafePointer<UInt8>) -> MessageError? {
        let bytes = methodRange.bytes(in: base)
        func equals(_ name: StaticString) -> Bool {
            guard bytes.count == name.utf8CodeUnitCount else { return false }
            return (0..<bytes.count).allSatisfy { bytes[$0] == name.utf8Start[$0] }
        }
        switch bytes.count {
        case 3: method = equals("GET") ? .get : equals("PUT") ? .put : .other
        case 4: method = equals("POST") ? .post : equals("HEAD") ? .head : .other
        case 5: method = equals("PATCH") ? .patch : equals("TRACE") ? .trace : .other
        case 6: method = equals("DELETE") ? .delete : .other
        case 7:
            // A tunnel to an address of the client's choice is not a service's business.
            if equals("CONNECT") { return .unsupportedMethod }
            method = equals("OPTIONS") ? .options : .other
        case 0...32: method = .other
        default: return .badMethod
        }
        return nil
    }

    /// Origin form, absolute form, or `*` for OPTIONS (RFC 9112 section 3.2).
    private mutating func parseTarget(_ base: UnsafePointer<UInt8>) -> MessageError? {
        let bytes = target.bytes(in: base)
        if bytes[0] == UInt8(ascii: "/") {
            path = target
            return nil
        }
        if bytes.count == 1, bytes[0] == UInt8(ascii: "*") { return method == .options ? nil : .badTarget }
        let schemeLength: Int
        if bytes.count > 7, Octets.equal(UnsafeRawBufferPointer(rebasing: bytes[..<7]), "http://") {
            schemeLength = 7
        } else if bytes.count > 8, Octets.equal(UnsafeRawBufferPointer(rebasing: bytes[..<8]), "https://") {
            schemeLength = 8
        } else {
            return .badTarget
        }
        isAbsoluteTarget = true
        let start = Int(target.start) + schemeLength
        var end = start
        while end < target.end, base[end] != UInt8(ascii: "/"), base[end] != UInt8(ascii: "?") { end += 1 }
        authority = ByteRange(start, end)
        path = ByteRange(end, target.end)
        return nil
    }

    private mutating func interpret(_ base: UnsafePointer<UInt8>, _ fields: inout FieldTable) -> MessageError? {
        var seen = FramingFields()
        if let error = seen.read(&fields, base) { return error }
        if seen.hasUnknownExpectation { return .unknownExpectation }
        options = seen.options
        // A sender of HTTP/1.0 knows neither (RFC 9110 sections 7.8 and 10.1.1).
        if minorVersion == 0 { options.subtract([.upgrade, .expectContinue]) }
        upgradeField = seen.upgrade
        if options.contains(.grpc) { grpcTimeout = seen.grpcTimeout }
        if seen.hasTransferEncoding {
            guard minorVersion >= 1 else { return .transferEncodingInHTTP10 }
            framing = .chunked
        } else if let length = seen.contentLength {
            framing = length == 0 ? .none : .length(length)
        }
        if seen.host >= 0 {
            let value = fields.fields[Int(seen.host)].value
            guard let found = Authority.host(base, value, allowEmpty: minorVersion == 0) else { return .badHost }
            // An absolute target overrides Host (RFC 9112 section 3.2.2), which must be a good one all the same.
            if !isAbsoluteTarget { (authority, host) = (value, found) }
        } else if minorVersion >= 1 {
            return .missingHost
        }
        guard isAbsoluteTarget else { return nil }
        guard let found = Authority.host(base, authority, allowEmpty: false) else { return .badHost }
        host = found
        return nil
    }
}

/// `host [":" port]` of RFC 3986 section 3.2, without user information.
enum Authority {
    /// The host part; `nil` where the text is not an authority.
    static func host(_ base: UnsafePointer<UInt8>, _ range: ByteRange, allowEmpty: Bool) -> ByteRange? {
        if range.isEmpty { return allowEmpty ? range : nil }
        let start = Int(range.start)
        guard range.count <= 255 + 6, let end = hostEnd(base, start, range.end), end > start, end - start <= 255 else {
            return nil
        }
        if end < range.end {
            let digits = range.end - end - 1
            guard base[end] == Octets.colon, digits <= 5 else { return nil }
            var port = 0
            for index in end + 1..<range.end {
                guard Octets.isDigit(base[index]) else { return nil }
                port = port * 10 + Int(base[index] &- 48)
            }
            guard port <= 65_535 else { return nil }
        }
        return ByteRange(start, end)
    }

    private static func hostEnd(_ base: UnsafePointer<UInt8>, _ start: Int, _ limit: Int) -> Int? {
        var position = start
        if base[start] == UInt8(ascii: "[") {
            position += 1
            while position < limit, Octets.hexValue(base[position]) != nil || isIPv6Mark(base[position]) {
                position += 1
            }
            return position < limit && base[position] == UInt8(ascii: "]") && position > start + 1 ? position + 1 : nil
        }
        position = Octets.endOfName(base, from: start, to: limit)
        while position < limit, isNameOctet(base[position]) { position += 1 }
        return position
    }

    private static func isIPv6Mark(_ byte: UInt8) -> Bool { byte == Octets.colon || byte == UInt8(ascii: ".") }

    /// What names in use hold: letters, digits, `-`, `.`, `_`. Percent encoding and sub-delimiters are refused.
    private static func isNameOctet(_ byte: UInt8) -> Bool {
        Octets.isDigit(byte) || Octets.lowercased(byte) &- 97 < 26 || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
    }
}
