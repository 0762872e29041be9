import NetAddress

// Where the workers listen: the configuration's addresses, the VIPs, the published ports.

extension SnapshotCompiler {
    /// Published ports by service, in the order of its spec.
    public var published: [String: [PublishedPortState]] { publishedPorts.states }

    /// Numbers that were chosen for published ports, to be kept over a restart.
    public var assignedPorts: [String: UInt16] { publishedPorts.assigned }

    /// Restores numbers that were chosen before a restart.
    public mutating func restore(ports saved: [String: UInt16]) { publishedPorts.restore(saved) }

    /// Takes in numbers of published ports that the nodes have agreed on, by the key of `PublishedNumber`; `nil` as a
    /// number: nothing any more. From the first call on none is chosen here.
    public mutating func agree(onPorts changes: [String: UInt16?]) { publishedPorts.agree(changes) }

    /// Published ports that wait for the nodes to agree on their number.
    public var wantedPorts: [PortWant] { publishedPorts.wants }

    /// Numbers that services ask for by name.
    public var reservedPorts: Set<PublishedNumber> { publishedPorts.reserved }

    /// Whether an instance of the service runs on this node.
    func isHere(_ entry: Catalogue.Entry) -> Bool {
        guard let own = options.locality.node else { return false }
        return entry.instances.contains { $0.node == own }
    }

    mutating func compileListeners() -> [ListenerPlan] {
        var plans = options.fixedListeners
        var owners = Dictionary(plans.map { ($0.key, $0.owner) }, uniquingKeysWith: { first, _ in first })
        listenerProblems = []
        let sorted = records.sorted { $0.key < $1.key }
        for plan in sorted.flatMap({ vipPlans($0.key, $0.value) }) {
            if let owner = owners[plan.key] {
                listenerProblems.append("\(plan.owner): \(plan.address) is already taken by \(owner)")
            } else {
                owners[plan.key] = plan.owner
                plans.append(plan)
            }
        }
        let services = sorted.map {
            PublishedPorts.Service(
                name: $0.key, ports: $0.value.entry.spec.publishedPorts, isHere: isHere($0.value.entry))
        }
        publishedPorts.update(services, publishAddress: options.publishAddress, fixed: owners)
        for (name, record) in sorted { plans += publishedPlans(name, record) }
        return plans
    }

    private func vipPlans(_ name: String, _ record: Record) -> [ListenerPlan] {
        guard let vip = record.vip else { return [] }
        let spec = record.entry.spec
        let streams = Self.tcpPorts(spec).sorted().compactMap { port -> ListenerPlan? in
            guard let pool = record.pools[port] else { return nil }
            let hasRoute = spec.routes.contains {
                $0.containerPort == port && ($0.scheme == .http || $0.scheme == .ws)
            }
            let layer = spec.vipProtocols[port] ?? (hasRoute ? .http : .tcp)
            return plan(SocketAddress(vip, port), layer, pool, "service \(name), VIP port \(port)", isVIP: true)
        }
        return streams
            + Self.udpPorts(spec).sorted().compactMap { port in
                record.pools[port].map { pool in
                    ListenerPlan(
                        address: SocketAddress(vip, port), role: .datagrams(pool: pool),
                        owner: "service \(name), VIP port \(port)/udp", isVIP: true)
                }
            }
    }

    private mutating func publishedPlans(_ name: String, _ record: Record) -> [ListenerPlan] {
        var plans: [ListenerPlan] = []
        for state in publishedPorts.states[name] ?? [] {
            let published = state.published
            let number = published.port == 0 ? "for \(published.containerPort)" : "\(published.port)"
            let owner = "service \(name), published port \(number)"
            if let clash = state.clash { listenerProblems.append("\(owner): \(clash)") }
            let pools = published.mode == .host ? record.hostPools : record.pools
            guard let address = state.address, let pool = pools[published.containerPort] else { continue }
            if published.transport == .udp {
                plans.append(ListenerPlan(address: address, role: .datagrams(pool: pool), owner: "\(owner)/udp"))
            } else {
                plans.append(plan(address, published.layer, pool, owner))
            }
        }
        return plans
    }

    private func plan(
        _ address: SocketAddress, _ layer: PortProtocol, _ pool: Int32, _ owner: String, isVIP: Bool = false
    ) -> ListenerPlan {
        ListenerPlan(
            address: address, role: layer == .http ? .http(pool: pool) : .relay(pool: pool), owner: owner, isVIP: isVIP)
    }
}
