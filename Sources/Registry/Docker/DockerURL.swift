public import NetAddress

/// `docker:///var/run/docker.sock[?PARAMETERS]`, `docker://HOST[:PORT][?PARAMETERS]`, or `dockers://` for TLS: a Docker
/// engine, and how what runs there is reached (docs/docker.md).
public struct DockerURL: Hashable, Sendable, CustomStringConvertible {
    public enum Engine: Hashable, Sendable {
        case unix(path: String)
        /// A name or an IP address without brackets.
        case tcp(host: String, port: UInt16)
    }

    /// Where connections to a container go.
    public enum Reach: String, Hashable, Sendable {
        /// The container's own address on one of its networks.
        case container
        /// The address of the engine's machine, at the ports that the engine publishes there.
        case host
    }

    private static let parameters = ["address", "network", "reach", "node", "zone"]

    public let engine: Engine
    /// `nil`: in clear.
    public let tls: RegistryTLS?
    /// Of the engine's machine, for containers on the machine's own network and for `reach=host`.
    public let address: IPAddress
    /// Whether `address` was said, or follows from where the engine is.
    public let isAddressSaid: Bool
    /// The network whose address is taken where a container names none.
    public let network: String?
    public let reach: Reach
    /// Of the instances; `nil`: this node, where the engine is on it.
    public let node: String?
    public let zone: String?
    /// As written, normalised, without the parameters of TLS.
    public let description: String

    /// Whether the engine is this machine's, so that its containers are this node's.
    public var isLocal: Bool { if case .unix = engine { true } else { false } }

    /// Reads what stands behind `docker:` or `dockers:`.
    init(rest: Substring, isSecure: Bool) throws(RegistryURL.Problem) {
        guard rest.hasPrefix("//") else { throw Self.problem("write docker:///PATH or docker://HOST:PORT") }
        let parts = rest.dropFirst(2).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        engine = try Self.engine(parts[0], defaultPort: isSecure ? 2376 : 2375)
        if isSecure, case .unix = engine { throw Self.problem("a socket of a path is docker://, without TLS") }
        let given = try URLParameters(
            parts.count == 2 ? parts[1] : "", of: "docker",
            known: Self.parameters + (isSecure ? RegistryTLS.parameters : []))
        tls = isSecure ? try RegistryTLS(given) : nil
        isAddressSaid = given["address"] != nil
        address = try Self.address(given["address"], engine)
        network = try Self.name(given["network"], "network")
        node = try Self.name(given["node"], "node")
        zone = try Self.name(given["zone"], "zone")
        guard let reach = Reach(rawValue: given["reach"] ?? "container") else {
            throw Self.problem("reach is container or host")
        }
        self.reach = reach
        let query = Self.parameters.sorted().compactMap { name in given[name].map { "\(name)=\($0)" } }
        let scheme = isSecure ? "dockers" : "docker"
        description =
            "\(scheme)://\(Self.text(engine))" + (query.isEmpty ? "" : "?\(query.joined(separator: "&"))")
    }

    private static func problem(_ message: String) -> RegistryURL.Problem {
        RegistryURL.Problem(message: "docker: \(message)")
    }

    private static func text(_ engine: Engine) -> String {
        switch engine {
        case .unix(let path): path
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    private static func engine(_ text: Substring, defaultPort: UInt16) throws(RegistryURL.Problem) -> Engine {
        if text.hasPrefix("/") {
            // sun_path of unix(7).
            guard text.utf8.count <= 107, text.utf8.count > 1, !text.utf8.contains(0) else {
                throw problem("the path of a socket has 1 to 107 bytes")
            }
            return .unix(path: String(text))
        }
        let text = text.hasSuffix("/") ? text.dropLast() : text
        if let socket = SocketAddress(text), socket.port != 0 {
            return .tcp(host: socket.ip.description, port: socket.port)
        }
        if text.hasPrefix("["), text.hasSuffix("]"), let address = IPAddress(text.dropFirst().dropLast()) {
            return .tcp(host: address.description, port: defaultPort)
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let host = parts[0].lowercased()
        let port = parts.count == 2 ? PortText.port(parts[1]) : defaultPort
        guard let port, HostNameText.isValid(host) || IPAddress(host) != nil else {
            throw problem("\(OneLine.quoted(text)) is not /PATH, HOST or HOST:PORT")
        }
        return .tcp(host: host, port: port)
    }

    private static func address(_ text: String?, _ engine: Engine) throws(RegistryURL.Problem) -> IPAddress {
        guard let text else {
            if case .tcp(let host, _) = engine, let address = IPAddress(host) { return address }
            return .loopbackV4
        }
        guard let address = IPAddress(text), !address.isUnspecified else {
            throw problem("address: \(OneLine.quoted(text)) is not an IP address")
        }
        return address
    }

    private static func name(_ text: String?, _ option: String) throws(RegistryURL.Problem) -> String? {
        guard let text else { return nil }
        guard InstanceText.isName(text) else { throw problem("\(option) has 1 to 128 visible ASCII characters") }
        return text
    }
}
