import HTTPCodec
import MeshCore
import NetAddress

/// Where a request came from, and what of it an instance is told.
struct RequestOrigin {
    var peer: IPAddress
    /// The peer is a trusted proxy: what it says of the client is kept.
    var isTrusted = false
    /// The client's connection is encrypted.
    var isSecure = false
    /// Lines that tell of the client's certificate; empty: it showed none.
    var certificate: [UInt8] = []
    /// The port that the client connected to.
    var port: UInt16
    var fields = ForwardingOptions.Fields.xForwarded
    var generatesTraceParent = false
}

extension HeadWriter {
    /// The PROXY header of a connection to an instance.
    mutating func append(_ header: ProxyHeader, _ version: ProxyVersion) {
        withUnsafeTemporaryAllocation(byteCount: ProxyHeader.longestWritten, alignment: 8) { space in
            let count = header.write(version, to: space)
            append(UnsafeRawBufferPointer(rebasing: space[..<count]))
        }
    }

    /// Renders the head that an instance gets: the fields that may go on, then those that tell of the client.
    mutating func appendRequest(
        _ head: RequestHead, _ fields: inout FieldTable, from base: UnsafeRawPointer, _ origin: RequestOrigin,
        _ random: inout RandomBits, _ action: RouteAction? = nil
    ) -> RequestIdentity {
        if let action, action.rewritesPath, !head.path.isEmpty {
            let skip = action.stripped(head.path.bytes(in: base))
            appendRequestLine(head, from: base, skip: skip, insert: action.insert)
        } else {
            appendRequestLine(head, from: base)
        }
        var told = ToldFields()
        told.sort(&fields, head, from: base, origin)
        appendForeignCookies(&fields, from: base)
        appendFields(fields, from: base)
        // Of HTTP/1.0 without Host: what goes on is HTTP/1.1, which has one.
        if head.authority.isEmpty { append("Host: localhost\r\n") }
        if head.isAbsoluteTarget { appendField("Host: ", head.authority.bytes(in: base)) }
        if head.framing == .chunked { append("Transfer-Encoding: chunked\r\n") }
        if head.options.contains(.upgrade), head.upgradeField >= 0, head.minorVersion >= 1 {
            append("Connection: Upgrade\r\n")
            appendField("Upgrade: ", fields.fields[Int(head.upgradeField)].value.bytes(in: base))
        }
        if head.options.contains(.acceptsTrailers) { append("Connection: TE\r\nTE: trailers\r\n") }
        if !origin.certificate.isEmpty { origin.certificate.withUnsafeBytes { append($0) } }
        if origin.fields.sendsXForwarded { appendXForwarded(head, fields, from: base, origin, told) }
        if origin.fields.sendsForwarded { appendForwarded(head, fields, from: base, origin, told) }
        let identity = appendIdentity(fields, from: base, origin, told, &random)
        append("\r\n")
        return identity
    }

    private mutating func appendXForwarded(
        _ head: RequestHead, _ fields: FieldTable, from base: UnsafeRawPointer, _ origin: RequestOrigin,
        _ told: ToldFields
    ) {
        append("X-Forwarded-For: ")
        if origin.isTrusted { appendValues(of: .xForwardedFor, fields, from: base) }
        append(origin.peer)
        append("\r\n")
        if !told.hasProto {
            if origin.isSecure { append("X-Forwarded-Proto: https\r\n") } else { append("X-Forwarded-Proto: http\r\n") }
        }
        if !told.hasHost, !head.authority.isEmpty {
            appendField("X-Forwarded-Host: ", head.authority.bytes(in: base))
        }
        if !told.hasPort {
            append("X-Forwarded-Port: ")
            append(decimal: UInt64(origin.port))
            append("\r\n")
        }
    }

    /// RFC 7239 section 4. An IPv6 address and whatever else is no token stands in quotes.
    private mutating func appendForwarded(
        _ head: RequestHead, _ fields: FieldTable, from base: UnsafeRawPointer, _ origin: RequestOrigin,
        _ told: ToldFields
    ) {
        append("Forwarded: ")
        if origin.isTrusted, told.isForwardedWhole { appendValues(of: .forwarded, fields, from: base) }
        append(origin.peer.isV4 ? "for=" : "for=\"[")
        append(origin.peer)
        if !origin.peer.isV4 { append("]\"") }
        if !head.authority.isEmpty {
            append(";host=")
            appendTokenOrQuoted(head.authority.bytes(in: base))
        }
        append(origin.isSecure ? ";proto=https\r\n" : ";proto=http\r\n")
    }

    /// What was said before, in the order it was said, each with a comma behind it.
    private mutating func appendValues(of name: HeaderName, _ fields: FieldTable, from base: UnsafeRawPointer) {
        for index in 0..<fields.count where fields.fields[index].known == name {
            let value = fields.fields[index].value
            guard !value.isEmpty else { continue }
            append(value.bytes(in: base))
            append(", ")
        }
    }

