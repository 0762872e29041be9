import NetAddress

@testable import MeshCore

/// A catalogue, its compiler and the instances' states, changed together as the control loop does it.
struct MeshFixture {
    static let options = SnapshotCompiler.Options(
        vipRange: IPNetwork("127.96.0.0/16")!, publishAddress: IPAddress.anyV4)

    var catalogue = Catalogue(sources: ["test"])
    var compiler: SnapshotCompiler
    var states: [InstanceKey: InstanceState] = [:]
    var snapshot = Snapshot()
    private var revision: UInt64 = 0
    private var dirty: Set<String> = []

    init(_ options: SnapshotCompiler.Options = MeshFixture.options) { compiler = SnapshotCompiler(options: options) }

    mutating func apply(_ change: SourceEvent.Change) {
        revision += 1
        dirty.formUnion(catalogue.apply(SourceEvent(source: "test", revision: revision, change: change)))
    }

    mutating func add(_ spec: ServiceSpec, addresses: String...) {
        apply(.upsertService(spec))
        for address in addresses { add(spec.name, address) }
    }

    /// An instance whose id is its address; `ADDRESS` or `ADDRESS:PORT`.
    mutating func add(_ service: String, _ text: String, weight: Int = 1, isDraining: Bool = false) {
        let socket = SocketAddress(text)
        apply(
            .upsertInstance(
                InstanceSpec(
                    id: text, service: service, address: socket?.ip ?? IPAddress(text)!, solePort: socket?.port,
                    weight: weight, isDraining: isDraining)))
    }

    mutating func set(_ service: String, _ id: String, _ state: InstanceState) {
        states[InstanceKey(service: service, id: id)] = state
        dirty.insert(service)
    }

    /// What the control loop does when a slow start comes to its next step.
    mutating func markDue(now: UInt64) { dirty.formUnion(compiler.slowStepsDue(nowNanoseconds: now)) }

    @discardableResult
    mutating func compile(now: UInt64 = 0) -> Snapshot {
        let states = states
        snapshot = compiler.compile(catalogue, dirty: dirty, nowNanoseconds: now) { states[$0] ?? .healthy }
        dirty = []
        return snapshot
    }

    /// The snapshot of a compiler that sees the present catalogue for the first time.
    func compiledFromScratch() -> (Snapshot, SnapshotCompiler) {
        var fresh = SnapshotCompiler(options: Self.options)
        fresh.restore(vips: compiler.assignedVIPs)
        fresh.restore(weights: compiler.shares.inForce)
        fresh.publishedPorts = compiler.publishedPorts
        return (fresh.compile(catalogue, dirty: Set(catalogue.entries.keys)) { states[$0] ?? .healthy }, fresh)
    }

    func pool(_ service: String, _ port: UInt16 = 80) -> Int32 { compiler.records[service]!.pools[port]! }

    func endpoints(_ service: String, _ port: UInt16 = 80) -> [Endpoint] { snapshot.endpoints(pool(service, port)) }

    func addresses(_ service: String, _ port: UInt16 = 80) -> [String] {
        endpoints(service, port).map(\.address.description)
    }

    func zone(_ name: String) -> [String]? {
        compiler.zone.first { $0.name == name }?.addresses.map(\.description)
    }
}

extension Snapshot {
    func endpoints(_ pool: Int32) -> [Endpoint] {
        let pool = pools[Int(pool)]
        return (0..<Int(pool.count)).map { pool.endpoints![$0] }
    }
}

extension ServiceSpec {
    /// A service with a route for `host` to port 80.
    static func web(
        _ name: String, host: HostPattern? = nil, policy: BalancePolicy = .roundRobin, weight: Int = 100,
        vip: IPAddress? = nil
    ) -> ServiceSpec {
        ServiceSpec(
            name: name, routes: host.map { [RouteSpec(host: $0, containerPort: 80)] } ?? [], containerPorts: [80],
            policy: policy, weight: weight, vip: vip)
    }
}
