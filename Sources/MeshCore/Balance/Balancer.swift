public import NetAddress

/// One worker's picks: the snapshot it routes by, and what it alone knows of each endpoint. Owned by one thread.
public final class Balancer {
    /// What this worker has in flight on one endpoint.
    private struct Load: BitwiseCopyable {
        var incarnation: UInt32 = 0
        var inFlight: Int32 = 0
        // Parts of `inFlight`; the rest are exchanges.
        var tunnels: Int32 = 0
        var sessions: Int32 = 0
        var flows: Int32 = 0

        var counts: FlightCounts {
            FlightCounts(
                exchanges: Int(inFlight - tunnels - sessions - flows), tunnels: Int(tunnels), sessions: Int(sessions),
                flows: Int(flows))
        }

        @inline(__always)
        mutating func count(_ kind: FlightKind, _ change: Int32) {
            switch kind {
            case .exchanges: break
            case .tunnels: tunnels += change
            case .sessions: sessions += change
            case .flows: flows += change
            }
        }
    }

    private var current: Snapshot
    // Its tables, uncounted: `current` keeps them, and counting them was a tenth of what a request costs outside the
    // kernel.
    private var hosts: Unmanaged<HostTable>
    private var pools: Unmanaged<PagedTable<Pool>>
    private var incarnations: Unmanaged<PagedTable<UInt32>>
    /// Some pool's instances are spoken to over TLS.
    private(set) var speaksTLS = false
    /// TLS sessions of some hosts are relayed untouched.
    private var relaysSessions = false
    private var loads: UnsafeMutablePointer<Load>
    private var loadCapacity: Int
    private var cursors: UnsafeMutablePointer<UInt32>
    private var cursorCapacity: Int
    /// By rule of the host table: turns given among the services that share it.
    private var ruleTurns: UnsafeMutablePointer<UInt64>
    private var ruleCapacity: Int
    private var random: UInt64

    /// - Parameter seed: differs between workers, so that they do not pick in step.
    public init(seed: UInt64) {
        // Small seeds that follow each other are made to differ in all bits; 0 would stay 0.
        current = Snapshot()
        hosts = .passUnretained(current.hosts)
        pools = .passUnretained(current.pools)
        incarnations = .passUnretained(current.incarnations)
        random = max((seed &+ 1) &* 0x9e37_79b9_7f4a_7c15, 1)
        loadCapacity = 64
        loads = .allocate(capacity: loadCapacity)
        loads.initialize(repeating: Load(), count: loadCapacity)
        cursorCapacity = 64
        cursors = .allocate(capacity: cursorCapacity)
        cursors.initialize(repeating: 0, count: cursorCapacity)
        ruleCapacity = 64
        ruleTurns = .allocate(capacity: ruleCapacity)
        ruleTurns.initialize(repeating: 0, count: ruleCapacity)
        scatterCursors(0..<cursorCapacity)
        for index in 0..<ruleCapacity { ruleTurns[index] = nextRandom() >> 32 }
    }

    deinit {
        loads.deallocate()
        cursors.deallocate()
        ruleTurns.deallocate()
    }

    public var snapshot: Snapshot { current }

    /// Routes by `snapshot` from now on.
    public func install(_ snapshot: Snapshot) {
        current = snapshot
        speaksTLS = !snapshot.upstreamTLS.isEmpty
        relaysSessions = !snapshot.serverNames.isEmpty
        hosts = .passUnretained(snapshot.hosts)
        pools = .passUnretained(snapshot.pools)
        incarnations = .passUnretained(snapshot.incarnations)
        Self.grow(&loads, &loadCapacity, snapshot.incarnations.capacity, Load())
        let before = cursorCapacity
        Self.grow(&cursors, &cursorCapacity, snapshot.pools.capacity, 0)
        scatterCursors(before..<cursorCapacity)
        let rulesBefore = ruleCapacity
        Self.grow(&ruleTurns, &ruleCapacity, snapshot.hosts.rules.count, 0)
        for index in rulesBefore..<ruleCapacity { ruleTurns[index] = nextRandom() >> 32 }
    }

