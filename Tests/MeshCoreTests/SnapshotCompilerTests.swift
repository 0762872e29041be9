import MeshCore
import NetAddress
import Testing

@Suite struct SnapshotCompilerTests {
    @Test func aServiceIsCompiledWhole() {
        var mesh = MeshFixture()
        mesh.add(.web("web", host: .exact("web.example")), addresses: "10.0.0.2", "10.0.0.1:9001")
        let snapshot = mesh.compile()
        #expect(snapshot.generation == 1)
        #expect(mesh.addresses("web") == ["10.0.0.1:9001", "10.0.0.2:80"])
        let vip = mesh.compiler.assignedVIPs["web"]!
        #expect(snapshot.listeners.map(\.address) == [SocketAddress(vip, 80)])
        #expect(snapshot.listeners.map(\.role) == [.http(pool: mesh.pool("web"))])
        #expect(mesh.zone("web") == [vip.description])
        #expect(mesh.zone("tasks.web") == ["10.0.0.1", "10.0.0.2"])
        #expect(snapshot.hosts.rules.map(\.targets) == [[.init(pool: mesh.pool("web"), weight: 100, service: "web")]])
        #expect(mesh.compiler.problems.isEmpty)
        for endpoint in mesh.endpoints("web") {
            #expect(snapshot.incarnations[Int(endpoint.id)] == endpoint.incarnation)
            #expect(endpoint.incarnation != 0)
        }
    }

