import MeshCore

/// One entry of `VIRTUAL_HOST`: `[scheme://]domain[:port][/path]`, `*` anywhere (semantics 1.7).
enum VirtualHostText {
    private static let lengthLimit = 128
    /// Each further `*` multiplies the work that a hostile name can cause.
    private static let starLimit = 4

    static func parse(_ item: some StringProtocol, containerPort: UInt16) throws(TextFault) -> RouteSpec {
        let (schemeText, rest) = RouteText.splitScheme(item)
        guard let scheme = RouteSpec.Scheme(rawValue: schemeText?.lowercased() ?? "http"), scheme != .tcp else {
            throw TextFault("scheme \(OneLine.quoted(schemeText ?? "")) is not http, https, ws or wss")
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let (hostText, port) = try splitPort(rest[..<slash])
        var route = RouteSpec(scheme: scheme, host: try host(hostText.lowercased()), containerPort: containerPort)
        (route.path, route.pathKind) = try path(rest[slash...])
        let usual: UInt16 = scheme == .https || scheme == .wss ? 443 : 80
        if let port, port != usual { route.conditions = [.port(port)] }
        return route
    }

    private static func splitPort(_ text: Substring) throws(TextFault) -> (Substring, UInt16?) {
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else { return (text, nil) }
        let digits = text[text.index(after: colon)...]
        guard let port = PortText.port(digits) else {
            throw TextFault("\(OneLine.quoted(digits)) is not a port (1 to 65535)")
        }
        return (text[..<colon], port)
    }

    private static func host(_ text: String) throws(TextFault) -> HostPattern {
        guard !text.isEmpty else { throw TextFault("a virtual host names a domain") }
        guard text.utf8.count < lengthLimit else { throw TextFault("the domain is not below \(lengthLimit) bytes") }
        guard text.contains("*") else { return try RouteText.plainHost(text) }
        let pattern = try collapsed(text)
        if pattern == "*" { return .any }
        if pattern.hasPrefix("*."), let wildcard = RouteText.wildcard(pattern) { return wildcard }
        let isName = pattern.utf8.allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "*"):
                true
            default: false
            }
        }
        guard isName, !pattern.contains("..") else {
            throw TextFault("\(OneLine.quoted(text)) is not a domain with '*' in it")
        }
        return .glob(pattern)
    }

    private static func path(_ text: Substring) throws(TextFault) -> (String, PathKind) {
        let isPath = text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x23 && $0 != 0x3f }
        guard isPath, text.utf8.count < lengthLimit
        else { throw TextFault("\(OneLine.quoted(text)) is no path below \(lengthLimit) bytes") }
        if text.isEmpty || text == "/" { return ("/", .prefix) }
        guard text.contains("*") else { return (String(text), .exact) }
        let pattern = try collapsed(String(text))
        if pattern == "/*" { return ("/", .prefix) }
        // At any depth, so also at the root.
        if pattern.hasPrefix("/*/") { return (String(pattern.dropFirst()), .glob) }
        return (pattern, .glob)
    }

    /// Several `*` in a row are one.
    private static func collapsed(_ text: String) throws(TextFault) -> String {
        var pattern = ""
        for character in text where !(character == "*" && pattern.hasSuffix("*")) { pattern.append(character) }
        guard pattern.filter({ $0 == "*" }).count <= starLimit else {
            throw TextFault("\(OneLine.quoted(text)) has more than \(starLimit) '*'")
        }
        return pattern
    }
}