    /// Gives pools their first turns at random.
    private func scatterCursors(_ range: Range<Int>) {
        for index in range { cursors[index] = UInt32(truncatingIfNeeded: nextRandom() >> 33) }
    }

    private static func grow<T>(
        _ memory: inout UnsafeMutablePointer<T>, _ capacity: inout Int, _ wanted: Int, _ fill: T
    ) {
        guard wanted > capacity else { return }
        let larger = max(wanted, capacity * 2)
        let moved = UnsafeMutablePointer<T>.allocate(capacity: larger)
        moved.moveInitialize(from: memory, count: capacity)
        (moved + capacity).initialize(repeating: fill, count: larger - capacity)
        memory.deallocate()
        memory = moved
        capacity = larger
    }

    @inline(__always)
    private func withHosts<Result>(_ body: (HostTable) -> Result) -> Result { hosts._withUnsafeGuaranteedRef(body) }

    @inline(__always)
    private func entry(_ pool: Int32) -> Pool { pools._withUnsafeGuaranteedRef { $0[Int(pool)] } }

    // MARK: - Routes

    /// Index of the rule that the request takes; `nil`: none.
    public func rule(_ request: RouteRequest, nextField: RouteRequest.NextField) -> Int? {
        withHosts { $0.match(request, nextField: nextField) }
    }

    /// Whether TLS sessions for this host are relayed, so that none of its requests can be meant for this node.
    public func relaysSessions(for host: UnsafeRawBufferPointer) -> Bool {
        relaysSessions && current.serverNames.relays(host)
    }

    /// Whether a service of the rule wants its clients to stay with an instance.
    public func isSticky(rule: Int) -> Bool {
        withHosts { hosts in
            for index in 0..<hosts.targetCount(rule: rule) {
                if let choice = hosts.choice(rule: rule, target: index), session(choice.pool) != 0 { return true }
            }
            return false
        }
    }

    /// The name of the service that the pool belongs to, valid until the next `install`; empty where there is none.
    public func serviceName(_ pool: Int32) -> UnsafeRawBufferPointer { entry(pool).serviceName }

    /// What session cookies call the pool's service; 0: it is not sticky.
    public func session(_ pool: Int32) -> UInt32 { entry(pool).session }

    /// The service for a request: the one that the newest of its tickets names, else one by weight. Of services that
    /// share a route, one without a healthy instance leaves its share to the others.
    public func choose(rule: Int, _ tickets: SessionTickets) -> HostTable.Choice? {
        if !tickets.isEmpty, let choice = sticky(rule, tickets) { return choice }
        return withHosts { hosts in
            guard hosts.targetCount(rule: rule) > 1 else { return hosts.choice(rule: rule, target: 0) }
            let turn = ruleTurns[rule]
            ruleTurns[rule] = turn &+ 1
            // Multiples of the golden ratio lie evenly on the circle, however many of them there are.
            return hosts.choose(rule: rule, turn: turn &* 0x9e37_79b9_7f4a_7c15) { entry($0).count > 0 }
        }
    }

    private func sticky(_ rule: Int, _ tickets: SessionTickets) -> HostTable.Choice? {
        let hosts = current.hosts
        for index in 0..<4 {
            guard let ticket = tickets[index] else { return nil }
            for target in 0..<hosts.targetCount(rule: rule) {
                guard let choice = hosts.choice(rule: rule, target: target), session(choice.pool) == ticket.service,
                    entry(choice.pool).count > 0
                else { continue }
                return choice
            }
        }
        return nil
    }

    /// What becomes of a request that goes there. Good until the next `install`.
    public func action(_ choice: HostTable.Choice) -> RouteAction? { withHosts { $0.action(choice) } }

    // MARK: - Picks