    @Test func onlyHealthyOpenInstancesArePicked() {
        var mesh = MeshFixture()
        mesh.add(.web("web"), addresses: "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
        mesh.add("web", "10.0.0.5", weight: 0)
        mesh.add("web", "10.0.0.6", isDraining: true)
        mesh.set("web", "10.0.0.2", .unhealthy)
        mesh.set("web", "10.0.0.3", .starting)
        mesh.set("web", "10.0.0.4", .ejected)
        mesh.compile()
        #expect(mesh.addresses("web") == ["10.0.0.1:80"])
        #expect(mesh.zone("tasks.web") == ["10.0.0.1", "10.0.0.5"])
        mesh.set("web", "10.0.0.2", .healthy)
        mesh.compile()
        #expect(mesh.addresses("web") == ["10.0.0.1:80", "10.0.0.2:80"])
        mesh.set("web", "10.0.0.1", .draining)
        mesh.compile()
        #expect(mesh.addresses("web") == ["10.0.0.2:80"])
    }

    @Test func weightsAreThoseOfTheInstancesUnlessTurnsArePlain() {
        for policy in BalancePolicy.allCases {
            var mesh = MeshFixture()
            mesh.apply(.upsertService(.web("web", policy: policy)))
            mesh.add("web", "10.0.0.1", weight: 3)
            mesh.add("web", "10.0.0.2", weight: .max)
            mesh.compile()
            #expect(mesh.endpoints("web").map(\.weight) == (policy == .roundRobin ? [1, 1] : [3, .max]))
        }
    }

    @Test func unchangedServicesKeepMemoryAndIds() {
        var mesh = MeshFixture()
        mesh.add(.web("kept"), addresses: "10.0.0.1", "10.0.0.2")
        mesh.add(.web("other"), addresses: "10.0.1.1")
        let first = mesh.compile()
        let (pool, before) = (mesh.pool("kept"), mesh.endpoints("kept"))
        mesh.add("other", "10.0.1.2")
        mesh.add(.web("third"), addresses: "10.0.2.1")
        let second = mesh.compile()
        #expect(second.generation == 2)
        #expect(mesh.pool("kept") == pool)
        #expect(first.pools[Int(pool)].endpoints == second.pools[Int(pool)].endpoints)
        #expect(mesh.endpoints("kept").map(\.incarnation) == before.map(\.incarnation))
        #expect(first.endpoints(pool).count == 2, "the old snapshot still reads what it read")
    }

    @Test func aHealthFlipRebuildsNeitherHostsNorListeners() {
        var mesh = MeshFixture()
        mesh.add(.web("web", host: .exact("a.example")), addresses: "10.0.0.1", "10.0.0.2")
        let first = mesh.compile()
        mesh.set("web", "10.0.0.1", .unhealthy)
        let second = mesh.compile()
        #expect(second.hosts === first.hosts)
        mesh.apply(.upsertService(.web("web", host: .exact("b.example"))))
        #expect(mesh.compile().hosts !== first.hosts)
    }

    @Test func aNewAddressIsANewIncarnation() {
        var mesh = MeshFixture()
        mesh.add(.web("web"), addresses: "10.0.0.1")
        mesh.compile()
        let before = mesh.endpoints("web")[0]
        mesh.apply(.upsertInstance(InstanceSpec(id: "10.0.0.1", service: "web", address: IPAddress("10.0.0.9")!)))
        let snapshot = mesh.compile()
        let after = mesh.endpoints("web")[0]
        #expect(after.incarnation != before.incarnation)
        #expect(snapshot.incarnations[Int(before.id)] == (before.id == after.id ? after.incarnation : 0))
        #expect(mesh.compiler.endpointOwner(after.id)?.instance.id == "10.0.0.1")
    }

    @Test func anInstanceThatComesBackHealthyIsTheSame() {
        var mesh = MeshFixture()
        mesh.add(.web("web"), addresses: "10.0.0.1")
        mesh.compile()
        let before = mesh.endpoints("web")[0]
        mesh.set("web", "10.0.0.1", .unhealthy)
        #expect(mesh.compile().incarnations[Int(before.id)] == before.incarnation, "its streams go on")
        #expect(mesh.endpoints("web").isEmpty)
        mesh.set("web", "10.0.0.1", .healthy)
        mesh.compile()
        #expect(mesh.endpoints("web")[0].incarnation == before.incarnation)
    }

    @Test func releasedIdsRest() {
        var mesh = MeshFixture()
        mesh.add(.web("web"), addresses: "10.0.0.1")
        mesh.compile()
        let (endpoint, pool) = (mesh.endpoints("web")[0], mesh.pool("web"))
        mesh.apply(.removeService(name: "web"))
        mesh.add(.web("next"), addresses: "10.0.0.2")
        mesh.add(.web("zebra"), addresses: "10.0.0.3")
        let snapshot = mesh.compile()
        #expect(snapshot.incarnations[Int(endpoint.id)] == 0)
        #expect(mesh.compiler.endpointOwner(endpoint.id) == nil)
        #expect(!["next", "zebra"].map { mesh.endpoints($0)[0].id }.contains(endpoint.id))
        #expect(
            !["next", "zebra"].map { mesh.pool($0) }.contains(pool),
            "a connection that remembers the pool must not reach another service"
        )
        #expect(snapshot.endpoints(pool).isEmpty)
    }

    @Test func idsComeBackInTheEnd() {
        var mesh = MeshFixture()
        mesh.add(.web("web"))
        for round in 0..<6_000 {
            mesh.apply(
                .reset(
                    services: [.web("web")],
                    instances: [
                        InstanceSpec(id: "\(round)", service: "web", address: IPAddress(v4: UInt32(round)))
                    ]))
            mesh.compile()
        }
        #expect(mesh.endpoints("web")[0].id < 1_100)
        #expect(mesh.snapshot.incarnations.capacity == 4_096, "one page")
    }

    @Test func aPortThatGoesTakesItsPoolAlong() {
        var mesh = MeshFixture()
        mesh.add(ServiceSpec(name: "web", containerPorts: [80, 81]), addresses: "10.0.0.1")
        mesh.compile()
        let (gone, kept) = (mesh.pool("web", 81), mesh.pool("web", 80))
        let endpoint = mesh.endpoints("web", 81)[0]
        mesh.apply(.upsertService(ServiceSpec(name: "web", containerPorts: [80])))
        let snapshot = mesh.compile()
        #expect(mesh.compiler.records["web"]?.pools == [80: kept])
        #expect(snapshot.endpoints(gone).isEmpty)
        #expect(snapshot.incarnations[Int(endpoint.id)] == 0)
        #expect(snapshot.listeners.map(\.address.port) == [80])
    }

