import NetAddress
import TestSupport
import Testing

@testable import MeshCore

@Suite struct PublishedPortTests {
    private static func options(node: String? = "here") -> SnapshotCompiler.Options {
        var options = MeshFixture.options
        options.locality = Locality(node: node)
        return options
    }

    private func spec(_ name: String, _ ports: PublishedPort...) -> ServiceSpec {
        ServiceSpec(name: name, publishedPorts: ports)
    }

    private func listeners(_ mesh: MeshFixture) -> [UInt16] {
        mesh.snapshot.listeners.filter { $0.address.ip == .anyV4 }.map(\.address.port).sorted()
    }

    // MARK: - Chosen numbers

    @Test func aNumberIsChosenAndKept() throws {
        var mesh = MeshFixture(Self.options())
        mesh.add(spec("shop", PublishedPort(port: 0, containerPort: 80)), addresses: "10.0.0.1")
        mesh.compile()
        let state = try #require(mesh.compiler.published["shop"]?.first)
        let port = state.published.port
        #expect(PortAllocator.range.contains(port) && state.isDynamic && state.clash == nil)
        #expect(listeners(mesh) == [port])
        for name in 0..<40 { mesh.add(spec("s\(name)", PublishedPort(port: 0, containerPort: 80))) }
        mesh.compile()
        #expect(mesh.compiler.published["shop"]?.first?.published.port == port)
        #expect(Set(listeners(mesh)).count == 41, "no two are the same")
        #expect(mesh.compiledFromScratch().1.assignedPorts["shop/80/tcp"] == port)
    }

    @Test func aRestoredNumberComesBefore() {
        var mesh = MeshFixture(Self.options())
        mesh.compiler.restore(ports: ["shop/80/tcp": 31_000, "shop/81/tcp": 80, "x": 31_001, "y/1/sctp": 31_002])
        mesh.add(spec("shop", PublishedPort(port: 0, containerPort: 80), PublishedPort(port: 0, containerPort: 81)))
        mesh.add(spec("a", PublishedPort(port: 31_000, containerPort: 80)))
        mesh.compile()
        #expect(mesh.compiler.published["shop"]?.first?.published.port == 31_000)
        #expect(mesh.compiler.published["shop"]?.first?.clash == nil, "it was in use before the other asked for it")
        #expect(mesh.compiler.published["a"]?.first?.clash?.contains("service shop, published port 31000") == true)
        #expect(mesh.compiler.assignedPorts["shop/81/tcp"] != 80)
    }

