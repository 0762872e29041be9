public import NetAddress

/// Turns the catalogue and the instances' states into snapshots. Services that did not change are not looked at: the
/// work is in proportion to what changed, and pools, the host table and the listener list are shared where they are
/// still right.
public struct SnapshotCompiler {
    public struct Options: Sendable {
        public var vipRange: IPNetwork
        /// Where published ports listen that name no address.
        public var publishAddress: IPAddress
        /// Whether `*.local` hosts are served on the web listeners (semantics 1.1).
        public var servesLocalNames: Bool
        /// Listeners of the configuration: the web listeners.
        public var fixedListeners: [ListenerPlan]
        /// Where this meshd runs, for services that prefer what is near.
        public var locality: Locality
        /// The same on all nodes.
        public var sessionKey: SessionKey

        public init(
            vipRange: IPNetwork, publishAddress: IPAddress, servesLocalNames: Bool = false,
            fixedListeners: [ListenerPlan] = [], locality: Locality = Locality(), sessionKey: SessionKey = .none
        ) {
            self.vipRange = vipRange
            self.publishAddress = publishAddress
            self.servesLocalNames = servesLocalNames
            self.fixedListeners = fixedListeners
            self.locality = locality
            self.sessionKey = sessionKey
        }
    }

    /// What became of one service.
    public struct Record: Sendable {
        public let entry: Catalogue.Entry
        public let vip: IPAddress?
        /// Container port → pool.
        public let pools: [UInt16: Int32]
        /// Container port → pool of this node's own instances, for ports published in host mode.
        public let hostPools: [UInt16: Int32]
        /// What `tasks.<service>` resolves to.
        let tasks: [IPAddress]

        func with(vip: IPAddress?) -> Record {
            Record(entry: entry, vip: vip, pools: pools, hostPools: hostPools, tasks: tasks)
        }
    }

    let options: Options
    private var vips: VIPAllocator
    var endpointIDs = EndpointIDs()
    var own = OwnListeners()
    /// Instances that lead back to this node, by service: one sentence for each and port.
    private var ownProblems: [String: Set<String>] = [:]
    /// By pool id, in pages, so that a change copies little.
    private var storage: [[PoolStorage?]] = []
    private static let storagePageSize = 64
    private var poolLists: [Int32: PoolContent] = [:]
    /// A connection to a VIP remembers its pool: hence they rest.
    private var poolIDs = RestingIDs()
    public private(set) var records: [String: Record] = [:]
    /// Every name and what it resolves to, by name.
    public internal(set) var zone: [ZoneEntry] = []
    /// What the last compilation changed in `zone`.
    public internal(set) var zoneChange = ZoneChange.nothing
    /// What could not be had: VIPs, ports, names. One sentence each.
    public private(set) var problems: [String] = []
    private var vipProblems: [String: String] = [:]
    var nameProblems: [String] = []
    private var routeProblems: [String] = []
    /// The shares of routes that services have in common.
    public private(set) var shares = ShareWeights()
    public internal(set) var listenerProblems: [String] = []
    var publishedPorts = PublishedPorts()
    private var last = Snapshot()
    private var slowStarts = SlowStarts()
    /// Ids of endpoints whose instance is drained.
    private var draining: Set<Int32> = []

    private struct PoolContent: Equatable {
        let list: [EndpointID]
        let policy: BalancePolicy
        let session: UInt32
        let speaks: InstanceProtocol
        let proxyVersion: ProxyVersion?
        let tcpIdleMilliseconds: UInt32?
    }

    private struct EndpointID: Equatable {
        let id: Int32
        let incarnation: UInt32
        let weight: Int32
    }

    private struct Dirt {
        var hosts = false
        var listeners = false
        /// Names or VIPs changed.
        var zone = false
        /// Services whose `tasks` changed.
        var tasks: [String] = []
        var pools: [Int: Pool] = [:]
        var flowKeepers: [Int: UInt32] = [:]
        var now: UInt64 = 0
    }

    public init(options: Options) {
        self.options = options
        vips = VIPAllocator(range: options.vipRange)
    }

