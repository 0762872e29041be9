public import NetAddress

/// `etcd://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]]...[/PREFIX]`: the members of one etcd cluster and the prefix of
/// the keys that are the mesh's.
public struct EtcdURL: Hashable, Sendable, CustomStringConvertible {
    public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
        /// A name, or an IP address without brackets.
        public let host: String
        public let port: UInt16

        public var address: SocketAddress? { IPAddress(host).map { SocketAddress($0, port) } }

        /// Also the Host field of requests.
        public var description: String {
            host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    public static let maximumEndpoints = 16
    public static let defaultPrefix = "/mesh"

    /// One to `maximumEndpoints`, in the order written.
    public let endpoints: [Endpoint]
    public let user: String?
    public let password: String?
    /// Begins with `/` and does not end with one.
    public let prefix: String

    /// Without the password: it stands in logs and on status pages.
    public var description: String {
        let who = user.map { "\($0)@" } ?? ""
        return "etcd://\(who)\(endpoints.map(\.description).joined(separator: ","))\(prefix)"
    }

    /// Reads what stands behind `etcd:`.
    init(rest: Substring) throws(RegistryURL.Problem) {
        guard rest.hasPrefix("//") else { throw Self.problem("write etcd://HOST:2379/PREFIX") }
        var authority = rest.dropFirst(2)
        var path = Substring()
        if let slash = authority.firstIndex(of: "/") {
            path = authority[slash...]
            authority = authority[..<slash]
        }
        if let at = authority.lastIndex(of: "@") {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decoded(parts[0])
            password = parts.count == 2 ? try Self.decoded(parts[1]) : nil
            guard user != "" else { throw Self.problem("the user's name is empty") }
            authority = authority[authority.index(after: at)...]
        } else {
            user = nil
            password = nil
        }
        let hosts = authority.split(separator: ",", omittingEmptySubsequences: false)
        guard (1...Self.maximumEndpoints).contains(hosts.count) else {
            throw Self.problem("more than \(Self.maximumEndpoints) hosts")
        }
        var endpoints: [Endpoint] = []
        for host in hosts { endpoints.append(try Self.endpoint(host)) }
        self.endpoints = endpoints
        prefix = try Self.prefix(path)
    }

    private static func problem(_ message: String) -> RegistryURL.Problem {
        RegistryURL.Problem(message: "etcd: \(message)")
    }

    private static func endpoint(_ text: Substring) throws(RegistryURL.Problem) -> Endpoint {
        if let socket = SocketAddress(text), socket.port != 0 {
            return Endpoint(host: socket.ip.description, port: socket.port)
        }
        if text.hasPrefix("["), text.hasSuffix("]"), let address = IPAddress(text.dropFirst().dropLast()) {
            return Endpoint(host: address.description, port: 2379)
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let host = parts[0].lowercased()
        let port = parts.count == 2 ? PortText.port(parts[1]) : 2379
        guard let port, HostNameText.isValid(host) || IPAddress(host) != nil else {
            throw problem("\(OneLine.quoted(text)) is not HOST or HOST:PORT")
        }
        return Endpoint(host: host, port: port)
    }

    private static func prefix(_ path: Substring) throws(RegistryURL.Problem) -> String {
        var path = path
        while path.hasSuffix("/") { path = path.dropLast() }
        guard !path.isEmpty else { return defaultPrefix }
        guard path.utf8.count <= 256, path.utf8.allSatisfy({ (0x21...0x7e).contains($0) }), !path.contains("//") else {
            throw problem("\(OneLine.quoted(path)) is not a prefix of keys: up to 256 visible ASCII characters")
        }
        return String(path)
    }

    /// Percent-decoding (RFC 3986 section 2.1) of a user's name or password.
    private static func decoded(_ text: Substring) throws(RegistryURL.Problem) -> String {
        var octets: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                octets.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, !digits.hasPrefix("+"), let value = UInt8(digits, radix: 16) else {
                throw problem("a '%' in the user's name or password is not followed by two hexadecimal digits")
            }
            octets.append(value)
            rest = rest.dropFirst(2)
        }
        guard let result = String(validating: octets, as: UTF8.self), octets.count <= 256,
            octets.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { throw problem("the user's name or password is no text of up to 256 bytes") }
        return result
    }
}
