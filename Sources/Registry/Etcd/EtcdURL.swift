public import NetAddress

/// `etcd://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]]...[/PREFIX][?PARAMETERS]`, or `etcds://` for TLS: the members of
/// one etcd cluster and the prefix of the keys that are the mesh's.
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
    public let password: RegistryPassword?
    /// `nil`: in clear.
    public let tls: RegistryTLS?
    /// Begins with `/` and does not end with one.
    public let prefix: String

    /// Without the password and the parameters: it stands in logs and on status pages.
    public var description: String {
        let who = user.map { "\($0)@" } ?? ""
        let scheme = tls == nil ? "etcd" : "etcds"
        return "\(scheme)://\(who)\(endpoints.map(\.description).joined(separator: ","))\(prefix)"
    }

    /// Reads what stands behind `etcd:` or `etcds:`.
    init(rest: Substring, isSecure: Bool) throws(RegistryURL.Problem) {
        guard rest.hasPrefix("//") else { throw Self.problem("write etcd://HOST:2379/PREFIX") }
        var authority = rest.dropFirst(2)
        let mark = authority.firstIndex(of: "?") ?? authority.endIndex
        let parameters = try URLParameters(
            authority[mark...].dropFirst(), of: "etcd",
            known: (isSecure ? RegistryTLS.parameters : []) + RegistryPassword.parameters)
        authority = authority[..<mark]
        tls = isSecure ? try RegistryTLS(parameters) : nil
        var path = Substring()
        if let slash = authority.firstIndex(of: "/") {
            path = authority[slash...]
            authority = authority[..<slash]
        }
        if let at = authority.lastIndex(of: "@") {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let what = "the user's name or password"
            user = try URLParameters.decoded(parts[0], what, of: "etcd")
            let text = parts.count == 2 ? try URLParameters.decoded(parts[1], what, of: "etcd") : nil
            password = try RegistryPassword(parameters, text: text)
            guard user != "" else { throw Self.problem("the user's name is empty") }
            authority = authority[authority.index(after: at)...]
        } else {
            user = nil
            password = nil
            guard try RegistryPassword(parameters, text: nil) == nil else {
                throw Self.problem("a password without a user")
            }
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
}