    /// Restores addresses that services had before a restart.
    public mutating func restore(vips saved: [String: IPAddress]) {
        for (service, address) in saved.sorted(by: { $0.key < $1.key }) where options.vipRange.contains(address) {
            _ = vips.assign(service, demanded: address)
        }
    }

    /// Restores the weights that were in force before a restart, so that a change meanwhile is one.
    public mutating func restore(weights saved: [String: Int]) { shares = ShareWeights(inForce: saved) }

    /// Whether an address is one of the VIP range.
    public func isVirtual(_ ip: IPAddress) -> Bool { options.vipRange.contains(ip) }

    public var assignedVIPs: [String: IPAddress] { vips.assigned }

    /// Services that wait for the nodes to agree on their VIP.
    public var wantedVIPs: [VIPWant] { vips.wants }

    /// Takes in VIPs that the nodes have agreed on (`VIPAllocator.agree`). The caller marks those services dirty.
    public mutating func agree(onVIPs changes: [String: IPAddress?]) { vips.agree(changes) }

    /// The endpoints of an instance, one for each container port that may be asked for.
    public func endpoints(of instance: InstanceKey) -> [EndpointName] {
        guard let spec = records[instance.service]?.entry.spec else { return [] }
        return Self.ports(spec).compactMap { endpointIDs.name(EndpointKey(instance: instance, containerPort: $0)) }
    }

    /// Which instance an endpoint id belongs to.
    public func endpointOwner(_ id: Int32) -> EndpointKey? { endpointIDs.owner(id) }

    /// Compiles the next generation.
    ///
    /// - Parameters:
    ///   - dirty: services whose entry, or an instance's state, changed since the last call.
    ///   - now: for slow starts.
    ///   - state: the present state of an instance.
    public mutating func compile(
        _ catalogue: Catalogue, dirty: Set<String>, nowNanoseconds now: UInt64 = 0,
        state: (InstanceKey) -> InstanceState
    ) -> Snapshot {
        var dirt = Dirt()
        dirt.now = now
        let names = dirty.sorted()
        // What goes makes room first: a renamed service takes its VIP along.
        for name in names where catalogue.entries[name] == nil { remove(name, &dirt) }
        for name in names { if let entry = catalogue.entries[name] { update(entry, &dirt, state) } }
        for name in vips.takeEvicted() { evict(name, &dirt) }
        retryVIPs(&dirt)
        let hosts = dirt.hosts ? compileHosts() : last.hosts
        let serverNames = dirt.hosts ? compileServerNames() : last.serverNames
        let upstreamTLS = dirt.hosts ? compileUpstreamTLS() : last.upstreamTLS
        let generation = last.generation + 1
        let hasOldListeners = !dirt.listeners && !publishedPorts.isStale && last.generation > 0
        let listeners = hasOldListeners ? last.listeners : compileListeners()
        if dirt.zone { compileZone() } else { patchZone(dirt.tasks) }
        let incarnations = last.incarnations.replacing(endpointIDs.changes)
        for (id, incarnation) in endpointIDs.changes where incarnation == 0 {
            dirt.flowKeepers[id] = 0
            draining.remove(Int32(id))
        }
        endpointIDs.changes = [:]
        problems = vipProblems.values.sorted() + nameProblems + routeProblems + listenerProblems
        problems += ownProblems.values.joined().sorted()
        last = Snapshot(
            generation: generation, hosts: hosts, serverNames: serverNames,
            upstreamTLS: upstreamTLS, pools: last.pools.replacing(dirt.pools),
            incarnations: incarnations, flowKeepers: last.flowKeepers.replacing(dirt.flowKeepers),
            draining: draining, listeners: listeners,
            listenersGeneration: hasOldListeners ? last.listenersGeneration : generation, storage: storage)
        return last
    }