    /// Chooses an endpoint of the pool that is not among `tried`; `nil` when there is none.
    ///
    /// - Parameters:
    ///   - client: whose connection or request it is for; policies that pick by hash ask for it.
    ///   - session: what a cookie calls the instance that is preferred; 0: none.
    public func pick(
        _ pool: Int32, tried: borrowing TriedEndpoints, client: IPAddress, session: UInt64 = 0
    ) -> Endpoint? {
        guard pool >= 0 else { return nil }
        let entry = entry(pool)
        guard entry.count > 0, let endpoints = entry.endpoints else { return nil }
        if session != 0, let met = entry.endpoint(session: session), !tried.contains(met.id) { return met }
        let count = Int(entry.count)
        if count == 1 { return tried.contains(endpoints[0].id) ? nil : endpoints[0] }
        let first =
            switch entry.policy {
            case .roundRobin, .weightedRoundRobin: nextTurn(pool, entry)
            case .leastConnections: leastLoaded(pool, entry)
            case .powerOfTwoChoices: betterOfTwo(entry)
            case .sourceHash, .maglev: hashed(entry, client, tried)
            }
        for step in 0..<count {
            let index = first + step < count ? first + step : first + step - count
            if !tried.contains(endpoints[index].id) { return endpoints[index] }
        }
        return nil
    }

    /// The PROXY header that connections to the pool's endpoints begin with; `nil`: none.
    public func proxyVersion(_ pool: Int32) -> ProxyVersion? {
        pool >= 0 ? entry(pool).proxyVersion : nil
    }

    /// How long relayed sessions of the pool may be without a byte, in nanoseconds, 0: for ever; `nil`: the service
    /// does not say.
    public func tcpIdleNanoseconds(_ pool: Int32) -> UInt64? {
        guard pool >= 0 else { return nil }
        let milliseconds = entry(pool).tcpIdleMilliseconds
        return milliseconds == Pool.noTCPIdle ? nil : UInt64(milliseconds) * 1_000_000
    }

    private func nextTurn(_ pool: Int32, _ entry: Pool) -> Int {
        let turn = cursors[Int(pool)]
        cursors[Int(pool)] = turn &+ 1
        if let sequence = entry.sequence { return Int(sequence[Int(turn % UInt32(entry.sequenceCount))]) }
        return Int(turn % UInt32(entry.count))
    }

    /// Fewest in flight in proportion to the weight; the search begins where the last one ended, so that ties rotate.
    private func leastLoaded(_ pool: Int32, _ entry: Pool) -> Int {
        let endpoints = entry.endpoints!
        let count = Int(entry.count)
        let start = Int(cursors[Int(pool)] % UInt32(count))
        var best = start
        for step in 1..<count {
            let index = start + step < count ? start + step : start + step - count
            if isLessLoaded(endpoints[index], than: endpoints[best]) { best = index }
        }
        cursors[Int(pool)] = UInt32(truncatingIfNeeded: best + 1)
        return best
    }

    private func betterOfTwo(_ entry: Pool) -> Int {
        let count = UInt64(entry.count)
        let bits = nextRandom()
        // A shift binds tighter than a product.
        let first = Int(((bits & 0xffff_ffff) * count) >> 32)
        // Of the others, so that the two differ.
        let other = Int(((bits >> 32) * (count - 1)) >> 32)
        let second = other >= first ? other + 1 : other
        return isLessLoaded(entry.endpoints![second], than: entry.endpoints![first]) ? second : first
    }

    private func isLessLoaded(_ a: Endpoint, than b: Endpoint) -> Bool {
        // (in flight + 1) / weight, without dividing.
        Int64(inFlight(a) + 1) * Int64(b.weight) < Int64(inFlight(b) + 1) * Int64(a.weight)
    }

    /// The slot of the client's hash; after a failure that of another hash, so that the clients of a dead endpoint are
    /// spread over all others. Where there is no table, and where all hashes met what was tried, by score.
    private func hashed(_ entry: Pool, _ client: IPAddress, _ tried: borrowing TriedEndpoints) -> Int {
        let key = AddressHash.of(client)
        if entry.policy == .maglev, let table = entry.sequence {
            for attempt in 0...UInt64(tried.count) {
                let hash = attempt == 0 ? key : AddressHash.mixed(key &+ attempt)
                let index = Int(table[Int(hash % UInt64(MaglevTable.size))])
                if !tried.contains(entry.endpoints![index].id) { return index }
            }
        }
        return Rendezvous.best(entry, key, tried)
    }