    private mutating func appendIdentity(
        _ fields: FieldTable, from base: UnsafeRawPointer, _ origin: RequestOrigin, _ told: ToldFields,
        _ random: inout RandomBits
    ) -> RequestIdentity {
        var identity = RequestIdentity()
        if told.requestID.index >= 0 {
            identity.requestID = fields.fields[told.requestID.index].value.bytes(in: base)
        } else {
            identity.requestID = appendRequestID(&random)
        }
        if told.traceParent.index >= 0 {
            let value = fields.fields[told.traceParent.index].value.bytes(in: base)
            identity.traceID = UnsafeRawBufferPointer(rebasing: value[TraceContext.traceID])
        } else if origin.generatesTraceParent {
            identity.traceID = appendTraceParent(&random)
        }
        return identity
    }

    mutating func append(_ ip: IPAddress) {
        withUnsafeTemporaryAllocation(byteCount: IPAddress.longestText, alignment: 1) { text in
            guard let base = text.baseAddress else { return }
            append(base, ip.write(to: base))
        }
    }
}

/// Which of the fields that tell of a request's origin go on as they came; the others are marked as dropped.
private struct ToldFields {
    /// A field that says something only where it stands once; the index is -1 where it does not.
    struct Single {
        private var lines = 0
        private(set) var index = -1

        mutating func saw(_ position: Int) {
            lines += 1
            index = lines == 1 ? position : -1
        }

        mutating func forget() { index = -1 }
    }

    var hasProto = false
    var hasHost = false
    var hasPort = false
    /// What came in `Forwarded` can be appended to.
    var isForwardedWhole = true
    var requestID = Single()
    var traceParent = Single()
    private var isTraced = false

    mutating func sort(
        _ fields: inout FieldTable, _ head: RequestHead, from base: UnsafeRawPointer, _ origin: RequestOrigin
    ) {
        for index in 0..<fields.count where fields.fields[index].known != .other {
            let isGone = fields.fields[index].isDropped
            let drops = look(at: fields.fields[index], index, head, from: base, origin, isGone)
            if drops { fields.fields[index].isDropped = true }
        }
        judgeIdentity(fields, from: base, origin)
        for index in 0..<fields.count {
            switch fields.fields[index].known {
            case .xRequestID: if requestID.index < 0 { fields.fields[index].isDropped = true }
            case .traceparent, .tracestate: if traceParent.index < 0 { fields.fields[index].isDropped = true }
            default: break
            }
        }
        guard isTraced, traceParent.index >= 0, !TraceContext.isValidState(fields, from: base) else { return }
        for index in 0..<fields.count where fields.fields[index].known == .tracestate {
            fields.fields[index].isDropped = true
        }
    }

    /// - Returns: whether the field does not go on.
    private mutating func look(
        at field: Field, _ index: Int, _ head: RequestHead, from base: UnsafeRawPointer, _ origin: RequestOrigin,
        _ isGone: Bool
    ) -> Bool {
        switch field.known {
        // An absolute target overrides Host (RFC 9112 section 3.2.2); an empty one says nothing.
        case .host: return head.isAbsoluteTarget || head.authority.isEmpty
        case .xForwardedFor: return !origin.isTrusted || origin.fields.sendsXForwarded
        case .forwarded:
            if origin.isTrusted, !ForwardedList.forEachNode(field.value.bytes(in: base), { _ in }) {
                isForwardedWhole = false
            }
            return !origin.isTrusted || origin.fields.sendsForwarded
        // Nobody else's word counts here, not even a trusted proxy's.
        case .xClientCert: return true
        case .xForwardedProto: if origin.isTrusted, !isGone { hasProto = true }
        case .xForwardedHost: if origin.isTrusted, !isGone { hasHost = true }
        case .xForwardedPort: if origin.isTrusted, !isGone { hasPort = true }
        case .xRequestID:
            if !isGone { requestID.saw(index) }
            return false
        case .traceparent:
            if !isGone { traceParent.saw(index) }
            return false
        case .tracestate:
            isTraced = true
            return false
        default: return false
        }
        return !origin.isTrusted
    }

    private mutating func judgeIdentity(_ fields: FieldTable, from base: UnsafeRawPointer, _ origin: RequestOrigin) {
        if requestID.index >= 0 {
            let value = fields.fields[requestID.index].value.bytes(in: base)
            if !origin.isTrusted || !RequestIdentity.isWellFormed(value) { requestID.forget() }
        }
        if traceParent.index >= 0 {
            let value = fields.fields[traceParent.index].value.bytes(in: base)
            if !TraceContext.isValidParent(value) { traceParent.forget() }
        }
    }
}