    @Test func publishedPortsAndProtocols() {
        var spec = ServiceSpec.web("web", host: .exact("a.example"))
        spec.containerPorts = [80, 3306]
        spec.publishedPorts = [
            PublishedPort(port: 8080, containerPort: 80), PublishedPort(port: 53, containerPort: 53, transport: .udp),
            PublishedPort(address: IPAddress("127.0.0.9")!, port: 8081, containerPort: 80, layer: .http),
        ]
        spec.vipProtocols = [80: .tcp, 3306: .http]
        var mesh = MeshFixture()
        mesh.add(spec, addresses: "10.0.0.1")
        let listeners = mesh.compile().listeners
        let vip = mesh.compiler.assignedVIPs["web"]!
        let roles = Dictionary(
            uniqueKeysWithValues: listeners.map { ("\($0.key.transport) \($0.address)", $0.role) })
        #expect(
            roles == [
                "tcp \(vip):80": .relay(pool: mesh.pool("web")),
                "tcp \(vip):3306": .http(pool: mesh.pool("web", 3306)),
                "udp \(vip):53": .datagrams(pool: mesh.pool("web", 53)),
                "udp 0.0.0.0:53": .datagrams(pool: mesh.pool("web", 53)),
                "tcp 0.0.0.0:8080": .relay(pool: mesh.pool("web")),
                "tcp 127.0.0.9:8081": .http(pool: mesh.pool("web")),
            ])
    }

    @Test func transportsHaveTheirPortsApart() {
        var spec = ServiceSpec(name: "dns", containerPorts: [53], udpPorts: [53])
        spec.publishedPorts = [.tcp, .udp].map { PublishedPort(port: 53, containerPort: 53, transport: $0) }
        var mesh = MeshFixture()
        mesh.add(spec, addresses: "10.0.0.1")
        #expect(mesh.compile().listeners.count == 4)
        #expect(mesh.compiler.problems.isEmpty)
        #expect(mesh.compiler.records["dns"]?.pools.count == 1, "one pool: an instance is reached at one address")
    }

    @Test func healthyInstancesKeepTheirFlows() {
        var mesh = MeshFixture()
        mesh.add(ServiceSpec(name: "web", containerPorts: [80]), addresses: "10.0.0.1", "10.0.0.2")
        mesh.compile()
        let balancer = Balancer(seed: 1)
        let endpoints = mesh.endpoints("web")
        func keeps() -> [Bool] {
            balancer.install(mesh.compile())
            return endpoints.map(balancer.mayKeepFlows)
        }
        #expect(keeps() == [true, true])
        let before = mesh.snapshot.flowKeepers
        mesh.add("web", "10.0.0.1", isDraining: true)
        #expect(keeps() == [true, true], "drained")
        #expect(mesh.snapshot.flowKeepers === before, "no news for flows")
        mesh.set("web", "10.0.0.2", .ejected)
        #expect(keeps() == [true, false])
        mesh.set("web", "10.0.0.2", .healthy)
        #expect(keeps() == [true, true])
        mesh.apply(.removeInstance(InstanceKey(service: "web", id: "10.0.0.2")))
        #expect(keeps() == [true, false])
    }

    @Test func listenerClashesAreNamed() {
        var options = MeshFixture.options
        let web = SocketAddress(.anyV4, 80)
        options.fixedListeners = [ListenerPlan(address: web, role: .web, owner: "configuration")]
        var mesh = MeshFixture(options)
        for name in ["a", "b"] {
            let ports = [PublishedPort(port: 80, containerPort: 80), PublishedPort(port: 81, containerPort: 80)]
            mesh.add(ServiceSpec(name: name, publishedPorts: ports), addresses: "10.0.0.1")
        }
        let listeners = mesh.compile().listeners
        #expect(Set(listeners.map(\.address)).count == listeners.count)
        #expect(listeners.first { $0.address == web }?.role == .web)
        #expect(listeners.first { $0.address.port == 81 }?.role == .relay(pool: mesh.pool("a")))
        let problems = mesh.compiler.problems
        #expect(problems.count == 3)
        #expect(problems.contains("service a, published port 80: 0.0.0.0:80 is already taken by configuration"))
        #expect(
            problems.contains(
                "service b, published port 81: 0.0.0.0:81 is already taken by service a, published port 81"))
        mesh.apply(.removeService(name: "a"))
        #expect(mesh.compile().listeners.first { $0.address.port == 81 }?.role == .relay(pool: mesh.pool("b")))
        #expect(mesh.compiler.problems.count == 1)
    }

    @Test func aFirstCompilationHasTheFixedListeners() {
        var options = MeshFixture.options
        options.fixedListeners = [ListenerPlan(address: SocketAddress(.anyV4, 80), role: .web, owner: "configuration")]
        var mesh = MeshFixture(options)
        #expect(mesh.compile().listeners == options.fixedListeners)
    }

    @Test func localHostsAreNotServedOnTheWeb() {
        let hosts: [HostPattern] = [
            .exact("a.local"), .wildcard("local"), .wildcard("b.local"), .exact("local.example"), .wildcard("xlocal"),
        ]
        for isServed in [false, true] {
            var options = MeshFixture.options
            options.servesLocalNames = isServed
            var mesh = MeshFixture(options)
            mesh.apply(
                .upsertService(
                    ServiceSpec(name: "web", routes: hosts.map { RouteSpec(host: $0, containerPort: 80) })))
            let served = Set(mesh.compile().hosts.rules.map(\.host))
            #expect(served == Set(isServed ? hosts : Array(hosts[3...])))
        }
    }

    @Test func routesOfTLSTakeNoPlainRequests() {
        var mesh = MeshFixture()
        let routes = RouteSpec.Scheme.allCases.map {
            RouteSpec(scheme: $0, host: .exact("\($0.rawValue).example"), containerPort: 80)
        }
        mesh.apply(.upsertService(ServiceSpec(name: "web", routes: routes)))
        let rules = mesh.compile().hosts.rules
        let plain = Set(rules.filter { !$0.key.isSecureOnly }.map(\.host))
        #expect(plain == [.exact("http.example"), .exact("ws.example")])
        #expect(
            Set(rules.map(\.host)).subtracting(plain) == [.exact("https.example"), .exact("wss.example")],
            "and tcp is none of HTTP's")
    }

    @Test func servicesShareARoute() {
        var mesh = MeshFixture()
        mesh.add(.web("blue", host: .any, weight: 20), addresses: "10.0.0.1")
        mesh.add(.web("green", host: .any, weight: .max), addresses: "10.0.0.2")
        mesh.add(.web("red", host: .any, weight: -5), addresses: "10.0.0.3")
        let rules = mesh.compile().hosts.rules
        #expect(rules.count == 1)
        #expect(rules[0].targets.map(\.pool) == ["blue", "green", "red"].map { mesh.pool($0) })
        #expect(rules[0].targets.map(\.weight) == [20, 100, 0], "0...100, whatever a source says")
    }
}

