import TestSupport
import Testing

@testable import Registry

private typealias Machine = AnnounceMachine

private let value: [UInt8] = [1]

/// One that has announced the key `a` under lease 7.
private func announced() -> Machine {
    var machine = Machine(ttlSeconds: 9)
    _ = machine.handle(.set(["a": value]), random: 0)
    _ = machine.handle(.granted(lease: 7), random: 0)
    _ = machine.handle(.written(revision: 5), random: 0)
    return machine
}

@Suite struct AnnounceMachineTests {
    private let renewal = Machine.Action.timer(nanoseconds: 3_000_000_000)
    private let down = EtcdFailure.unreachable("refused")

    @Test func grantsWritesAndRenews() {
        var machine = Machine(ttlSeconds: 9)
        #expect(machine.handle(.set(["a": value]), random: 0) == [.grant(ttlSeconds: 9)])
        #expect(
            machine.handle(.granted(lease: 7), random: 0) == [.write(puts: ["a": value], lease: 7, deletes: [])])
        #expect(machine.handle(.written(revision: 5), random: 0) == [.announced, renewal])
        #expect(machine.handle(.timer, random: 0) == [.keepAlive(lease: 7)])
        #expect(machine.handle(.keptAlive(ttlSeconds: 9), random: 0) == [.check(["a": 5])])
        #expect(machine.handle(.checked(nil), random: 0) == [renewal])
    }

    /// A registry that is set back to an older state knows the lease and not what was written since.
    @Test func whatIsGoneUnderALivingLeaseIsWrittenAgain() {
        var machine = announced()
        _ = machine.handle(.timer, random: 0)
        _ = machine.handle(.keptAlive(ttlSeconds: 9), random: 0)
        #expect(machine.handle(.checked([:]), random: 0) == [.write(puts: ["a": value], lease: 7, deletes: [])])
        #expect(machine.handle(.written(revision: 9), random: 0) == [.announced, renewal])
        _ = machine.handle(.timer, random: 0)
        #expect(machine.handle(.keptAlive(ttlSeconds: 9), random: 0) == [.check(["a": 9])])
        // An older value of ours.
        #expect(
            machine.handle(.checked(["a": .init(lease: 7, revision: 3)]), random: 0)
                == [.write(puts: ["a": value], lease: 7, deletes: [])])
    }

    /// Two that announce by one key: the later one's word stands, and the earlier one takes over when it is gone.
    @Test func whatSomebodyElseHasWrittenStays() {
        var machine = announced()
        func check(_ held: [String: Machine.Held]?) -> [Machine.Action] {
            _ = machine.handle(.timer, random: 0)
            _ = machine.handle(.keptAlive(ttlSeconds: 9), random: 0)
            return machine.handle(.checked(held), random: 0)
        }
        #expect(check(["a": .init(lease: 8, revision: 6)]) == [renewal])
        _ = machine.handle(.timer, random: 0)
        #expect(machine.handle(.keptAlive(ttlSeconds: 9), random: 0) == [.check(["a": 6])])
        #expect(machine.handle(.checked([:]), random: 0) == [.write(puts: ["a": value], lease: 7, deletes: [])])
        #expect(machine.handle(.written(revision: 7), random: 0) == [.announced, renewal])
        #expect(check(nil) == [renewal])
    }

    @Test func changesAreWrittenAsDifferences() {
        var machine = announced()
        #expect(machine.handle(.set(["a": value]), random: 0) == [])
        #expect(
            machine.handle(.set(["b": value]), random: 0)
                == [.write(puts: ["b": value], lease: 7, deletes: ["a"])])
        // Changed again meanwhile: written when the first is there.
        #expect(machine.handle(.set(["b": [2]]), random: 0) == [])
        #expect(
            machine.handle(.written(revision: 6), random: 0) == [.write(puts: ["b": [2]], lease: 7, deletes: [])])
        // Changes keep no lease: the renewal comes when it would have come without them.
        #expect(machine.handle(.written(revision: 7), random: 0) == [.announced])
        #expect(machine.handle(.timer, random: 0) == [.keepAlive(lease: 7)])
        #expect(machine.handle(.keptAlive(ttlSeconds: 9), random: 0) == [.check(["b": 7])])
        #expect(machine.handle(.checked(nil), random: 0) == [renewal])
    }

    /// A member that is silent for as long as it may be, then another one: the third is asked before the lease is over.
    @Test(arguments: [3, 9, 10, 3600]) func silenceLeavesTimeForAThirdAttempt(ttlSeconds: Int) {
        let lease = UInt64(ttlSeconds) * 1_000_000_000
        let patience = Machine.patienceNanoseconds(ttlSeconds: ttlSeconds)
        let pauses: UInt64 = 100_000_000 + 200_000_000
        #expect(lease / 3 + 2 * patience + pauses < lease)
        #expect(patience >= 400_000_000)
    }

    @Test func manyKeysGoInBatches() {
        var machine = Machine(ttlSeconds: 9)
        let keys = Dictionary(uniqueKeysWithValues: (0..<150).map { ("k\($0)", value) })
        _ = machine.handle(.set(keys), random: 0)
        var actions = machine.handle(.granted(lease: 7), random: 0)
        var sizes: [Int] = []
        while case .write(let puts, _, _)? = actions.first {
            sizes.append(puts.count)
            actions = machine.handle(.written(revision: 5), random: 0)
        }
        #expect(sizes == [64, 64, 22])
        #expect(actions == [.announced, renewal])
        _ = machine.handle(.timer, random: 0)
        actions = machine.handle(.keptAlive(ttlSeconds: 9), random: 0)
        sizes = []
        while case .check(let keys)? = actions.first {
            sizes.append(keys.count)
            actions = machine.handle(.checked(nil), random: 0)
        }
        #expect(sizes == [64, 64, 22])
        #expect(actions == [renewal])
    }

    @Test func aLostLeaseIsReplacedAndEverythingWrittenAgain() {
        var machine = announced()
        _ = machine.handle(.timer, random: 0)
        #expect(machine.handle(.keptAlive(ttlSeconds: 0), random: 0) == [.grant(ttlSeconds: 9)])
        #expect(
            machine.handle(.granted(lease: 8), random: 0) == [.write(puts: ["a": value], lease: 8, deletes: [])])
        let gone = EtcdFailure.refused(code: 5, message: "etcdserver: requested lease not found")
        #expect(machine.handle(.failed(gone), random: 0) == [.grant(ttlSeconds: 9)])
        _ = machine.handle(.granted(lease: 9), random: 0)
        #expect(machine.handle(.written(revision: 6), random: 0) == [.announced, renewal])
    }

    @Test func failuresPauseAndTheLeaseIsAskedForFirst() {
        var machine = announced()
        _ = machine.handle(.timer, random: 0)
        #expect(
            machine.handle(.failed(down), random: 0)
                == [.failing(down), .forgetToken, .failover, .timer(nanoseconds: 50_000_000)])
        // Meanwhile nothing is sent, whatever is wanted.
        #expect(machine.handle(.set(["a": value, "b": value]), random: 0) == [])
        #expect(machine.handle(.timer, random: 0) == [.keepAlive(lease: 7)])
        #expect(
            machine.handle(.keptAlive(ttlSeconds: 9), random: 0)
                == [.write(puts: ["b": value], lease: 7, deletes: [])])
        #expect(machine.handle(.written(revision: 6), random: 0) == [.check(["a": 5])])
        #expect(machine.handle(.checked(nil), random: 0) == [.announced, renewal])
    }

    @Test func withdrawsAndEnds() {
        var machine = announced()
        #expect(machine.handle(.withdraw(isSaid: true), random: 0) == [.revoke(lease: 7)])
        #expect(machine.handle(.revoked, random: 0) == [.withdrawn])
        #expect(machine.handle(.timer, random: 0) == [])
        #expect(machine.handle(.set(["c": value]), random: 0) == [])
    }

    /// A key under its lease that says 9 behind its value before it goes.
    private func polite(_ keys: [String: [UInt8]]) -> Machine {
        var machine = Machine(ttlSeconds: 9) { _, value in value.last == 9 ? nil : value + [9] }
        _ = machine.handle(.set(keys), random: 0)
        _ = machine.handle(.granted(lease: 7), random: 0)
        while case .write? = machine.handle(.written(revision: 6), random: 0).first {}
        return machine
    }

    @Test func whatIsTakenBackSaysSoFirst() {
        var machine = polite(["a": [1], "b": [2], "c": [3, 9]])
        // Together with what changes; what says so already goes at once.
        #expect(
            machine.handle(.set(["b": [4]]), random: 0)
                == [.write(puts: ["a": [1, 9], "b": [4]], lease: 7, deletes: ["c"])])
        #expect(machine.handle(.written(revision: 6), random: 0) == [.write(puts: [:], lease: 7, deletes: ["a"])])
        #expect(machine.handle(.written(revision: 6), random: 0) == [.announced])
    }

    @Test func whatIsWantedAgainMeanwhileStays() {
        var machine = polite(["a": [1]])
        _ = machine.handle(.set([:]), random: 0)
        #expect(machine.handle(.set(["a": [1]]), random: 0) == [])
        #expect(machine.handle(.written(revision: 6), random: 0) == [.write(puts: ["a": [1]], lease: 7, deletes: [])])
        #expect(machine.handle(.written(revision: 6), random: 0) == [.announced])
    }

    @Test func manyThatGoSaySoInBatches() {
        var machine = polite(Dictionary(uniqueKeysWithValues: (0..<100).map { ("k\($0)", [1]) }))
        var actions = machine.handle(.set([:]), random: 0)
        var (said, deleted) = (Set<String>(), Set<String>())
        while case .write(let puts, _, let deletes)? = actions.first {
            #expect(puts.count + deletes.count <= Machine.batchLimit)
            #expect(said.isSuperset(of: deletes))
            said.formUnion(puts.keys)
            deleted.formUnion(deletes)
            actions = machine.handle(.written(revision: 6), random: 0)
        }
        #expect(said.count == 100 && deleted.count == 100)
    }

    @Test func theEndIsSaidWhereItIsMeant() {
        var machine = polite(["a": [1]])
        #expect(machine.handle(.withdraw(isSaid: true), random: 0) == [.check(["a": 6])])
        #expect(machine.handle(.checked(nil), random: 0) == [.write(puts: ["a": [1, 9]], lease: 7, deletes: [])])
        #expect(machine.handle(.written(revision: 6), random: 0) == [.revoke(lease: 7)])
        var silent = polite(["a": [1]])
        #expect(silent.handle(.withdraw(isSaid: false), random: 0) == [.revoke(lease: 7)])
        // A failure is no time for words.
        var failing = polite(["a": [1]])
        _ = failing.handle(.withdraw(isSaid: true), random: 0)
        _ = failing.handle(.failed(down), random: 0)
        #expect(failing.handle(.timer, random: 0) == [.revoke(lease: 7)])
    }

    /// The next run of the same announcer, say, which has begun before this one ends.
    @Test func whatSomebodyElseHasWrittenIsNotSaidToEnd() {
        var machine = polite(["a": [1], "b": [1], "c": [1]])
        #expect(machine.handle(.withdraw(isSaid: true), random: 0) == [.check(["a": 6, "b": 6, "c": 6])])
        let held = ["a": Machine.Held(lease: 8, revision: 9), "b": .init(lease: 7, revision: 6)]
        #expect(
            machine.handle(.checked(held), random: 0) == [.write(puts: ["b": [1, 9]], lease: 7, deletes: [])])
        #expect(machine.handle(.written(revision: 10), random: 0) == [.revoke(lease: 7)])
        // Nor is it deleted where it is wanted no more.
        machine = polite(["a": [1], "b": [1]])
        _ = machine.handle(.timer, random: 0)
        _ = machine.handle(.keptAlive(ttlSeconds: 9), random: 0)
        #expect(machine.handle(.checked(held), random: 0) == [renewal])
        #expect(
            machine.handle(.set([:]), random: 0) == [.write(puts: ["b": [1, 9]], lease: 7, deletes: [])])
        #expect(
            machine.handle(.written(revision: 11), random: 0) == [.write(puts: [:], lease: 7, deletes: ["b"])])
    }

    @Test func withdrawsAfterWhatIsUnderWay() {
        var machine = Machine(ttlSeconds: 9)
        _ = machine.handle(.set(["a": value]), random: 0)
        #expect(machine.handle(.withdraw(isSaid: true), random: 0) == [])
        #expect(machine.handle(.granted(lease: 7), random: 0) == [.revoke(lease: 7)])
        #expect(machine.handle(.failed(down), random: 0).contains(.failing(down)))
        #expect(machine.handle(.timer, random: 0) == [.revoke(lease: 7)])
        let gone = EtcdFailure.refused(code: 5, message: "etcdserver: requested lease not found")
        #expect(machine.handle(.failed(gone), random: 0) == [.withdrawn])
    }

    @Test func nothingToSayAsksForNothing() {
        var machine = Machine(ttlSeconds: 9)
        #expect(machine.handle(.set([:]), random: 0) == [.announced])
        #expect(machine.handle(.withdraw(isSaid: true), random: 0) == [.withdrawn])
    }

    /// An etcd that fails, loses leases and forgets: once it is well, it holds what is wanted and nothing else.
    @Test(arguments: 0..<40)
    func inTheEndEtcdHoldsWhatIsWanted(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var machine = Machine(ttlSeconds: 9) { _, value in value.last == 9 ? nil : value + [9] }
        var leases: [Int64: [String: [UInt8]]] = [:]
        var revisions: [String: Int64] = [:]
        var revision: Int64 = 1
        var lastLease: Int64 = 0
        var wanted: [String: [UInt8]] = [:]
        var pending: [Machine.Action] = []
        func serve(_ action: Machine.Action, fails: Bool) -> Machine.Event? {
            switch action {
            case .grant, .write, .keepAlive, .check, .revoke: if fails { return .failed(.unreachable("x")) }
            case .timer: return .timer
            default: return nil
            }
            switch action {
            case .grant:
                lastLease += 1
                leases[lastLease] = [:]
                return .granted(lease: lastLease)
            case .keepAlive(let lease): return .keptAlive(ttlSeconds: leases[lease] == nil ? 0 : 9)
            case .write(let puts, let lease, let deletes):
                guard leases[lease] != nil else { return .failed(.refused(code: 5, message: "lease not found")) }
                for (key, value) in puts {
                    for other in leases.keys { leases[other]?[key] = nil }
                    leases[lease]?[key] = value
                }
                for key in deletes { for other in leases.keys { leases[other]?[key] = nil } }
                revision += 1
                for key in puts.keys { revisions[key] = revision }
                return .written(revision: revision)
            case .check(let wanted):
                let held = wanted.keys.compactMap { key in
                    leases.first { $0.value[key] != nil }.map { lease in
                        (key, Machine.Held(lease: lease.key, revision: revisions[key] ?? 0))
                    }
                }
                let found = Dictionary(uniqueKeysWithValues: held)
                return .checked(found.mapValues(\.revision) == wanted ? nil : found)
            default: return nil
            }
        }
        for step in 0..<300 {
            let isWell = step > 200
            if !isWell, random.once(in: 3) {
                wanted["k\(random.below(5))"] = random.once(in: 3) ? nil : [UInt8(random.below(4))]
                pending += machine.handle(.set(wanted), random: random.next())
            }
            if !isWell, random.once(in: 10), let lease = leases.keys.randomElement(using: &random) {
                leases[lease] = nil
            }
            // A slip of somebody's hand.
            if !isWell, random.once(in: 10) { for lease in leases.keys { leases[lease]?["k2"] = nil } }
            if let index = pending.indices.randomElement(using: &random) {
                let action = pending.remove(at: index)
                if let event = serve(action, fails: !isWell && random.once(in: 4)) {
                    pending += machine.handle(event, random: random.next())
                }
            }
        }
        for _ in 0..<40 where !pending.isEmpty {
            if let event = serve(pending.removeFirst(), fails: false) { pending += machine.handle(event, random: 0) }
        }
        // Old leases, no longer renewed, have ended.
        let live = leases.filter { !$0.value.isEmpty || $0.key == lastLease }.values.reduce(into: [:]) {
            $0.merge($1, uniquingKeysWith: { $1 })
        }
        #expect(live == wanted)
    }
}
