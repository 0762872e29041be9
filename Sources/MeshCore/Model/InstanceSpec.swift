public import NetAddress

/// What a source says of one running copy of a service.
public struct InstanceSpec: Hashable, Sendable {
    /// Unique within the service; from a source that has no names of its own, the address text.
    public var id: String
    /// Name of the service.
    public var service: String
    public var address: IPAddress
    /// Container port → the port the instance itself listens on; a port that is absent is reached as it is.
    public var portMap: [UInt16: UInt16]
    /// Where the instance's one unnamed port leads (`ADDRESS:PORT`): used for every container port not in `portMap`.
    public var solePort: UInt16?
    public var node: String?
    public var zone: String?
    /// 0...1,000; 0 takes no new picks.
    public var weight: Int
    public var version: String?
    /// Drain: what is in flight may finish, no new picks.
    public var isDraining: Bool
    /// What the node that announces the instance finds by probing it; `nil`: nobody tells, each node probes by itself.
    public var verdict: AnnouncedVerdict?

    public init(
        id: String, service: String, address: IPAddress, portMap: [UInt16: UInt16] = [:], solePort: UInt16? = nil,
        node: String? = nil, zone: String? = nil, weight: Int = 1, version: String? = nil, isDraining: Bool = false,
        verdict: AnnouncedVerdict? = nil
    ) {
        self.id = id
        self.service = service
        self.address = address
        self.portMap = portMap
        self.solePort = solePort
        self.node = node
        self.zone = zone
        self.weight = weight
        self.version = version
        self.isDraining = isDraining
        self.verdict = verdict
    }

    /// Where `containerPort` of this instance is reached.
    public func socketAddress(containerPort: UInt16) -> SocketAddress {
        SocketAddress(address, portMap[containerPort] ?? solePort ?? containerPort)
    }

    public var key: InstanceKey { InstanceKey(service: service, id: id) }
}

/// An instance's health as the node that probes it announces it.
public enum AnnouncedVerdict: Hashable, Sendable {
    case starting
    case healthy
    case unhealthy(cause: String?)
}

/// Names one instance in the whole catalogue.
public struct InstanceKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let service: String
    public let id: String

    public init(service: String, id: String) {
        self.service = service
        self.id = id
    }

    public var description: String { "\(service)/\(id)" }

    public static func < (a: Self, b: Self) -> Bool { (a.service, a.id) < (b.service, b.id) }
}