    private mutating func update(_ entry: Catalogue.Entry, _ dirt: inout Dirt, _ state: (InstanceKey) -> InstanceState)
    {
        let spec = entry.spec
        ownProblems[spec.name] = nil
        let before = records[spec.name]
        let vip = assignVIP(spec)
        var pools = before?.pools ?? [:]
        let ports = Self.ports(spec)
        for port in ports where pools[port] == nil { pools[port] = poolIDs.take() }
        for port in pools.keys where !ports.contains(port) { release(&pools, port, &dirt) }
        var hostPools = before?.hostPools ?? [:]
        let hostPorts = Set(spec.publishedPorts.filter { $0.mode == .host }.map(\.containerPort))
        for port in hostPorts where hostPools[port] == nil { hostPools[port] = poolIDs.take() }
        for port in hostPools.keys where !hostPorts.contains(port) { release(&hostPools, port, &dirt) }
        releasePorts(before?.entry.spec, but: ports)
        let isHealthy = entry.instances.map { state($0.key) == .healthy }
        let members = members(entry, dirt.now, isHealthy)
        for (port, pool) in pools { fill(pool, port, entry, members, &dirt) }
        let own = hostPools.isEmpty ? [] : ownMembers(entry, members)
        for (port, pool) in hostPools { fill(pool, port, entry, own, &dirt) }
        if !hostPools.isEmpty, before.map({ isHere($0.entry) }) != isHere(entry) { dirt.listeners = true }
        let tasks = Self.tasks(entry, isHealthy)
        records[spec.name] = Record(entry: entry, vip: vip, pools: pools, hostPools: hostPools, tasks: tasks)
        if before?.entry.spec != spec || before?.vip != vip {
            (dirt.hosts, dirt.listeners, dirt.zone) = (true, true, true)
        } else if before?.tasks != tasks {
            dirt.tasks.append(spec.name)
        }
        // A weight that waits for an instance may have its way now.
        if shares.held.contains(spec.name) { dirt.hosts = true }
    }

    private mutating func assignVIP(_ spec: ServiceSpec) -> IPAddress? {
        let vip = vips.assign(spec.name, demanded: spec.vip)
        // One that the nodes are about to agree on is no problem yet.
        guard vip == nil, !vips.isAgreeing || spec.vip != nil else {
            vipProblems[spec.name] = nil
            return vip
        }
        let cause = spec.vip.map { "\($0) is another service's" } ?? "the range \(options.vipRange) is used up"
        vipProblems[spec.name] = "service \(spec.name): no virtual IP: \(cause)"
        return nil
    }

    private mutating func evict(_ name: String, _ dirt: inout Dirt) {
        guard let record = records[name] else { return }
        let vip = assignVIP(record.entry.spec)
        records[name] = record.with(vip: vip)
        (dirt.listeners, dirt.zone) = (true, true)
    }

    /// Services that found no address may find one now that all others have been updated.
    private mutating func retryVIPs(_ dirt: inout Dirt) {
        for name in vipProblems.keys.sorted() {
            guard let record = records[name], let vip = assignVIP(record.entry.spec) else { continue }
            records[name] = record.with(vip: vip)
            (dirt.listeners, dirt.zone) = (true, true)
        }
    }

    private mutating func remove(_ name: String, _ dirt: inout Dirt) {
        slowStarts.remove(service: name)
        vipProblems[name] = nil
        ownProblems[name] = nil
        vips.release(name)
        guard let record = records.removeValue(forKey: name) else { return }
        var pools = record.pools
        for port in record.pools.keys { release(&pools, port, &dirt) }
        var hostPools = record.hostPools
        for port in record.hostPools.keys { release(&hostPools, port, &dirt) }
        releasePorts(record.entry.spec, but: [])
        (dirt.hosts, dirt.listeners, dirt.zone) = (true, true, true)
    }

    /// Every container port that a listener, a route or a probe may ask for.
    private static func ports(_ spec: ServiceSpec) -> Set<UInt16> {
        tcpPorts(spec).union(udpPorts(spec))
    }

    static func tcpPorts(_ spec: ServiceSpec) -> Set<UInt16> {
        let published = spec.publishedPorts.filter { $0.transport == .tcp }
        return Set(spec.containerPorts).union(spec.routes.map(\.containerPort)).union(published.map(\.containerPort))
    }

    static func udpPorts(_ spec: ServiceSpec) -> Set<UInt16> {
        let published = spec.publishedPorts.filter { $0.transport == .udp }
        return Set(spec.udpPorts).union(published.map(\.containerPort))
    }

    private mutating func release(_ pools: inout [UInt16: Int32], _ port: UInt16, _ dirt: inout Dirt) {
        guard let pool = pools.removeValue(forKey: port) else { return }
        keep(nil, of: pool)
        poolLists[pool] = nil
        dirt.pools[Int(pool)] = Pool.none
        poolIDs.giveBack(pool)
    }

