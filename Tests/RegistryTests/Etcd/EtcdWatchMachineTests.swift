import TestSupport
import Testing

@testable import Registry

private typealias Machine = EtcdWatchMachine

private func pair(_ key: String, _ revision: Int64, _ value: String = "{}") -> EtcdKeyValue {
    EtcdKeyValue(key: key, value: Array(value.utf8), createRevision: revision, modRevision: revision)
}

private func page(_ pairs: [EtcdKeyValue], revision: Int64, more: Bool = false, cluster: String = "c") -> EtcdPage {
    EtcdPage(
        cluster: cluster, revision: revision, pairs: pairs, lastKey: Array((pairs.last?.key ?? "").utf8), hasMore: more)
}

private func created(_ revision: Int64, cluster: String = "c") -> Machine.Event {
    .watch(EtcdWatchAnswer(cluster: cluster, revision: revision, isCreated: true))
}

private func changes(_ revisions: [Int64], fragment: Bool = false) -> Machine.Event {
    .watch(
        EtcdWatchAnswer(
            cluster: "c", revision: revisions.max() ?? 0, isFragment: fragment,
            changes: revisions.map { .put(pair("/m/k", $0)) }))
}

/// Without timers, whose length is for another test.
private func run(_ machine: inout Machine, _ event: Machine.Event) -> [Machine.Action] {
    machine.handle(event, random: 0).filter { if case .timer = $0 { false } else { true } }
}

/// One that has read up to revision 5 and watches.
private func watching() -> Machine {
    var machine = Machine(first: Array("/m/".utf8))
    _ = run(&machine, .start)
    _ = run(&machine, .page(page([pair("/m/a", 4)], revision: 5)))
    _ = run(&machine, created(5))
    return machine
}

@Suite struct EtcdWatchMachineTests {
    private let first = Array("/m/".utf8)
    private let reading = [
        Machine.Action.begin, .read(from: Array("/m/".utf8), revision: 0, limit: Machine.pageLimit),
    ]

