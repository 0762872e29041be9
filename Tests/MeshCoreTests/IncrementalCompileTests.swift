import MeshCore
import NetAddress
import TestSupport
import Testing

/// What a snapshot says, with ids that differ between compilers replaced by what they stand for.
private struct Meaning: Equatable {
    var pools: [String: [String]] = [:]
    var rules: Set<String> = []
    var listeners: Set<String> = []
    var zone: [ZoneEntry] = []

    init(_ snapshot: Snapshot, _ compiler: SnapshotCompiler) {
        var names: [Int32: String] = [:]
        for (service, record) in compiler.records {
            for (port, pool) in record.pools {
                names[pool] = "\(service):\(port)"
                pools["\(service):\(port)"] = snapshot.endpoints(pool).map { "\($0.address) \($0.weight)" }
            }
        }
        for rule in snapshot.hosts.rules {
            let targets = rule.targets.map { "\(names[$0.pool]!)=\($0.weight)" }
            rules.insert("\(rule.host)\(rule.path) \(targets)")
        }
        for plan in snapshot.listeners {
            switch plan.role {
            case .web, .secureWeb: listeners.insert("\(plan.address) web \(plan.owner)")
            case .http(let pool): listeners.insert("\(plan.address) http \(names[pool]!) \(plan.owner)")
            case .relay(let pool): listeners.insert("\(plan.address) relay \(names[pool]!) \(plan.owner)")
            case .datagrams(let pool): listeners.insert("\(plan.address) udp \(names[pool]!) \(plan.owner)")
            }
        }
        zone = compiler.zone
    }
}

@Suite struct IncrementalCompileTests {
    private func randomSpec(_ random: inout SeededRandom) -> ServiceSpec {
        let name = "s\(random.below(6))"
        let hosts: [HostPattern] = [.exact("a.example"), .wildcard("example"), .any, .exact("x.local")]
        let routes = (0..<random.below(3)).map { _ in
            RouteSpec(host: random.element(of: hosts), containerPort: UInt16(80 + random.below(2)))
        }
        let published = (0..<random.below(2)).map { _ in
            // 0: chosen by the mesh.
            let port: UInt16 = [8000, 8001, 0][random.below(3)]
            let containerPort = UInt16(80 + random.below(3))
            return PublishedPort(
                port: port, containerPort: containerPort, transport: containerPort == 82 ? .udp : .tcp)
        }
        return ServiceSpec(
            name: name, aliases: random.once(in: 2) ? ["alias\(random.below(3)).local"] : [], routes: routes,
            publishedPorts: published, containerPorts: random.once(in: 2) ? [80] : [],
            policy: random.element(of: BalancePolicy.allCases), weight: random.below(101))
    }

    private func randomInstance(_ random: inout SeededRandom) -> InstanceSpec {
        InstanceSpec(
            id: "i\(random.below(4))", service: "s\(random.below(6))", address: IPAddress(v4: UInt32(random.below(5))),
            weight: random.below(4), isDraining: random.once(in: 6))
    }

    @Test(arguments: 0..<30)
    func equalsACompilationFromScratch(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var mesh = MeshFixture()
        var zone: [String: ZoneEntry] = [:]
        for step in 0..<120 {
            let listeners = mesh.snapshot.listeners
            let since = mesh.snapshot.listenersGeneration
            for _ in 0...random.below(3) {
                switch random.below(6) {
                case 0, 1: mesh.apply(.upsertService(randomSpec(&random)))
                case 2: mesh.apply(.removeService(name: "s\(random.below(6))"))
                case 3: mesh.apply(.removeInstance(randomInstance(&random).key))
                case 4:
                    let key = randomInstance(&random).key
                    mesh.set(key.service, key.id, random.element(of: InstanceState.allCases))
                default: mesh.apply(.upsertInstance(randomInstance(&random)))
                }
            }
            let snapshot = mesh.compile()
            switch mesh.compiler.zoneChange {
            case .nothing: break
            case .addresses(let entries): for entry in entries { zone[entry.name] = entry }
            case .all: zone = Dictionary(uniqueKeysWithValues: mesh.compiler.zone.map { ($0.name, $0) })
            }
            #expect(zone.values.sorted { $0.name < $1.name } == mesh.compiler.zone)
            #expect(snapshot.listenersGeneration >= since)
            if snapshot.listeners != listeners { #expect(snapshot.listenersGeneration == snapshot.generation) }
            let (fresh, compiler) = mesh.compiledFromScratch()
            #expect(Meaning(snapshot, mesh.compiler) == Meaning(fresh, compiler), "seed \(seed), step \(step)")
            #expect(Set(mesh.compiler.problems) == Set(compiler.problems))
            checkIds(mesh)
        }
    }

    /// Every id stands for one living endpoint, and every living endpoint is in the table of incarnations.
    private func checkIds(_ mesh: MeshFixture) {
        var seen: Set<Int32> = []
        var pools: Set<Int32> = []
        for (name, record) in mesh.compiler.records {
            for (port, pool) in record.pools {
                #expect(pools.insert(pool).inserted, "two pools with one id")
                for endpoint in mesh.snapshot.endpoints(pool) {
                    #expect(seen.insert(endpoint.id).inserted, "two endpoints with one id")
                    #expect(mesh.snapshot.incarnations[Int(endpoint.id)] == endpoint.incarnation)
                    let owner = mesh.compiler.endpointOwner(endpoint.id)
                    #expect(owner?.instance.service == name)
                    #expect(owner?.containerPort == port)
                }
            }
        }
        let living = (0..<mesh.snapshot.incarnations.capacity).filter { mesh.snapshot.incarnations[$0] != 0 }
        for id in living { #expect(mesh.compiler.endpointOwner(Int32(id)) != nil, "id \(id) lives without an owner") }
    }
}