    func nextRandom() -> UInt64 {
        // xorshift64*: quick, and nothing here is a secret.
        random ^= random >> 12
        random ^= random << 25
        random ^= random >> 27
        return random &* 0x2545_f491_4f6c_dd1d
    }

    /// Whether the present snapshot still has the endpoint, healthy or not.
    public func isAlive(_ endpoint: Endpoint) -> Bool {
        incarnations._withUnsafeGuaranteedRef { $0[Int(endpoint.id)] } == endpoint.incarnation
    }

    /// Whether a flow may stay on the endpoint: it is healthy, also when it is drained and not picked any more.
    public func mayKeepFlows(_ endpoint: Endpoint) -> Bool {
        isAlive(endpoint) && current.flowKeepers[Int(endpoint.id)] == endpoint.incarnation
    }

    // MARK: - In flight

    public func inFlight(_ endpoint: Endpoint) -> Int {
        let load = loads[Int(endpoint.id)]
        return load.incarnation == endpoint.incarnation ? Int(load.inFlight) : 0
    }

    public func began(_ endpoint: Endpoint, _ kind: FlightKind = .exchanges) {
        let load = loads + Int(endpoint.id)
        if load.pointee.incarnation != endpoint.incarnation {
            load.pointee = Load(incarnation: endpoint.incarnation, inFlight: 0)
        }
        load.pointee.inFlight += 1
        load.pointee.count(kind, 1)
    }

    /// - Parameter kind: what it was in the end: an exchange may have become a tunnel.
    public func ended(_ endpoint: Endpoint, _ kind: FlightKind = .exchanges) {
        let load = loads + Int(endpoint.id)
        guard load.pointee.incarnation == endpoint.incarnation else { return }
        load.pointee.inFlight -= 1
        load.pointee.count(kind, -1)
    }

    /// An exchange has been upgraded.
    public func becameTunnel(_ endpoint: Endpoint) {
        let load = loads + Int(endpoint.id)
        if load.pointee.incarnation == endpoint.incarnation { load.pointee.count(.tunnels, 1) }
    }

    /// Whether connections to the endpoint may be kept for later: not where its instance is drained.
    public func mayKeepConnections(_ endpoint: Endpoint) -> Bool {
        isAlive(endpoint) && !(current.isDraining && current.draining.contains(endpoint.id))
    }

    /// Endpoints with something in flight, for `status` and the drain barrier.
    public func inFlightByEndpoint() -> [EndpointFlights] {
        (0..<loadCapacity).compactMap { index in
            let load = loads[index]
            guard load.inFlight > 0 else { return nil }
            let name = EndpointName(id: Int32(index), incarnation: load.incarnation)
            return EndpointFlights(endpoint: name, counts: load.counts)
        }
    }
}

/// Endpoints that one request or session has already failed on.
public struct TriedEndpoints: BitwiseCopyable {
    private var ids: (Int32, Int32, Int32, Int32, Int32, Int32, Int32, Int32) = (-1, -1, -1, -1, -1, -1, -1, -1)
    public private(set) var count: UInt8 = 0

    public init() {}

    @inline(__always)
    public func contains(_ id: Int32) -> Bool {
        if count == 0 { return false }
        return ids.0 == id || ids.1 == id || ids.2 == id || ids.3 == id || ids.4 == id || ids.5 == id || ids.6 == id
            || ids.7 == id
    }

    /// Remembers the endpoint; the oldest of more than eight is forgotten.
    public mutating func insert(_ id: Int32) {
        ids = (id, ids.0, ids.1, ids.2, ids.3, ids.4, ids.5, ids.6)
        count = min(count + 1, 8)
    }
}