    @Test func readsPagesAtOneRevisionAndWatchesBehindIt() {
        var machine = Machine(first: Array("/m/".utf8))
        #expect(run(&machine, .start) == reading)
        #expect(run(&machine, .start) == [])
        #expect(
            run(&machine, .page(page([pair("/m/a", 4)], revision: 7, more: true))) == [
                .read(from: Array("/m/a".utf8) + [0], revision: 7, limit: Machine.pageLimit), .add([pair("/m/a", 4)]),
            ])
        // The store has moved on meanwhile; the pages are of revision 7.
        #expect(
            run(&machine, .page(page([pair("/m/b", 5)], revision: 9))) == [
                .add([pair("/m/b", 5)]), .commit, .heard, .watch(from: 8),
            ])
        #expect(run(&machine, created(9)) == [.heard])
        #expect(machine.applied == 7)
        #expect(run(&machine, changes([8, 9])) == [.changes([.put(pair("/m/k", 8)), .put(pair("/m/k", 9))]), .heard])
        #expect(machine.applied == 9)
    }

    @Test func whatComesTwiceOrLateIsDropped() {
        var machine = watching()
        #expect(run(&machine, changes([6])) == [.changes([.put(pair("/m/k", 6))]), .heard])
        #expect(run(&machine, changes([6])) == [.heard])
        #expect(run(&machine, changes([5, 6, 7])) == [.changes([.put(pair("/m/k", 7))]), .heard])
    }

    @Test func fragmentsOfOneRevisionAllCount() {
        var machine = watching()
        #expect(run(&machine, changes([6], fragment: true)) == [.changes([.put(pair("/m/k", 6))]), .heard])
        // Cut off here, the whole revision comes again.
        var cutOff = machine
        _ = cutOff.handle(.watchEnded(nil), random: 0)
        #expect(run(&cutOff, .timer) == [.watch(from: 6)])
        #expect(run(&machine, changes([6])) == [.changes([.put(pair("/m/k", 6))]), .heard])
        #expect(run(&machine, changes([6])) == [.heard])
    }

    @Test func aWatchIsTakenUpWhereItEndedOnTheNextMember() {
        var machine = watching()
        _ = run(&machine, changes([6]))
        let gone = EtcdFailure.unreachable("connection closed early")
        #expect(run(&machine, .watchEnded(gone)) == [.failing(gone), .forgetToken, .failover])
        // With the last change, which tells that it is the same store.
        #expect(run(&machine, .timer) == [.watch(from: 6)])
        #expect(run(&machine, created(6)) == [.heard])
        #expect(run(&machine, changes([6, 7])) == [.changes([.put(pair("/m/k", 7))]), .heard])
        #expect(run(&machine, changes([8])) == [.changes([.put(pair("/m/k", 8))]), .heard])
    }

    /// Set back to revision 5 or before, and written on beyond 6 before anybody looked.
    @Test(arguments: [
        [EtcdChange.put(pair("/m/other", 6))], [.put(pair("/m/k", 6, "[]"))], [.delete(key: "/m/k", modRevision: 6)],
        [.put(pair("/m/k", 7))],
    ])
    func aStoreThatWasSetBackAndWrittenOnIsReadAnew(told: [EtcdChange]) {
        var machine = watching()
        _ = run(&machine, changes([6]))
        _ = run(&machine, .watchEnded(nil))
        _ = run(&machine, .timer)
        #expect(run(&machine, created(9)) == [.heard])
        let answer = EtcdWatchAnswer(cluster: "c", revision: 9, changes: told)
        #expect(run(&machine, .watch(answer)) == [.closeWatch] + reading)
        #expect(
            run(&machine, .page(page([], revision: 9))) == [.add([]), .commit, .heard, .watch(from: 10)])
    }

    @Test func progressMovesThePlaceToTakeUp() {
        var machine = watching()
        #expect(run(&machine, .watch(EtcdWatchAnswer(cluster: "c", revision: 50))) == [.heard])
        #expect(machine.applied == 5)
        _ = run(&machine, .watchEnded(nil))
        #expect(run(&machine, .timer) == [.watch(from: 51)])
    }

    @Test func compactionIsReadAnew() {
        var machine = watching()
        var compacted = EtcdWatchAnswer(cluster: "c", revision: 90)
        (compacted.isCancelled, compacted.compactRevision) = (true, 80)
        #expect(run(&machine, .watch(compacted)) == [.closeWatch] + reading)
        #expect(run(&machine, .page(page([], revision: 95))) == [.add([]), .commit, .heard, .watch(from: 96)])
        // Again before anything was told: not without a pause.
        _ = run(&machine, created(95))
        #expect(run(&machine, .watch(compacted)).contains(.failover))
        #expect(run(&machine, .timer) == reading)
    }

    @Test func compactionBetweenPagesBeginsAnew() {
        var machine = Machine(first: Array("/m/".utf8))
        _ = run(&machine, .start)
        _ = run(&machine, .page(page([pair("/m/a", 4)], revision: 7, more: true)))
        let failure = EtcdFailure.refused(
            code: 11, message: "etcdserver: mvcc: required revision has been compacted")
        #expect(failure.isCompacted)
        #expect(run(&machine, .readFailed(failure)).contains(.failing(failure)))
        #expect(run(&machine, .timer) == reading)
    }

    @Test(arguments: [("c", 3 as Int64), ("other", 9)])
    func anotherStoreIsReadAnew(cluster: String, revision: Int64) {
        var machine = watching()
        _ = run(&machine, .watchEnded(nil))
        _ = run(&machine, .timer)
        #expect(run(&machine, created(revision, cluster: cluster)) == [.closeWatch] + reading)
        _ = run(&machine, .page(page([], revision: 3, cluster: cluster)))
        #expect(machine.applied == 3)
        #expect(run(&machine, created(3, cluster: cluster)) == [.heard])
        #expect(run(&machine, changes([4])).count == 2)
    }

    @Test func aMemberThatIsSilentIsLeft() {
        var machine = watching()
        #expect(run(&machine, .timer) == [.check])
        #expect(run(&machine, .checked) == [.heard])
        #expect(run(&machine, .timer) == [.check])
        let silent = EtcdFailure.unreachable("timed out")
        #expect(run(&machine, .checkFailed(silent)) == [.closeWatch, .failing(silent), .forgetToken, .failover])
        #expect(run(&machine, .timer) == [.watch(from: 6)])
        // Nor does the next one begin.
        #expect(run(&machine, .timer).first == .closeWatch)
    }

    @Test func pagesThatAreTooLargeBecomeSmaller() {
        var machine = Machine(first: Array("/m/".utf8))
        _ = run(&machine, .start)
        #expect(run(&machine, .readFailed(.tooLarge)) == [.begin, .read(from: first, revision: 0, limit: 500)])
        for limit in [62, 7, 1] {
            #expect(run(&machine, .readFailed(.tooLarge)) == [.begin, .read(from: first, revision: 0, limit: limit)])
        }
        #expect(run(&machine, .readFailed(.tooLarge)).contains(.failing(.tooLarge)))
    }

    @Test func pausesGrowAndShrink() {
        var backoff = Backoff(firstNanoseconds: 100, longestNanoseconds: 1_000)
        #expect((0..<6).map { _ in backoff.next(random: 0) } == [50, 100, 200, 400, 500, 500])
        #expect(backoff.next(random: .max) <= 1_000)
        for _ in 0..<100 { #expect((500...1_000).contains(backoff.next(random: 12_345))) }
        backoff.succeeded()
        #expect(backoff.next(random: 50) == 100)
    }

    @Test func answersThatNobodyWaitsForChangeNothing() {
        var machine = Machine(first: Array("/m/".utf8))
        #expect(machine.handle(.page(page([], revision: 1)), random: 0) == [])
        #expect(machine.handle(created(1), random: 0) == [])
        #expect(machine.handle(.watchEnded(nil), random: 0) == [])
        #expect(machine.handle(.timer, random: 0) == [])
        var other = watching()
        #expect(other.handle(.page(page([], revision: 1)), random: 0) == [])
        #expect(other.handle(.checked, random: 0) == [])
        #expect(other.handle(.readFailed(.tooLarge), random: 0) == [])
    }

    /// A store with a history, members that fail, compaction: in the end the machine's reader holds what the store
    /// holds, and no change was told twice or out of order.
    @Test(arguments: 0..<60)
    func whateverHappensTheStoreIsKnownInTheEnd(seed: UInt64) {
        var world = World(seed: seed)
        for _ in 0..<400 { world.step() }
        world.settle()
        #expect(world.known == world.store, "seed \(seed)")
        #expect(world.lastTold <= world.revision)
    }
}

