public import NetAddress

/// What a source says of a service: its ports, names, routes, policy and probe.
///
/// A value without derived state; `SnapshotCompiler` turns the merged specs into tables.
public struct ServiceSpec: Hashable, Sendable {
    /// Unique in the catalogue; `shop-web`.
    public var name: String
    /// DNS names beside the service's own that resolve to its VIP, lower case, without a final dot.
    public var aliases: [String]
    public var routes: [RouteSpec]
    public var publishedPorts: [PublishedPort]
    /// Container ports known from labels, `ports` and `expose`; each is served on the VIP.
    public var containerPorts: [UInt16]
    /// Container ports reached over UDP, each served on the VIP.
    public var udpPorts: [UInt16]
    /// `mesh.vip.<port>.protocol`: overrides which layer serves a VIP port.
    public var vipProtocols: [UInt16: PortProtocol]
    public var policy: BalancePolicy
    /// `nil`: instances are always healthy.
    public var probe: ProbeSpec?
    /// `aliyun.scale`: how many instances the operator asked for; shown in `status`, otherwise without effect.
    public var scale: Int?
    /// Share of a route that several services have in common, 0...100 (semantics 1.3).
    public var weight: Int
    /// Clients stay with the instance they met first, by a cookie (semantics 1.2).
    public var isSticky: Bool
    /// A VIP demanded by the source; `nil`: hashed from the name.
    public var vip: IPAddress?
    /// Which instances are picked before all others; `nil`: none.
    public var preference: LocalityPreference?
    /// Seconds in which an instance's weight rises to its own after it became healthy, 0...3,600; 0: at once.
    public var slowStartSeconds: Double
    /// What instances are spoken to in.
    public var instanceProtocol = InstanceProtocol.http1
    /// The certificate that the service brings along for its names.
    public var certificate: CertificateSpec?
    /// `nil`: instances are spoken to in clear.
    public var upstreamTLS: UpstreamTLS?
    /// Connections to instances begin with a PROXY header of this version; `nil`: they do not.
    public var proxyVersion: ProxyVersion?
    /// How long relayed TCP sessions may be without a byte, 0...604,800,000; 0: for ever; `nil`: as the node's
    /// settings say.
    public var tcpIdleMilliseconds: UInt32?

    public init(
        name: String, aliases: [String] = [], routes: [RouteSpec] = [], publishedPorts: [PublishedPort] = [],
        containerPorts: [UInt16] = [], vipProtocols: [UInt16: PortProtocol] = [:],
        policy: BalancePolicy = .roundRobin, probe: ProbeSpec? = nil, scale: Int? = nil, weight: Int = 100,
        isSticky: Bool = false, vip: IPAddress? = nil, preference: LocalityPreference? = nil,
        slowStartSeconds: Double = 0, proxyVersion: ProxyVersion? = nil, udpPorts: [UInt16] = []
    ) {
        self.name = name
        self.aliases = aliases
        self.routes = routes
        self.publishedPorts = publishedPorts
        self.containerPorts = containerPorts
        self.udpPorts = udpPorts
        self.vipProtocols = vipProtocols
        self.policy = policy
        self.probe = probe
        self.scale = scale
        self.weight = weight
        self.isSticky = isSticky
        self.vip = vip
        self.preference = preference
        self.slowStartSeconds = slowStartSeconds
        self.proxyVersion = proxyVersion
    }
}

/// What an instance is spoken to in, exchange by exchange.
public enum InstanceProtocol: UInt8, Hashable, Sendable, BitwiseCopyable {
    case http1
    /// Known beforehand in clear, agreed on by ALPN over TLS.
    case http2
}

/// Which layer serves a port: relayed bytes, or exchange by exchange.
public enum PortProtocol: String, Hashable, Sendable {
    case tcp, http
}

/// A port on the nodes themselves that leads to a container port.
public struct PublishedPort: Hashable, Sendable {
    public enum Transport: String, Hashable, Sendable, CaseIterable {
        case tcp, udp
    }