    private mutating func keep(_ memory: PoolStorage?, of pool: Int32) {
        let (page, place) = Int(pool).quotientAndRemainder(dividingBy: Self.storagePageSize)
        while storage.count <= page { storage.append(Array(repeating: nil, count: Self.storagePageSize)) }
        storage[page][place] = memory
    }

    /// Gives up the endpoints of ports that the service no longer has; those of instances go where pools are filled.
    private mutating func releasePorts(_ before: ServiceSpec?, but ports: Set<UInt16>) {
        guard let before else { return }
        for port in Self.ports(before).subtracting(ports) { endpointIDs.release(before.name, port) }
    }

    /// What each instance of the service is to its pools now.
    private mutating func members(
        _ entry: Catalogue.Entry, _ now: UInt64, _ isHealthy: [Bool]
    ) -> [Member] {
        let spec = entry.spec
        let isOpen = zip(entry.instances, isHealthy).map { $1 && !$0.isDraining && $0.weight > 0 }
        var weights = entry.instances.map { spec.policy == .roundRobin ? 1 : $0.weight }
        slowStarts.update(entry, isOpen, now)
        if spec.slowStartSeconds > 0 {
            for (index, instance) in entry.instances.enumerated() where isOpen[index] {
                weights[index] *= slowStarts.step(instance.key, now)
            }
        }
        let isNear = spec.preference.map { $0.chosen(entry.instances, isOpen: isOpen, from: options.locality) }
        for index in weights.indices where !isOpen[index] || isNear?[index] == false { weights[index] = 0 }
        return zip(weights, isHealthy).map { Member(weight: $0, isHealthy: $1) }
    }

    private struct Member {
        /// In the service's pools; 0: it may not be picked.
        let weight: Int
        let isHealthy: Bool
    }

    /// The same with instances of other nodes left out.
    private func ownMembers(_ entry: Catalogue.Entry, _ members: [Member]) -> [Member] {
        zip(entry.instances, members).map { instance, member in
            instance.node == options.locality.node ? member : Member(weight: 0, isHealthy: member.isHealthy)
        }
    }

    /// When the weight of an instance in its slow start next changes; `nil` where none is in one.
    public var nextSlowStepNanoseconds: UInt64? { slowStarts.nextStepNanoseconds }

    /// Services with an instance whose slow start has come to its next step.
    public func slowStepsDue(nowNanoseconds now: UInt64) -> Set<String> { slowStarts.due(now) }

    /// Puts the instances that may be picked into the pool, if they differ from what it holds.
    private mutating func fill(
        _ pool: Int32, _ port: UInt16, _ entry: Catalogue.Entry, _ members: [Member], _ dirt: inout Dirt
    ) {
        var list: [Endpoint] = []
        list.reserveCapacity(members.count)
        let slots = endpointIDs.assign(entry.spec.name, port, entry.instances)
        for (index, slot) in slots.enumerated() {
            let member = members[index]
            if entry.instances[index].isDraining {
                draining.insert(slot.id)
            } else if !draining.isEmpty {
                draining.remove(slot.id)
            }
            let keeper = member.isHealthy ? slot.incarnation : 0
            if last.flowKeepers[Int(slot.id)] != keeper { dirt.flowKeepers[Int(slot.id)] = keeper }
            guard member.weight > 0, !leavesOut(slot, port, entry.spec) else { continue }
            let session = entry.spec.isSticky ? options.sessionKey.instance(entry.instances[index].key) : 0
            list.append(
                Endpoint(
                    id: slot.id, incarnation: slot.incarnation, weight: Int32(clamping: member.weight),
                    session: session, address: slot.address, speaks: entry.spec.instanceProtocol))
        }
        let content = PoolContent(
            list: list.map { EndpointID(id: $0.id, incarnation: $0.incarnation, weight: $0.weight) },
            policy: entry.spec.policy, session: entry.spec.isSticky ? options.sessionKey.service(entry.spec.name) : 0,
            speaks: entry.spec.instanceProtocol, proxyVersion: entry.spec.proxyVersion,
            tcpIdleMilliseconds: entry.spec.tcpIdleMilliseconds)
        guard content != poolLists[pool] else { return }
        let memory = PoolStorage(
            list, policy: entry.spec.policy, session: content.session, proxyVersion: entry.spec.proxyVersion,
            tcpIdleMilliseconds: entry.spec.tcpIdleMilliseconds, service: entry.spec.name)
        poolLists[pool] = content
        keep(memory, of: pool)
        dirt.pools[Int(pool)] = memory.pool
    }

