@testable import MeshCore
import NetAddress
import TestSupport
import Testing

/// One service `web` under `policy` with instances of these weights, and a balancer that routes by it.
struct PickFixture {
    var mesh = MeshFixture()
    let balancer = Balancer(seed: 7)
    let pool: Int32

    init(_ policy: BalancePolicy, weights: [Int]) {
        mesh.apply(.upsertService(.web("web", policy: policy)))
        for (index, weight) in weights.enumerated() { mesh.add("web", "10.0.0.\(index + 1)", weight: weight) }
        mesh.compile()
        pool = mesh.pool("web")
        balancer.install(mesh.snapshot)
    }

    var endpoints: [Endpoint] { mesh.endpoints("web") }

    func pick(tried: [Endpoint] = [], client: IPAddress = IPAddress(v4: 1)) -> Int? {
        var list = TriedEndpoints()
        for endpoint in tried { list.insert(endpoint.id) }
        guard let found = balancer.pick(pool, tried: list, client: client) else { return nil }
        return endpoints.firstIndex { $0.id == found.id }
    }

    func counts(_ picks: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: endpoints.count)
        for _ in 0..<picks { counts[pick()!] += 1 }
        return counts
    }
}

@Suite struct BalancerTests {
    @Test func roundRobinTakesTurns() {
        let fixture = PickFixture(.roundRobin, weights: [1, 5, 9])
        let first = fixture.pick()!
        for step in 1..<100 { #expect(fixture.pick() == (first + step) % 3, "weights do not matter") }
    }

    @Test func workersDoNotStartInStep() {
        let fixture = PickFixture(.roundRobin, weights: [Int](repeating: 1, count: 16))
        let firsts = (0..<16 as Range<UInt64>).map { seed -> Int32 in
            let balancer = Balancer(seed: seed * 2 + 1)
            balancer.install(fixture.mesh.snapshot)
            return balancer.pick(fixture.pool, tried: TriedEndpoints(), client: .anyV4)!.id
        }
        #expect(Set(firsts).count > 4)
    }

    @Test(arguments: [[3, 1], [1, 1, 1], [5, 3, 2], [1000, 1], [7, 7, 14], [1, 2, 3, 4, 5, 6, 7, 8]])
    func weightedRoundRobinIsExact(weights: [Int]) {
        let fixture = PickFixture(.weightedRoundRobin, weights: weights)
        let total = weights.reduce(0, +)
        #expect(fixture.counts(total) == weights)
        #expect(fixture.counts(total) == weights, "the next round is like the first")
    }

    @Test func weightedTurnsAreSpread() {
        let fixture = PickFixture(.weightedRoundRobin, weights: [3, 1])
        let turns = (0..<40).map { _ in fixture.pick()! }
        #expect(!turns.indices.dropFirst(3).contains { turns[($0 - 3)...$0].allSatisfy { $0 == 0 } })
    }

    @Test func leastConnectionsTakesTheEmptiest() {
        let fixture = PickFixture(.leastConnections, weights: [1, 1, 1])
        for endpoint in [0, 0, 1, 2, 2] { fixture.balancer.began(fixture.endpoints[endpoint]) }
        #expect(fixture.pick() == 1)
        fixture.balancer.ended(fixture.endpoints[0])
        fixture.balancer.ended(fixture.endpoints[0])
        for _ in 0..<5 { #expect(fixture.pick() == 0) }
    }

    @Test func leastConnectionsRotatesTies() {
        #expect(PickFixture(.leastConnections, weights: [1, 1, 1, 1]).counts(400) == [100, 100, 100, 100])
    }

    @Test func leastConnectionsHeedsWeights() {
        let fixture = PickFixture(.leastConnections, weights: [3, 1])
        for _ in 0..<400 { fixture.balancer.began(fixture.endpoints[fixture.pick()!]) }
        #expect(fixture.endpoints.map(fixture.balancer.inFlight) == [300, 100])
    }

    @Test func powerOfTwoReachesEveryEndpoint() {
        let counts = PickFixture(.powerOfTwoChoices, weights: [Int](repeating: 1, count: 8)).counts(16_000)
        #expect(counts.allSatisfy { $0 > 1_700 && $0 < 2_300 }, "\(counts)")
    }

    @Test func powerOfTwoAvoidsTheLoaded() {
        let fixture = PickFixture(.powerOfTwoChoices, weights: [Int](repeating: 1, count: 5))
        for _ in 0..<1_000 { fixture.balancer.began(fixture.endpoints[2]) }
        let counts = fixture.counts(5_000)
        #expect(counts[2] == 0, "two different ones are compared, so the worst is never taken")
        #expect(counts.filter { $0 > 900 }.count == 4, "\(counts)")
    }

    @Test func powerOfTwoKeepsLoadsLevel() {
        let fixture = PickFixture(.powerOfTwoChoices, weights: [Int](repeating: 1, count: 10))
        for _ in 0..<10_000 { fixture.balancer.began(fixture.endpoints[fixture.pick()!]) }
        let loads = fixture.endpoints.map(fixture.balancer.inFlight)
        #expect(loads.max()! - loads.min()! < 12, "\(loads)")
    }

    @Test(arguments: BalancePolicy.allCases)
    func triedEndpointsAreAvoided(policy: BalancePolicy) {
        let fixture = PickFixture(policy, weights: [1, 2, 3, 4])
        for _ in 0..<100 {
            #expect(Set([2, 3]).contains(fixture.pick(tried: Array(fixture.endpoints[..<2]))))
            #expect(fixture.pick(tried: Array(fixture.endpoints[..<3])) == 3)
            #expect(fixture.pick(tried: fixture.endpoints) == nil)
        }
    }

    @Test(arguments: BalancePolicy.allCases)
    func oneOrNoEndpoint(policy: BalancePolicy) {
        let one = PickFixture(policy, weights: [1])
        #expect(one.pick() == 0)
        #expect(one.pick(tried: one.endpoints) == nil)
        #expect(PickFixture(policy, weights: []).pick() == nil)
    }

    @Test func poolsThatDoNotExist() {
        let balancer = Balancer(seed: 1)
        for pool in [-1, 0, 1, 1 << 20, .max, .min] as [Int32] {
            #expect(balancer.pick(pool, tried: TriedEndpoints(), client: .anyV4) == nil)
        }
    }

    @Test func inFlightBelongsToOneIncarnation() {
        var fixture = PickFixture(.leastConnections, weights: [1, 1])
        let old = fixture.endpoints[0]
        for _ in 0..<3 { fixture.balancer.began(old) }
        #expect(fixture.balancer.inFlight(old) == 3)
        #expect(fixture.balancer.inFlightByEndpoint().map(\.counts.total) == [3])
        fixture.mesh.apply(
            .upsertInstance(InstanceSpec(id: "10.0.0.1", service: "web", address: IPAddress("10.0.0.77")!)))
        fixture.balancer.install(fixture.mesh.compile())
        let new = fixture.endpoints.first { $0.address.ip == IPAddress("10.0.0.77") }!
        #expect(new.incarnation != old.incarnation)
        #expect(fixture.balancer.inFlight(new) == 0)
        fixture.balancer.began(new)
        fixture.balancer.ended(old)
        #expect(fixture.balancer.inFlight(old) == 2)
        #expect(fixture.balancer.inFlight(new) == 1)
    }

    @Test func aReusedIdDoesNotInheritTheCount() {
        let fixture = PickFixture(.leastConnections, weights: [1])
        let old = fixture.endpoints[0]
        let new = Endpoint(id: old.id, incarnation: old.incarnation + 1, weight: 1, address: old.address)
        fixture.balancer.began(old)
        fixture.balancer.began(new)
        fixture.balancer.ended(old)
        #expect(fixture.balancer.inFlight(new) == 1)
        fixture.balancer.ended(new)
        #expect(fixture.balancer.inFlightByEndpoint().isEmpty)
    }

    @Test func picksFollowTheInstalledSnapshot() {
        var fixture = PickFixture(.roundRobin, weights: [1, 1])
        let before = Set(
            (0..<10).map { _ in fixture.balancer.pick(fixture.pool, tried: TriedEndpoints(), client: .anyV4)!.id })
        fixture.mesh.set("web", "10.0.0.1", .unhealthy)
        let next = fixture.mesh.compile()
        #expect(
            Set((0..<10).map { _ in fixture.balancer.pick(fixture.pool, tried: TriedEndpoints(), client: .anyV4)!.id })
                == before)
        fixture.balancer.install(next)
        #expect(Set((0..<10).map { _ in fixture.pick()! }) == [0])
        #expect(fixture.endpoints.map(\.address.ip) == [IPAddress("10.0.0.2")!])
    }
}

@Suite struct TriedEndpointsTests {
    @Test func remembersTheLastEight() {
        var tried = TriedEndpoints()
        #expect(!tried.contains(-1) && !tried.contains(0))
        for id in 0..<8 as Range<Int32> { tried.insert(id) }
        #expect((0..<8).allSatisfy { tried.contains($0) })
        #expect(tried.count == 8)
        tried.insert(8)
        #expect(tried.count == 8)
        #expect(!tried.contains(0) && (1...8).allSatisfy { tried.contains($0) })
    }
}
