public import NetAddress

/// Where this node itself listens, so that instances which lead back to it are seen: to pick one would ask this node
/// again, which would pick again, until it runs out of descriptors.
public struct OwnListeners: Equatable, Sendable {
    /// Addresses listened on, by port.
    private var streams: [UInt16: [IPAddress]] = [:]
    private var datagrams: [UInt16: [IPAddress]] = [:]
    /// Addresses of the node's interfaces. Loopback addresses and VIPs are its own in any case.
    private var local: Set<IPAddress> = []

    public init() {}

    /// - Parameters:
    ///   - keys: what is listened on.
    ///   - local: addresses of the node's interfaces, which a listener on every address answers at.
    public init(_ keys: Set<ListenerKey>, local: Set<IPAddress>) {
        self.local = local
        for key in keys.sorted(by: { ($0.address.port, $0.address.ip) < ($1.address.port, $1.address.ip) }) {
            switch key.transport {
            case .tcp: streams[key.address.port, default: []].append(key.address.ip)
            case .udp: datagrams[key.address.port, default: []].append(key.address.ip)
            }
        }
    }

    /// Whether a connection (or datagram) to the address would come back to this node.
    ///
    /// - Parameter virtual: the VIP range.
    func leadsBack(
        _ address: SocketAddress, _ transport: PublishedPort.Transport, virtual: IPNetwork
    ) -> Bool {
        let table = transport == .tcp ? streams : datagrams
        guard let ips = table[address.port] else { return false }
        let isLocal = { address.ip.isLoopback || virtual.contains(address.ip) || local.contains(address.ip) }
        return ips.contains { $0 == address.ip || $0.covers(address.ip) && isLocal() }
    }

    /// One flag for each port that something listens on.
    func marks() -> [Bool] {
        var marks = [Bool](repeating: false, count: 1 << 16)
        for port in streams.keys { marks[Int(port)] = true }
        for port in datagrams.keys { marks[Int(port)] = true }
        return marks
    }
}

extension SnapshotCompiler {
    /// Takes in where this node listens now.
    ///
    /// - Returns: services with an instance that leads back to this node now, or no longer; they are to be compiled.
    public mutating func listens(on listeners: OwnListeners) -> Set<String> {
        guard listeners != own else { return [] }
        let (before, after) = (own, listeners)
        own = after
        let marks = zip(before.marks(), after.marks()).map { $0 || $1 }
        return endpointIDs.services { address in
            guard marks[Int(address.port)] else { return false }
            return [PublishedPort.Transport.tcp, .udp].contains {
                before.leadsBack(address, $0, virtual: options.vipRange)
                    != after.leadsBack(address, $0, virtual: options.vipRange)
            }
        }
    }

    /// Whether an instance that is reached at `address` for this container port leads back to this node.
    public func leadsBack(_ address: SocketAddress, _ spec: ServiceSpec, _ containerPort: UInt16) -> Bool {
        if own.leadsBack(address, .tcp, virtual: options.vipRange), Self.tcpPorts(spec).contains(containerPort) {
            return true
        }
        return own.leadsBack(address, .udp, virtual: options.vipRange)
            && Self.udpPorts(spec).contains(containerPort)
    }
}