    /// Which nodes take part.
    public enum Mode: String, Hashable, Sendable {
        /// Every node, with all instances.
        case ingress
        /// Nodes with an instance of their own, each with its own.
        case host
    }

    /// Address to listen on; `nil`: the node's `--publish-address`.
    public var address: IPAddress?
    /// 0: the mesh chooses one of 30000…32767.
    public var port: UInt16
    public var containerPort: UInt16
    public var transport: Transport
    /// How TCP is served: relayed, or as HTTP (`mesh.publish.<port>.protocol`).
    public var layer: PortProtocol
    public var mode: Mode

    public init(
        address: IPAddress? = nil, port: UInt16, containerPort: UInt16, transport: Transport = .tcp,
        layer: PortProtocol = .tcp, mode: Mode = .ingress
    ) {
        self.address = address
        self.port = port
        self.containerPort = containerPort
        self.transport = transport
        self.layer = layer
        self.mode = mode
    }

    public var isDynamic: Bool { port == 0 }
}

/// How an instance is chosen among the healthy ones.
public enum BalancePolicy: String, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case roundRobin = "round_robin"
    case weightedRoundRobin = "weighted_round_robin"
    case leastConnections = "least_connections"
    case powerOfTwoChoices = "power_of_two"
    /// The client's address decides, by rendezvous: an instance that leaves moves its own clients and no others. A
    /// pick looks at every instance.
    case sourceHash = "source_hash"
    /// The client's address decides, by a table: a pick looks at one slot, and few other clients move.
    case maglev

    var picksByHash: Bool { self == .sourceHash || self == .maglev }
}

/// A service's wish that clients stay near (`mesh.balance.prefer`).
public struct LocalityPreference: Hashable, Sendable {
    public enum Place: String, Hashable, Sendable, CaseIterable {
        /// The instances of the client's node, then those of its zone, then all.
        case node
        /// The instances of the zone, then all.
        case zone
    }

    public var place: Place
    /// The next wider place takes part where fewer than so many percent of a place's instances may be picked; 1...100.
    public var spillBelowPercent: Int

    public init(_ place: Place, spillBelowPercent: Int = 50) {
        self.place = place
        self.spillBelowPercent = spillBelowPercent
    }
}

/// How a node asks an instance whether it is healthy (semantics 1.4).
public struct ProbeSpec: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// GET `path` on the container port; 2xx and 3xx are healthy.
        case http(containerPort: UInt16, path: String)
        /// A connection to the container port is enough.
        case tcp(containerPort: UInt16)
        /// grpc.health.v1 in clear; `service` empty: the server as a whole.
        case grpc(containerPort: UInt16, service: String)
        /// Run in the instance's container; status 0 is healthy. Instances in no container of this node's engine are
        /// not asked.
        case command([String])
    }

    public var kind: Kind
    /// Of an `http` probe: asked over TLS; `nil`: in clear.
    public var tls: UpstreamTLS?
    /// Seconds after the instance appeared in which it is neither picked nor failed; 0...86,400.
    public var initialDelaySeconds: Double
    /// Seconds from start of a probe to its failure; above 0, up to 3,600.
    public var timeoutSeconds: Double
    /// Seconds between starts of two probes; 0.1...86,400.
    public var intervalSeconds: Double
    /// Passes in a row that bring a failed instance back; 1...100.
    public var rise: Int
    /// Failures in a row that take an instance out; 1...100.
    public var fall: Int
    /// `http` probes begin with a PROXY header that speaks for this node; `nil`: they do not.
    public var proxyVersion: ProxyVersion?

    public init(
        kind: Kind, initialDelaySeconds: Double = 0, timeoutSeconds: Double = 2, intervalSeconds: Double = 2,
        rise: Int = 2, fall: Int = 1, proxyVersion: ProxyVersion? = nil
    ) {
        self.kind = kind
        self.initialDelaySeconds = initialDelaySeconds
        self.timeoutSeconds = timeoutSeconds
        self.intervalSeconds = intervalSeconds
        self.rise = rise
        self.fall = fall
        self.proxyVersion = proxyVersion
    }
}