    @Test func agreedNumbersCountAndNothingIsChosenHere() throws {
        var mesh = MeshFixture(Self.options())
        mesh.compiler.restore(ports: ["kept/80/tcp": 31_000])
        mesh.compiler.agree(onPorts: [:])
        let dynamic = PublishedPort(port: 0, containerPort: 80)
        for name in ["kept", "new"] { mesh.add(spec(name, dynamic), addresses: "10.0.0.1") }
        mesh.add(spec("named", PublishedPort(port: 31_005, containerPort: 80)))
        mesh.compile()
        #expect(mesh.compiler.published["kept"]?.first?.published.port == 31_000, "until another is agreed on")
        let waiting = try #require(mesh.compiler.published["new"]?.first)
        #expect(waiting.isAwaited && waiting.clash == nil && waiting.address == nil)
        let kept = PublishedNumber(.tcp, 31_000)
        #expect(
            mesh.compiler.wantedPorts == [
                PortWant(service: "kept/80/tcp", preferred: kept), PortWant(service: "new/80/tcp"),
            ])
        #expect(mesh.compiler.reservedPorts == [PublishedNumber(.tcp, 31_005)!])
        // The other's number was agreed to be this one's.
        mesh.compiler.agree(onPorts: ["new/80/tcp": 31_000, "kept/80/tcp": 31_001])
        mesh.compile()
        #expect(listeners(mesh) == [31_000, 31_001, 31_005])
        #expect(mesh.compiler.published["new"]?.first?.published.port == 31_000)
        #expect(mesh.compiler.wantedPorts.isEmpty)
        mesh.compiler.agree(onPorts: ["new/80/tcp": nil])
        mesh.compile()
        #expect(mesh.compiler.wantedPorts == [PortWant(service: "new/80/tcp", preferred: kept)])
        #expect(listeners(mesh) == [31_000, 31_001, 31_005], "it stays")
    }

    @Test func aNumberThatSomebodyAskedForIsNotChosen() {
        var allocator = PortAllocator()
        let first = allocator.assign("a", isReserved: { _ in false })
        var other = PortAllocator()
        #expect(other.assign("a", isReserved: { $0 == first }) != first)
    }

    @Test func aGoneServiceGivesItsNumberBack() {
        var mesh = MeshFixture(Self.options())
        mesh.add(spec("shop", PublishedPort(port: 0, containerPort: 80)))
        mesh.compile()
        mesh.apply(.removeService(name: "shop"))
        mesh.compile()
        #expect(mesh.compiler.assignedPorts.isEmpty)
        #expect(mesh.compiler.published.isEmpty)
    }

    @Test func numbersRunOutAndThatIsNamed() {
        var mesh = MeshFixture(Self.options())
        mesh.compiler.restore(ports: ["gone/1/tcp": 30_000])
        let count = UInt16(PortAllocator.range.count)
        let ports = (1...count + 1).map { PublishedPort(port: 0, containerPort: $0) }
        mesh.apply(.upsertService(ServiceSpec(name: "all", publishedPorts: ports)))
        mesh.compile()
        #expect(Set(listeners(mesh)) == Set(PortAllocator.range), "a number nobody asks for any more is given away")
        let last = mesh.compiler.published["all"]?.last
        #expect(last?.clash == "no port from 30000 to 32767 is free")
        #expect(mesh.compiler.problems.count == 1)
    }

    // MARK: - Clashes

    @Test func whoHasAPortKeepsIt() {
        var mesh = MeshFixture(Self.options())
        mesh.add(spec("shop", PublishedPort(port: 8080, containerPort: 80)))
        mesh.compile()
        mesh.add(spec("a", PublishedPort(port: 8080, containerPort: 80)))
        mesh.compile()
        #expect(mesh.snapshot.listeners.first { $0.address.port == 8080 }?.owner == "service shop, published port 8080")
        #expect(mesh.compiler.problems.count == 1)
        mesh.apply(.removeService(name: "shop"))
        mesh.compile()
        #expect(mesh.snapshot.listeners.first { $0.address.port == 8080 }?.owner == "service a, published port 8080")
        #expect(mesh.compiler.problems.isEmpty)
    }

    @Test func otherAddressesAndProtocolsAreNoClash() {
        var mesh = MeshFixture(Self.options())
        mesh.add(spec("a", PublishedPort(address: IPAddress("10.0.0.1"), port: 80, containerPort: 80)))
        mesh.add(spec("b", PublishedPort(address: IPAddress("10.0.0.2"), port: 80, containerPort: 80)))
        mesh.add(spec("c", PublishedPort(port: 80, containerPort: 80, transport: .udp)))
        mesh.compile()
        #expect(mesh.compiler.published.values.joined().allSatisfy { $0.clash == nil })
    }

    // MARK: - Host mode

    private func instance(_ id: String, _ node: String?) -> SourceEvent.Change {
        .upsertInstance(InstanceSpec(id: id, service: "shop", address: IPAddress(id) ?? .anyV4, node: node))
    }

    @Test func hostModeIsForNodesWithAnInstanceOfTheirOwn() {
        var mesh = MeshFixture(Self.options())
        mesh.add(spec("shop", PublishedPort(port: 8080, containerPort: 80, mode: .host)))
        mesh.apply(instance("10.0.0.1", "there"))
        mesh.apply(instance("10.0.0.2", nil))
        mesh.compile()
        #expect(listeners(mesh).isEmpty)
        #expect(mesh.compiler.published["shop"]?.first?.address == nil)
        #expect(mesh.compiler.problems.isEmpty, "to take no part is no problem")
        mesh.apply(instance("10.0.0.3", "here"))
        mesh.compile()
        #expect(listeners(mesh) == [8080])
        guard case .relay(let pool)? = mesh.snapshot.listeners.first(where: { $0.address.port == 8080 })?.role else {
            Issue.record("it is relayed")
            return
        }
        #expect(mesh.snapshot.endpoints(pool).map(\.address.description) == ["10.0.0.3:80"])
        #expect(mesh.addresses("shop").count == 3, "the VIP leads to all")
        mesh.set("shop", "10.0.0.3", .unhealthy)
        mesh.compile()
        #expect(listeners(mesh) == [8080], "a flip of health closes no listener")
        #expect(mesh.snapshot.endpoints(pool).isEmpty)
        mesh.apply(.removeInstance(InstanceKey(service: "shop", id: "10.0.0.3")))
        mesh.compile()
        #expect(listeners(mesh).isEmpty)
    }

    @Test func servicesInHostModeOnDifferentNodesShareANumber() {
        var mesh = MeshFixture(Self.options())
        mesh.add(spec("a", PublishedPort(port: 8080, containerPort: 80, mode: .host)))
        mesh.add(spec("shop", PublishedPort(port: 8080, containerPort: 80, mode: .host)))
        mesh.apply(instance("10.0.0.1", "here"))
        mesh.compile()
        #expect(mesh.compiler.problems.isEmpty)
        #expect(mesh.snapshot.listeners.first { $0.address.port == 8080 }?.owner == "service shop, published port 8080")
    }
}
