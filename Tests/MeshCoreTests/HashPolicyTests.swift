@testable import MeshCore
import NetAddress
import TestSupport
import Testing

@Suite struct HashPolicyTests {
    private static let policies: [BalancePolicy] = [.sourceHash, .maglev]

    private static let clients = (0..<20_000 as Range<UInt32>).map { IPAddress(v4: 0x0a00_0000 &+ $0 &* 7919) }

    /// Nodes of different versions agree only while these hold.
    @Test func hashesNeverChange() {
        #expect(AddressHash.of(IPAddress("10.1.2.3")!) == 4_300_586_995_551_684_131)
        #expect(AddressHash.of(IPAddress("2001:db8::1")!) == 5_785_874_062_669_745_731)
        #expect(AddressHash.of(SocketAddress("10.1.2.3:80")!) == 7_063_718_320_412_124_853)
    }

    @Test(arguments: policies) func aClientKeepsItsInstance(policy: BalancePolicy) {
        let fixture = PickFixture(policy, weights: [1, 1, 1, 1, 1])
        for client in Self.clients.prefix(200) {
            let first = fixture.pick(client: client)
            for _ in 0..<5 { #expect(fixture.pick(client: client) == first) }
        }
    }

    @Test(arguments: policies) func nodesAgree(policy: BalancePolicy) {
        let fixture = PickFixture(policy, weights: [3, 1, 2])
        // Another node learned of the same instances in another order, after others that are gone again.
        var mesh = MeshFixture()
        mesh.add(.web("old"), addresses: "10.9.0.1", "10.9.0.2")
        mesh.compile()
        mesh.apply(.upsertService(.web("web", policy: policy)))
        for (address, weight) in [("10.0.0.3", 2), ("10.0.0.2", 1), ("10.0.0.1", 3)] {
            mesh.add("web", address, weight: weight)
        }
        let other = Balancer(seed: 99)
        other.install(mesh.compile())
        for client in Self.clients.prefix(1_000) {
            let there = other.pick(mesh.pool("web"), tried: TriedEndpoints(), client: client)!
            #expect(fixture.endpoints[fixture.pick(client: client)!].address == there.address)
        }
    }

    @Test(arguments: policies, [[1, 1, 1, 1], [4, 2, 1, 1], [10, 9, 10, 10], [1_000, 1, 1, 1]])
    func clientsAreSharedByWeight(policy: BalancePolicy, weights: [Int]) {
        let fixture = PickFixture(policy, weights: weights)
        var counts = [0, 0, 0, 0]
        for client in Self.clients { counts[fixture.pick(client: client)!] += 1 }
        for (count, weight) in zip(counts, weights) {
            let due = Double(Self.clients.count * weight) / Double(weights.reduce(0, +))
            // Five standard deviations.
            #expect(abs(Double(count) - due) <= 5 * due.squareRoot() + 1, "\(counts) of \(weights)")
        }
    }

    /// Clients that change although their own instance stays.
    private func moved(_ policy: BalancePolicy, instances: Int) -> (strays: Double, leaving: Double) {
        let fixture = PickFixture(policy, weights: [Int](repeating: 1, count: instances))
        let before = Self.clients.map { fixture.endpoints[fixture.pick(client: $0)!].address }
        var mesh = fixture.mesh
        let gone = fixture.endpoints[instances / 2].address
        mesh.set("web", gone.ip.description, .unhealthy)
        fixture.balancer.install(mesh.compile())
        var strays = 0
        for (client, old) in zip(Self.clients, before) where old != gone {
            let now = fixture.balancer.pick(fixture.pool, tried: TriedEndpoints(), client: client)!
            if now.address != old { strays += 1 }
        }
        let leaving = before.count { $0 == gone }
        return (Double(strays) / Double(before.count), Double(leaving) / Double(before.count))
    }

    @Test(arguments: [2, 10, 100]) func sourceHashMovesOnlyTheClientsOfTheOneThatLeaves(instances: Int) {
        let (strays, leaving) = moved(.sourceHash, instances: instances)
        #expect(strays == 0)
        #expect(leaving > 0.7 / Double(instances) && leaving < 1.3 / Double(instances))
    }

    /// The paper's figure 9 has some percent of slots that change beside those of the one that leaves.
    @Test(arguments: [2, 10, 100]) func maglevMovesFewOthers(instances: Int) {
        let (strays, leaving) = moved(.maglev, instances: instances)
        #expect(strays < 0.02, "\(strays)")
        #expect(leaving > 0.7 / Double(instances) && leaving < 1.3 / Double(instances))
    }

    @Test(arguments: policies) func clientsOfADeadInstanceAreSpread(policy: BalancePolicy) {
        let fixture = PickFixture(policy, weights: [Int](repeating: 1, count: 10))
        var counts = [Int](repeating: 0, count: 10)
        for client in Self.clients where fixture.pick(client: client) == 4 {
            counts[fixture.pick(tried: [fixture.endpoints[4]], client: client)!] += 1
        }
        #expect(counts[4] == 0)
        #expect(counts.filter { $0 > 120 }.count == 9, "\(counts)")
    }

    @Test func theTableIsMadeOnceAndOnlyForWhoAsksForIt() {
        var mesh = MeshFixture()
        mesh.add(.web("web", policy: .maglev), addresses: "10.0.0.1", "10.0.0.2")
        mesh.add(.web("other"), addresses: "10.0.1.1", "10.0.1.2")
        let first = mesh.compile()
        let table = first.pools[Int(mesh.pool("web"))].sequence
        #expect(first.pools[Int(mesh.pool("web"))].sequenceCount == 65_537)
        #expect(first.pools[Int(mesh.pool("other"))].sequence == nil)
        mesh.set("web", "10.0.0.1", .healthy)
        mesh.add("other", "10.0.1.3")
        #expect(mesh.compile().pools[Int(mesh.pool("web"))].sequence == table)
        mesh.set("web", "10.0.0.1", .unhealthy)
        #expect(mesh.compile().pools[Int(mesh.pool("web"))].sequence == nil, "one instance needs no table")
    }
}

@Suite struct MaglevTableTests {
    private func shares(_ count: Int, _ weights: [Int32]) -> [Int] {
        let hashes = (0..<count).map { AddressHash.of(SocketAddress(IPAddress(v4: 0x0a00_0001 + UInt32($0)), 80)) }
        let table = hashes.withUnsafeBufferPointer { MaglevTable.make($0, weights: weights) }
        defer { table.deallocate() }
        var shares = [Int](repeating: 0, count: count)
        for slot in 0..<MaglevTable.size { shares[Int(table[slot])] += 1 }
        return shares
    }

