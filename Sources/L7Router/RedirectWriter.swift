import HTTPCodec
import MeshCore

extension HeadWriter {
    /// Renders an answer that sends the client elsewhere. It has no body.
    mutating func appendRedirect(
        _ redirect: RouteAction.Redirect, status: Int, _ head: RequestHead, from base: UnsafeRawPointer, closes: Bool,
        policy: TransportSecurity?,
        requestID: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        append("HTTP/1.1 ")
        append(decimal: UInt64(status))
        append(Self.reason(status))
        append("\r\nLocation: ")
        let path = head.path.bytes(in: base)
        switch redirect {
        case .https(let port):
            append("https://")
            append(head.host.bytes(in: base))
            if port != 443 {
                append(byte: UInt8(ascii: ":"))
                append(decimal: UInt64(port))
            }
            if path.first != UInt8(ascii: "/") { append(byte: UInt8(ascii: "/")) }
            append(path)
        case .location(let url): append(url)
        case .locationWithTarget(let url):
            append(url)
            append(UnsafeRawBufferPointer(rebasing: path.dropFirst(path.first == UInt8(ascii: "/") ? 1 : 0)))
        }
        append("\r\nContent-Length: 0\r\n")
        if let policy { append(policy) }
        if !requestID.isEmpty { appendField("X-Request-ID: ", requestID) }
        append(closes ? "Connection: close\r\n\r\n" : "\r\n")
    }

    private static func reason(_ status: Int) -> StaticString {
        switch status {
        case 301: " Moved Permanently"
        case 302: " Found"
        case 303: " See Other"
        case 307: " Temporary Redirect"
        default: " Permanent Redirect"
        }
    }

    mutating func append(_ policy: TransportSecurity) {
        append("Strict-Transport-Security: max-age=")
        append(decimal: UInt64(policy.maxAge))
        if policy.includesSubdomains { append("; includeSubDomains") }
        if policy.isPreloaded { append("; preload") }
        append("\r\n")
    }

    /// The cookie of a session (RFC 6265 section 4.1). It is the client's own and goes wherever its requests go.
    mutating func append(_ ticket: SessionTicket, _ key: SessionKey, isSecure: Bool) {
        append("Set-Cookie: ")
        var writer = self
        ticket.write(key) { writer.append(byte: $0) }
        self = writer
        append("; Path=/; Max-Age=")
        append(decimal: UInt64(ticket.remainingSeconds(at: ticket.seen)))
        append("; HttpOnly; SameSite=Lax")
        append(isSecure ? "; Secure\r\n" : "\r\n")
    }
}
