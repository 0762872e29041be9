/// Field names the codec acts on; every other name is `.other` and passes through.
public enum HeaderName: UInt8, Sendable {
    case other
    case connection
    case contentLength
    case contentType
    case cookie
    case expect
    case forwarded
    case grpcTimeout
    case host
    case keepAlive
    case proxyAuthenticate
    case proxyConnection
    case referer
    /// Of the WebSocket handshake, which HTTP/2 does without.
    case secWebSocketAccept
    case secWebSocketKey
    case te
    case traceparent
    case tracestate
    case trailer
    case transferEncoding
    case upgrade
    case userAgent
    /// What this side says of a client's certificate, also with underscores for hyphens: many programs take both for
    /// one name.
    case xClientCert
    case xForwardedFor
    case xForwardedHost
    case xForwardedPort
    case xForwardedProto
    case xRequestID

    /// Fields that concern one connection only (RFC 9110 section 7.6.1) and are never passed on as they are.
    var isHopByHop: Bool {
        switch self {
        case .connection, .keepAlive, .proxyConnection, .te, .transferEncoding, .upgrade: true
        default: false
        }
    }

    /// What a trailer section may not hold, because it would change framing or routing (RFC 9110 section 6.5.1), or
    /// who is taken for the client.
    var isForbiddenInTrailers: Bool {
        switch self {
        case .other, .contentType, .cookie, .grpcTimeout, .referer, .userAgent: false
        default: true
        }
    }

    /// By length first: most names need no comparison at all.
    static func known(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> HeaderName {
        @inline(__always) func check(_ name: StaticString, _ known: HeaderName) -> HeaderName {
            Octets.equal(bytes, count, name) ? known : .other
        }
        let first = bytes[0] | 0x20
        switch count {
        case 2: return check("te", .te)
        case 4: return check("host", .host)
        case 6: return first == UInt8(ascii: "c") ? check("cookie", .cookie) : check("expect", .expect)
        case 7:
            if first == UInt8(ascii: "r") { return check("referer", .referer) }
            return first == UInt8(ascii: "u") ? check("upgrade", .upgrade) : check("trailer", .trailer)
        case 9: return check("forwarded", .forwarded)
        case 10:
            switch first {
            case UInt8(ascii: "c"): return check("connection", .connection)
            case UInt8(ascii: "k"): return check("keep-alive", .keepAlive)
            case UInt8(ascii: "u"): return check("user-agent", .userAgent)
            default: return check("tracestate", .tracestate)
            }
        case 11: return check("traceparent", .traceparent)
        case 12:
            switch first {
            case UInt8(ascii: "c"): return check("content-type", .contentType)
            case UInt8(ascii: "g"): return check("grpc-timeout", .grpcTimeout)
            default: return check("x-request-id", .xRequestID)
            }
        case 14: return check("content-length", .contentLength)
        case 15: return check("x-forwarded-for", .xForwardedFor)
        case 16:
            guard first == UInt8(ascii: "x") else { return check("proxy-connection", .proxyConnection) }
            return bytes[12] | 0x20 == UInt8(ascii: "h")
                ? check("x-forwarded-host", .xForwardedHost) : check("x-forwarded-port", .xForwardedPort)
        case 17:
            switch first {
            case UInt8(ascii: "x"): return check("x-forwarded-proto", .xForwardedProto)
            case UInt8(ascii: "s"): return check("sec-websocket-key", .secWebSocketKey)
            default: return check("transfer-encoding", .transferEncoding)
            }
        case 18: return check("proxy-authenticate", .proxyAuthenticate)
        case 20: return check("sec-websocket-accept", .secWebSocketAccept)
        case 21: return isLike("x-client-cert-subject", bytes, count) ? .xClientCert : .other
        case 25: return isLike("x-client-cert-fingerprint", bytes, count) ? .xClientCert : .other
        default: return .other
        }
    }

    private static func isLike(_ name: StaticString, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        for index in 0..<count {
            let byte = bytes[index] == UInt8(ascii: "_") ? UInt8(ascii: "-") : bytes[index] | 0x20
            if byte != name.utf8Start[index] { return false }
        }
        return true
    }
}