    @Test(arguments: [1, 2, 3, 10, 100, 1_000]) func sharesDifferByOneSlotAtMost(count: Int) {
        let shares = shares(count, [Int32](repeating: 5, count: count))
        #expect(shares.max()! - shares.min()! <= 1)
        let due = Double(MaglevTable.size) / Double(count)
        #expect(shares.allSatisfy { abs(Double($0) - due) / due <= 0.01 }, "1 % of imbalance at the most")
    }

    @Test func sharesFollowTheWeights() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<20 {
            let weights = (0..<(2 + random.below(60))).map { _ in Int32(1 + random.below(1_000)) }
            let total = Double(weights.reduce(0, +))
            for (share, weight) in zip(shares(weights.count, weights), weights) {
                let due = Double(MaglevTable.size) * Double(weight) / total
                #expect(abs(Double(share) - due) <= 1 + due * 0.01, "\(share) for \(weight) of \(total)")
            }
        }
    }

    @Test func oneHeavyAmongManyLight() {
        let shares = shares(1_000, [1_000] + [Int32](repeating: 1, count: 999))
        #expect(shares.min()! >= 32 && abs(shares[0] - 32_785) < 328, "\(shares[0])")
    }

    @Test(arguments: [0x1p-53, 1e-9, 0.1, 0.49999, 0.5, 0.7, 0.999999, 1, 1.5, 12345]) func logarithm(x: Double) {
        // The inverse, by its series around the nearest power of two.
        let y = Rendezvous.logarithm(x)
        let halvings = (y / 0.693147180559945309).rounded()
        let rest = y - halvings * 0.693147180559945309
        var term = 1.0
        var sum = 1.0
        for n in 1..<25 {
            term *= rest / Double(n)
            sum += term
        }
        let back = sum * Double(sign: .plus, exponent: Int(halvings), significand: 1)
        #expect(abs(back - x) / x < 1e-5, "\(back)")
    }
}
