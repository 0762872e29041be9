@testable import MeshCore
import NetAddress
import Testing

@Suite struct LocalityTests {
    /// `web` with instances `ID@NODE/ZONE`.
    private func mesh(
        _ preference: LocalityPreference, node: String? = "n1", zone: String? = "z1", _ places: [String]
    ) -> MeshFixture {
        var mesh = MeshFixture(
            SnapshotCompiler.Options(
                vipRange: IPNetwork("127.96.0.0/16")!, publishAddress: .anyV4,
                locality: Locality(node: node, zone: zone)))
        var spec = ServiceSpec.web("web")
        spec.preference = preference
        mesh.apply(.upsertService(spec))
        for (index, place) in places.enumerated() {
            let parts = place.split(separator: "/").map(String.init)
            mesh.apply(
                .upsertInstance(
                    InstanceSpec(
                        id: "i\(index)", service: "web", address: IPAddress("10.0.0.\(index)")!, node: parts[0],
                        zone: parts[1])))
        }
        mesh.compile()
        return mesh
    }

    private func picked(_ mesh: MeshFixture) -> [Int] { mesh.endpoints("web").map { Int($0.address.ip.v4Bits & 255) } }

    private static let places = ["n1/z1", "n1/z1", "n2/z1", "n2/z1", "n3/z2", "n3/z2"]

    @Test func theNearestPlaceIsPreferred() {
        #expect(picked(mesh(LocalityPreference(.node), Self.places)) == [0, 1])
        #expect(picked(mesh(LocalityPreference(.zone), Self.places)) == [0, 1, 2, 3])
        #expect(picked(mesh(LocalityPreference(.zone), zone: "z2", Self.places)) == [4, 5])
    }

    @Test func unknownPlacesPreferNothing() {
        #expect(picked(mesh(LocalityPreference(.zone), zone: nil, Self.places)).count == 6)
        #expect(picked(mesh(LocalityPreference(.node), node: "n9", zone: nil, Self.places)).count == 6)
        #expect(picked(mesh(LocalityPreference(.node), node: "n9", Self.places)) == [0, 1, 2, 3], "the zone at least")
    }

    @Test func spillsToTheNextPlaceBelowTheShare() {
        var mesh = mesh(LocalityPreference(.node, spillBelowPercent: 60), Self.places)
        mesh.set("web", "i0", .unhealthy)
        mesh.compile()
        #expect(picked(mesh) == [1, 2, 3], "half of the node: the zone, where three of four are left")
        mesh.set("web", "i1", .unhealthy)
        mesh.compile()
        #expect(picked(mesh) == [2, 3, 4, 5], "half of the zone: all")
        mesh.set("web", "i0", .healthy)
        mesh.set("web", "i1", .healthy)
        mesh.compile()
        #expect(picked(mesh) == [0, 1])
    }

    @Test func exactlyTheShareIsEnough() {
        var mesh = mesh(LocalityPreference(.node), Self.places)
        mesh.set("web", "i0", .ejected)
        mesh.compile()
        #expect(picked(mesh) == [1])
    }

    @Test func whoLeavesOnPurposeIsNotMissed() {
        var mesh = mesh(LocalityPreference(.node, spillBelowPercent: 100), Self.places)
        mesh.apply(
            .upsertInstance(
                InstanceSpec(
                    id: "i0", service: "web", address: IPAddress("10.0.0.0")!, node: "n1", zone: "z1", isDraining: true)
            ))
        mesh.compile()
        #expect(picked(mesh) == [1])
    }
}

@Suite struct SlowStartTests {
    private static let second: UInt64 = 1_000_000_000

    private func mesh(policy: BalancePolicy = .roundRobin, weights: [Int] = [1, 1]) -> MeshFixture {
        var mesh = MeshFixture()
        var spec = ServiceSpec.web("web", policy: policy)
        spec.slowStartSeconds = 10
        mesh.apply(.upsertService(spec))
        for (index, weight) in weights.enumerated() { mesh.add("web", "10.0.0.\(index + 1)", weight: weight) }
        mesh.compile(now: 0)
        return mesh
    }

    private func weights(_ mesh: MeshFixture) -> [Int32] { mesh.endpoints("web").map(\.weight) }

    @Test func allThatStartTogetherShareAsEver() {
        #expect(weights(mesh()) == [1, 1])
        #expect(weights(mesh(policy: .weightedRoundRobin, weights: [5, 2])) == [5, 2])
    }

    @Test func aNewInstanceRisesByTenths() {
        var mesh = mesh()
        let start = 100 * Self.second
        mesh.add("web", "10.0.0.3")
        mesh.compile(now: start)
        #expect(weights(mesh) == [10, 10, 1])
        for step in 1...9 as ClosedRange<UInt64> {
            let due = start + step * Self.second
            #expect(mesh.compiler.nextSlowStepNanoseconds == due)
            #expect(mesh.compiler.slowStepsDue(nowNanoseconds: due - 1).isEmpty)
            mesh.markDue(now: due)
            mesh.compile(now: due)
            #expect(weights(mesh) == [10, 10, Int32(step) + 1])
        }
        #expect(mesh.compiler.nextSlowStepNanoseconds == nil)
    }

    @Test func sharesOfPicks() {
        var mesh = mesh()
        mesh.add("web", "10.0.0.3")
        mesh.compile(now: 14 * Self.second)
        mesh.markDue(now: 18 * Self.second)
        mesh.compile(now: 18 * Self.second)
        let balancer = Balancer(seed: 3)
        balancer.install(mesh.snapshot)
        var counts: [Int32: Int] = [:]
        for _ in 0..<2_500 {
            counts[balancer.pick(mesh.pool("web"), tried: TriedEndpoints(), client: .anyV4)!.id, default: 0] += 1
        }
        #expect(mesh.endpoints("web").map { counts[$0.id] } == [1_000, 1_000, 500])
    }

    @Test func recoveryStartsSlowlyToo() {
        var mesh = mesh()
        mesh.set("web", "10.0.0.1", .unhealthy)
        mesh.compile(now: 50 * Self.second)
        #expect(weights(mesh) == [10])
        mesh.set("web", "10.0.0.1", .healthy)
        mesh.compile(now: 60 * Self.second)
        #expect(weights(mesh) == [1, 10])
    }

    @Test func servicesWithoutItAndServicesThatAreGoneAreForgotten() {
        var mesh = mesh()
        mesh.apply(.upsertService(.web("web")))
        mesh.compile(now: Self.second)
        #expect(mesh.compiler.nextSlowStepNanoseconds == nil)
        mesh = self.mesh()
        mesh.apply(.removeService(name: "web"))
        mesh.compile(now: Self.second)
        #expect(mesh.compiler.nextSlowStepNanoseconds == nil)
    }

    @Test func clocksThatStandStillOrJumpDoNotTrap() {
        var mesh = mesh()
        mesh.set("web", "10.0.0.1", .unhealthy)
        mesh.compile(now: .max)
        mesh.set("web", "10.0.0.1", .healthy)
        mesh.compile(now: .max)
        mesh.markDue(now: 0)
        mesh.set("web", "10.0.0.2", .healthy)
        mesh.compile(now: 0)
        #expect(weights(mesh) == [1, 1])
    }
}
