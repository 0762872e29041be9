import MeshCore
import NetAddress

/// Why the text of a label is not taken.
struct TextFault: Error, Equatable {
    let message: String
    init(_ message: String) { self.message = message }
}

/// The text of one route: `[scheme://]host[/context]`.
enum RouteText {
    /// Hosts and contexts stay below this many bytes.
    private static let lengthLimit = 128

    static func parse(
        _ item: some StringProtocol, containerPort: UInt16, routingDomain: String?
    ) throws(TextFault) -> RouteSpec {
        let (schemeText, rest) = splitScheme(item)
        guard let scheme = RouteSpec.Scheme(rawValue: schemeText?.lowercased() ?? "http") else {
            throw TextFault("scheme \(OneLine.quoted(schemeText ?? "")) is not http, https, ws, wss or tcp")
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        var hostText = rest[..<slash]
        // `host:/context` is a known slip: the grammar was once printed with a colon.
        if slash < rest.endIndex, hostText.hasSuffix(":") { hostText = hostText.dropLast() }
        let path = try path(rest[slash...])
        let host = try host(hostText.lowercased(), scheme, routingDomain)
        return RouteSpec(scheme: scheme, host: host, path: path, containerPort: containerPort)
    }

    /// Cuts at the first `://`.
    static func splitScheme(_ text: some StringProtocol) -> (scheme: Substring?, rest: Substring) {
        let text = Substring(text)
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else { return (nil, text) }
        return (text[..<colon], text[colon...].dropFirst(3))
    }

    /// Without a slash at the end, unless that is all there is.
    private static func path(_ text: Substring) throws(TextFault) -> String {
        guard text.utf8.count < lengthLimit else { throw TextFault("the context is not below \(lengthLimit) bytes") }
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != 0x3f && $0 != 0x23 }) else {
            throw TextFault("the context \(OneLine.quoted(text)) holds a character that no path has")
        }
        var path = text
        while path.hasSuffix("/") { path = path.dropLast() }
        return path.isEmpty ? "/" : String(path)
    }

    private static func host(
        _ text: String, _ scheme: RouteSpec.Scheme, _ routingDomain: String?
    ) throws(TextFault) -> HostPattern {
        if text == "*" { return .any }
        guard !text.isEmpty else { throw TextFault("a route names a host") }
        guard text.utf8.count < lengthLimit else { throw TextFault("the host is not below \(lengthLimit) bytes") }
        if let literal = try addressLiteral(text) { return .exact(literal) }
        guard !text.utf8.contains(UInt8(ascii: ":")) else {
            throw TextFault("\(OneLine.quoted(text)): a route's host has no port; the container port is in the label")
        }
        if text.hasPrefix("*.") {
            guard let wildcard = wildcard(text) else { throw notAName(text) }
            return wildcard
        }
        guard HostNameText.isValid(text) else { throw notAName(text) }
        if text.contains(".") { return .exact(text) }
        guard let routingDomain else {
            guard scheme != .https else {
                throw TextFault("https://\(text) needs a routing domain (--routing-domain) or a host with a dot")
            }
            return .exact(text)
        }
        let full = "\(text).\(routingDomain)"
        guard full.utf8.count < lengthLimit else { throw TextFault("'\(full)' is not below \(lengthLimit) bytes") }
        guard HostNameText.isValid(full) else { throw notAName(full) }
        return .exact(full)
    }

    /// `*.` before a name.
    static func wildcard(_ text: String) -> HostPattern? {
        let name = text.dropFirst(2)
        return HostNameText.isValid(name) && text.utf8.count < lengthLimit ? .wildcard(String(name)) : nil
    }

    /// A name or an IP address as it stands in a Host header, not completed.
    static func plainHost(_ text: String) throws(TextFault) -> HostPattern {
        if let literal = try addressLiteral(text) { return .exact(literal) }
        guard HostNameText.isValid(text) else { throw notAName(text) }
        return .exact(text)
    }

    private static func notAName(_ text: String) -> TextFault {
        TextFault("\(OneLine.quoted(text)) is not a host name, an IP address, '*.' before a name, or '*'")
    }

    /// The spelling of an IP literal that a Host header has: IPv6 in brackets (RFC 3986 section 3.2.2).
    private static func addressLiteral(_ text: String) throws(TextFault) -> String? {
        if text.hasPrefix("[") {
            guard text.hasSuffix("]"), let address = IPAddress(text.dropFirst().dropLast()), !address.isV4 else {
                throw TextFault("\(OneLine.quoted(text)) is not an IPv6 address in brackets")
            }
            return "[\(address)]"
        }
        guard let address = IPAddress(text) else { return nil }
        return address.isV4 ? address.description : "[\(address)]"
    }
}
