/// Field names the codec acts on; every other name is `.other` and passes through.
public enum HeaderName: UInt8, Sendable {
    case other
    case connection
    case contentLength
    case expect
    case host
    case keepAlive
    case proxyAuthenticate
    case proxyConnection
    case te
    case trailer
    case transferEncoding
    case upgrade
    case xForwardedFor
    case xForwardedHost
    case xForwardedProto

    /// Fields that concern one connection only (RFC 9110 section 7.6.1) and are never passed on as they are.
    var isHopByHop: Bool {
        switch self {
        case .connection, .keepAlive, .proxyConnection, .te, .transferEncoding, .upgrade: true
        default: false
        }
    }

    /// What a trailer section may not hold, because it would change framing or routing (RFC 9110 section 6.5.1).
    var isForbiddenInTrailers: Bool {
        switch self {
        case .connection, .contentLength, .expect, .host, .keepAlive, .proxyAuthenticate, .proxyConnection, .te,
            .trailer, .transferEncoding, .upgrade, .xForwardedFor, .xForwardedHost, .xForwardedProto:
            true
        case .other: false
        }
    }

    /// By length first: most names need no comparison at all.
    static func known(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> HeaderName {
        func check(_ name: StaticString, _ known: HeaderName) -> HeaderName {
            Octets.equal(bytes, count, name) ? known : .other
        }
        switch count {
        case 2: return check("te", .te)
        case 4: return check("host", .host)
        case 6: return check("expect", .expect)
        case 7: return bytes[0] | 0x20 == UInt8(ascii: "u") ? check("upgrade", .upgrade) : check("trailer", .trailer)
        case 10:
            return bytes[0] | 0x20 == UInt8(ascii: "c")
                ? check("connection", .connection) : check("keep-alive", .keepAlive)
        case 14: return check("content-length", .contentLength)
        case 15: return check("x-forwarded-for", .xForwardedFor)
        case 16:
            return bytes[0] | 0x20 == UInt8(ascii: "x")
                ? check("x-forwarded-host", .xForwardedHost) : check("proxy-connection", .proxyConnection)
        case 17:
            return bytes[0] | 0x20 == UInt8(ascii: "x")
                ? check("x-forwarded-proto", .xForwardedProto) : check("transfer-encoding", .transferEncoding)
        case 18: return check("proxy-authenticate", .proxyAuthenticate)
        default: return .other
        }
    }
}