    /// Whether the instance leads back to this node, which is named then.
    private mutating func leavesOut(_ slot: EndpointIDs.Slot, _ port: UInt16, _ spec: ServiceSpec) -> Bool {
        guard leadsBack(slot.address, spec, port) else { return false }
        ownProblems[spec.name, default: []].insert(
            "service \(spec.name), instance \(slot.instance): \(slot.address) is a listener of this node itself, "
                + "not picked for port \(port)")
        return true
    }
}

// MARK: - Tables over all services

extension SnapshotCompiler {
    private mutating func compileHosts() -> HostTable {
        let sorted = records.sorted { $0.key < $1.key }
        var shares = shares
        routeProblems = shares.update(
            wanted: sorted.map { ($0.key, $0.value.entry.spec.weight) }, canServe: { canServe($0) },
            sharers: { sharers(sorted) })
        self.shares = shares
        var places: [RuleKey: Int] = [:]
        var keys: [RuleKey] = []
        var targets: [[RuleTarget]] = []
        for (name, record) in sorted {
            let weight = Int32(shares.inForce[name] ?? 0)
            for route in record.entry.spec.routes where isServed(route) {
                guard let pool = record.pools[route.containerPort] else { continue }
                let target = RuleTarget(pool: pool, weight: weight, service: name, transform: route.transform)
                let key = RuleKey(route)
                if let place = places[key] {
                    // `http://` and `ws://` of one service are one rule.
                    if targets[place].last != target { targets[place].append(target) }
                } else {
                    places[key] = keys.count
                    keys.append(key)
                    targets.append([target])
                }
            }
        }
        let table = HostTable(zip(keys, targets).map { RouteRule($0, targets: $1) })
        routeProblems += table.leftOut.map {
            "host pattern \($0): not served, more than \(HostTable.globLimit) patterns have '*' in free places"
        }
        return table
    }

    private func compileServerNames() -> ServerNameTable {
        var relayed: [(host: HostPattern, target: ServerNameTable.Target)] = []
        var served: [HostPattern] = []
        for (_, record) in records.sorted(by: { $0.key < $1.key }) {
            let weight = Int32(min(max(record.entry.spec.weight, 0), 100))
            for route in record.entry.spec.routes {
                guard route.scheme == .tcp else {
                    served.append(route.host)
                    continue
                }
                guard let pool = record.pools[route.containerPort] else { continue }
                relayed.append((route.host, ServerNameTable.Target(pool: pool, weight: weight)))
            }
        }
        return ServerNameTable(relayed: relayed, served: served)
    }

    private func compileUpstreamTLS() -> [Int32: UpstreamTLS] {
        var found: [Int32: UpstreamTLS] = [:]
        for record in records.values {
            guard let tls = record.entry.spec.upstreamTLS else { continue }
            for pool in record.pools.values { found[pool] = tls }
            for pool in record.hostPools.values { found[pool] = tls }
        }
        return found
    }

    private func isServed(_ route: RouteSpec) -> Bool {
        guard route.scheme != .tcp else { return false }
        return options.servesLocalNames || !".\(route.host)".hasSuffix(".local")
    }

    private func canServe(_ name: String) -> Bool {
        records[name]?.pools.values.contains { poolLists[$0]?.list.isEmpty == false } ?? false
    }

    /// The services of each rule that several have in common.
    private func sharers(_ sorted: [(key: String, value: Record)]) -> [[String]] {
        var groups: [RuleKey: [String]] = [:]
        for (name, record) in sorted {
            for key in Set(record.entry.spec.routes.filter(isServed).map(\.key)) {
                groups[key, default: []].append(name)
            }
        }
        return groups.values.filter { $0.count > 1 }
    }
}