@Suite struct ZoneAndVIPTests {
    @Test func aliasesNeverTakeAServicesName() {
        var mesh = MeshFixture()
        mesh.add(ServiceSpec(name: "a", aliases: ["b", "shared.local", "a"], containerPorts: [80]))
        mesh.add(ServiceSpec(name: "b", aliases: ["shared.local", "own.local"], containerPorts: [80]))
        mesh.compile()
        let (a, b) = (mesh.zone("a")!, mesh.zone("b")!)
        #expect(a != b)
        #expect(mesh.zone("shared.local") == a)
        #expect(mesh.zone("own.local") == b)
        #expect(
            mesh.compiler.problems == [
                "service a: alias b is already another service's name",
                "service b: alias shared.local is already another service's name",
            ])
        #expect(mesh.compiler.zone.map(\.name) == mesh.compiler.zone.map(\.name).sorted())
    }

    @Test func namesThatDifferInCaseOnlyAreNamed() {
        var mesh = MeshFixture()
        mesh.add(ServiceSpec(name: "Web", containerPorts: [80]))
        mesh.add(ServiceSpec(name: "web", containerPorts: [80]))
        mesh.compile()
        #expect(mesh.zone("web") == [mesh.compiler.assignedVIPs["Web"]!.description])
        #expect(mesh.compiler.problems == ["service web: its name is already another service's name"])
    }

    @Test func aDemandedVIPThatBecomesFreeIsTaken() {
        let vip = IPAddress("127.96.7.7")!
        var mesh = MeshFixture()
        mesh.add(.web("a", vip: vip), addresses: "10.0.0.1")
        mesh.add(.web("b", vip: vip), addresses: "10.0.0.2")
        mesh.compile()
        #expect(mesh.compiler.records["b"]?.vip == nil)
        #expect(mesh.compiler.problems == ["service b: no virtual IP: 127.96.7.7 is another service's"])
        mesh.apply(.removeService(name: "a"))
        mesh.compile()
        #expect(mesh.compiler.records["b"]?.vip == vip)
        #expect(mesh.compiler.problems.isEmpty)
        #expect(mesh.snapshot.listeners.map(\.address) == [SocketAddress(vip, 80)])
    }

    @Test func aRenamedServiceKeepsItsDemandedVIP() {
        let vip = IPAddress("127.96.7.7")!
        var mesh = MeshFixture()
        mesh.add(.web("old", vip: vip))
        mesh.compile()
        mesh.apply(.reset(services: [.web("new", vip: vip)], instances: []))
        mesh.compile()
        #expect(mesh.compiler.records["new"]?.vip == vip)
        #expect(mesh.compiler.problems.isEmpty)
    }

    @Test func twoServicesMayExchangeTheirVIPs() {
        let (x, y) = (IPAddress("127.96.7.7")!, IPAddress("127.96.8.8")!)
        var mesh = MeshFixture()
        mesh.add(.web("a", vip: x))
        mesh.add(.web("b", vip: y))
        mesh.compile()
        mesh.apply(.reset(services: [.web("a", vip: y), .web("b", vip: x)], instances: []))
        mesh.compile()
        #expect(mesh.compiler.records.mapValues(\.vip) == ["a": y, "b": x])
        #expect(mesh.compiler.problems.isEmpty)
    }

    @Test func restoredAddressesStand() {
        let saved = ["web": IPAddress("127.96.1.1")!, "old": IPAddress("10.0.0.1")!]
        var mesh = MeshFixture()
        mesh.compiler.restore(vips: saved)
        #expect(mesh.compiler.assignedVIPs == ["web": saved["web"]!], "not from another range")
        mesh.add(.web("web"))
        mesh.compile()
        #expect(mesh.compiler.records["web"]?.vip == saved["web"])
    }

    @Test func aRangeThatIsUsedUpIsNamed() {
        var mesh = MeshFixture(.init(vipRange: IPNetwork("10.9.0.0/30")!, publishAddress: .anyV4))
        for name in ["a", "b", "c"] { mesh.add(.web(name), addresses: "10.0.0.1") }
        mesh.compile()
        #expect(mesh.compiler.problems == ["service c: no virtual IP: the range 10.9.0.0/30 is used up"])
        #expect(mesh.addresses("c") == ["10.0.0.1:80"], "routes lead to it all the same")
        mesh.apply(.removeService(name: "a"))
        mesh.compile()
        #expect(mesh.compiler.problems.isEmpty)
        #expect(mesh.compiler.records["c"]?.vip != nil)
    }
}