/// An etcd of one prefix as the machine sees it, with faults.
private struct World {
    var machine = EtcdWatchMachine(first: Array("/m/".utf8))
    var random: SeededRandom
    var revision: Int64 = 1
    var store: [String: Int64] = [:]
    var history: [(revision: Int64, change: EtcdChange)] = []
    var compacted: Int64 = 0
    var known: [String: Int64] = [:]
    var draft: [String: Int64] = [:]
    var lastTold: Int64 = 0
    /// The next revision of the watch under way.
    var watchAt: Int64?
    var isTimerSet = false
    var pendingRead: (from: String, revision: Int64, limit: Int)?
    var isCheckPending = false
    var faults = true

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        feed(.start)
    }

    mutating func feed(_ event: EtcdWatchMachine.Event) {
        for action in machine.handle(event, random: random.next()) {
            switch action {
            case .begin:
                draft = [:]
                watchAt = nil
            case .read(let from, let revision, let limit):
                pendingRead = (String(decoding: from, as: UTF8.self), revision, min(limit, 3))
            case .add(let pairs): for pair in pairs { draft[pair.key] = pair.modRevision }
            case .commit:
                known = draft
                lastTold = 0
            case .watch(let from): watchAt = from
            case .closeWatch: watchAt = nil
            case .check: isCheckPending = true
            case .changes(let changes):
                for change in changes {
                    #expect(change.modRevision >= lastTold)
                    lastTold = change.modRevision
                    switch change {
                    case .put(let pair): known[pair.key] = pair.modRevision
                    case .delete(let key, _): known[key] = nil
                    }
                }
            case .timer: isTimerSet = true
            case .failover, .forgetToken, .heard, .failing: break
            }
        }
    }

    mutating func write() {
        revision += 1
        let key = "/m/k\(random.below(8))"
        if store[key] != nil, random.once(in: 3) {
            store[key] = nil
            history.append((revision, .delete(key: key, modRevision: revision)))
        } else {
            store[key] = revision
            history.append((revision, .put(pair(key, revision))))
        }
    }

    mutating func step() {
        switch random.below(12) {
        case 0...3: write()
        case 4 where faults: compacted = max(compacted, revision - Int64(random.below(3)))
        case 5 where faults && watchAt != nil:
            watchAt = nil
            feed(.watchEnded(random.once(in: 2) ? nil : .unreachable("reset")))
        case 6 where isTimerSet:
            isTimerSet = false
            feed(.timer)
        case 7 where isCheckPending:
            isCheckPending = false
            feed(faults && random.once(in: 2) ? .checkFailed(.unreachable("timed out")) : .checked)
        default: serve()
        }
    }

    mutating func serve() {
        if let read = pendingRead {
            pendingRead = nil
            if faults, random.once(in: 4) { return feed(.readFailed(.unreachable("refused"))) }
            let at = read.revision == 0 ? revision : read.revision
            guard at >= compacted else {
                return feed(.readFailed(.refused(code: 11, message: "required revision has been compacted")))
            }
            let content = state(at: at).sorted { $0.key < $1.key }.filter { $0.key >= read.from }
            let part = content.prefix(read.limit).map { pair($0.key, $0.value) }
            return feed(.page(page(Array(part), revision: revision, more: content.count > read.limit)))
        }
        guard let from = watchAt else { return }
        if from <= compacted {
            var answer = EtcdWatchAnswer(cluster: "c", revision: revision)
            (answer.isCancelled, answer.compactRevision) = (true, compacted)
            watchAt = nil
            feed(created(revision))
            return feed(.watch(answer))
        }
        if random.once(in: 6) { feed(created(revision)) }
        let due = history.filter { $0.revision >= from }.prefix(random.below(4))
        guard watchAt != nil, let last = due.last else { return }
        watchAt = last.revision + 1
        var answer = EtcdWatchAnswer(cluster: "c", revision: revision)
        answer.changes = due.map(\.change)
        feed(.watch(answer))
        // Once more: duplicates are common after a reconnect.
        if faults, random.once(in: 3), watchAt != nil { feed(.watch(answer)) }
    }

    func state(at revision: Int64) -> [String: Int64] {
        var state: [String: Int64] = [:]
        for entry in history where entry.revision <= revision {
            switch entry.change {
            case .put(let pair): state[pair.key] = pair.modRevision
            case .delete(let key, _): state[key] = nil
            }
        }
        return state
    }

    /// No more faults: everything that is due happens.
    mutating func settle() {
        faults = false
        for _ in 0..<2_000 {
            if isCheckPending {
                isCheckPending = false
                feed(.checked)
            }
            if pendingRead == nil, watchAt == nil, isTimerSet {
                isTimerSet = false
                feed(.timer)
            }
            serve()
        }
    }
}
