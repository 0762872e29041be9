/// Keeps keys in etcd under a lease of their own, for as long as somebody is there to renew it. Pure: what happened
/// comes in, what to do goes out.
///
/// A key that is taken back says so first, where there is something to say: to others a deleted key looks like one
/// whose lease was lost.
///
/// One request is under way at a time. Where the lease is gone, because etcd was away for longer than it lasts, a new
/// one is asked for and everything is written again.
struct AnnounceMachine {
    enum Event {
        case start
        /// What is to be there from now on, by key.
        case set([String: [UInt8]])
        case granted(lease: Int64)
        /// The keys of the write under way are of this revision.
        case written(revision: Int64)
        /// 0: the lease is gone.
        case keptAlive(ttlSeconds: Int64)
        /// What is there of the keys looked at; `nil`: all of them, as they were written.
        case checked([String: Held]?)
        case revoked
        case failed(EtcdFailure)
        case timer
        /// Take everything back and end.
        ///
        /// - Parameter isSaid: whether the keys say so first.
        case withdraw(isSaid: Bool)
    }

    enum Action: Equatable {
        case grant(ttlSeconds: Int)
        case write(puts: [String: [UInt8]], lease: Int64, deletes: [String])
        case keepAlive(lease: Int64)
        /// Look whether these keys are still there, of these revisions.
        case check([String: Int64])
        case revoke(lease: Int64)
        case failover
        case forgetToken
        /// One timer; a new one replaces it.
        case timer(nanoseconds: UInt64)
        /// All that is wanted is there: after a change, and again after a failure.
        case announced
        case failing(EtcdFailure)
        /// The end: nothing of ours is in etcd any more.
        case withdrawn
    }

    /// A key as etcd has it.
    struct Held: Equatable {
        let lease: Int64
        let revision: Int64
    }

    private enum Operation: Equatable {
        case grant, keepAlive, revoke
        case check([String])
        case write(puts: [String: [UInt8]], deletes: [String])
    }

    private struct Present {
        let value: [UInt8]
        /// etcd's of the key, whoever wrote it last.
        var revision: Int64
        /// Somebody else has written it since.
        var isTheirs = false
    }

    /// Keys of one transaction; etcd's own limit is 128 by default.
    static let batchLimit = 64

    private let ttlSeconds: Int
    /// What a key with this value says before it goes; `nil`: nothing, or it does already.
    private let farewell: (_ key: String, _ value: [UInt8]) -> [UInt8]?
    private var wanted: [String: [UInt8]] = [:]
    /// What is there, under our lease or, where somebody else has written it since, under theirs.
    private var present: [String: Present] = [:]
    /// Of those, keys to be looked at with this renewal: a registry set back to an older state knows the lease and
    /// not all that was written under it since, and a key may have been deleted.
    private var unchecked: ArraySlice<String> = []
    private var lease: Int64?
    private var operation: Operation?
    private var isRenewalDue = false
    /// The timer runs towards the next renewal, from the last sign of life on: changes do not put it off.
    private var isRenewalSet = false
    /// Between a failure and its next attempt.
    private var isWaiting = false
    private var isWithdrawing = false
    private var isFarewellSaid = false
    private var isOver = false
    private var isTold = false
    private var backoff = Backoff()

    /// - Parameter ttlSeconds: how long the keys outlive the last sign of life; 2...86,400.
    init(ttlSeconds: Int, farewell: @escaping (_ key: String, _ value: [UInt8]) -> [UInt8]? = { _, _ in nil }) {
        self.ttlSeconds = min(max(ttlSeconds, 2), 86_400)
        self.farewell = farewell
    }

    mutating func handle(_ event: Event, random: UInt64) -> [Action] {
        guard !isOver else { return [] }
        switch event {
        case .start: break
        case .set(let keys):
            isTold = isTold && keys == wanted
            wanted = keys
        case .withdraw(let isSaid):
            isWithdrawing = true
            isFarewellSaid = !isSaid
            // Nobody else's key is to say farewell.
            unchecked = isSaid ? farewells(present).keys.sorted()[...] : []
            // Not worth a pause: what is left ends with the lease anyway.
            isWaiting = false
        case .timer:
            isRenewalDue = lease != nil
            isRenewalSet = false
            isWaiting = false
        case .failed(let failure): return failed(failure, random)
        case .granted(let lease):
            guard operation == .grant else { return [] }
            self.lease = lease
            present = [:]
            isRenewalSet = false
            succeeded()
        case .keptAlive(let ttl):
            guard operation == .keepAlive else { return [] }
            if ttl > 0 { renewed() } else { lost() }
            isRenewalSet = false
            succeeded()
        case .checked(let held):
            guard case .check(let keys)? = operation else { return [] }
            if let held { compare(keys, held) }
            succeeded()
        case .written(let revision):
            guard case .write(let puts, let deletes)? = operation else { return [] }
            for (key, value) in puts { present[key] = Present(value: value, revision: revision) }
            for key in deletes { present[key] = nil }
            succeeded()
        case .revoked:
            guard operation == .revoke else { return [] }
            lost()
            succeeded()
        }
        return next()
    }

    private mutating func succeeded() {
        operation = nil
        backoff.succeeded()
    }

    private mutating func renewed() {
        isRenewalDue = false
        unchecked = present.keys.sorted()[...]
    }

    /// What is gone, or is not what was written under our lease, is written again. What somebody else announces by
    /// the same key since is theirs, for as long as it is there: two that insist would take turns for ever.
    private mutating func compare(_ keys: [String], _ held: [String: Held]) {
        for key in keys {
            if let found = held[key], found.lease != lease {
                present[key]?.revision = found.revision
                present[key]?.isTheirs = true
            } else if held[key]?.revision != present[key]?.revision {
                present[key] = nil
                isTold = false
            }
        }
    }

    private mutating func lost() {
        lease = nil
        present = [:]
        unchecked = []
        isTold = false
        isRenewalDue = false
    }

    private mutating func failed(_ failure: EtcdFailure, _ random: UInt64) -> [Action] {
        guard operation != nil else { return [] }
        operation = nil
        if failure.isLeaseGone {
            lost()
            return next()
        }
        isWaiting = true
        isTold = false
        // The end is more urgent than what is said at it.
        if isWithdrawing { isFarewellSaid = true }
        // Whether the lease has outlived this is the first thing to know.
        isRenewalDue = lease != nil
        isRenewalSet = false
        return [.failing(failure), .forgetToken, .failover, .timer(nanoseconds: backoff.next(random: random))]
    }

    /// The next request, where none is under way.
    private mutating func next() -> [Action] {
        guard operation == nil, !isWaiting else { return [] }
        if isWithdrawing {
            guard let lease else {
                isOver = true
                return [.withdrawn]
            }
            if !isFarewellSaid, let check = nextCheck() { return check }
            let farewells = isFarewellSaid ? [:] : farewells(present)
            if !farewells.isEmpty { return write(Self.batch(farewells), [], lease) }
            operation = .revoke
            return [.revoke(lease: lease)]
        }
        guard let lease else {
            guard !wanted.isEmpty else { return announced() }
            operation = .grant
            return [.grant(ttlSeconds: ttlSeconds)]
        }
        if isRenewalDue {
            operation = .keepAlive
            return [.keepAlive(lease: lease)]
        }
        forgetTheirs()
        let leaving = present.filter { wanted[$0.key] == nil }
        let farewells = farewells(leaving)
        var puts = wanted.filter { present[$0.key]?.value != $0.value }
        puts.merge(farewells, uniquingKeysWith: { $1 })
        puts = Self.batch(puts)
        let deletes = leaving.keys.filter { farewells[$0] == nil }.sorted().prefix(Self.batchLimit - puts.count)
        guard !puts.isEmpty || !deletes.isEmpty else { return nextCheck() ?? (announced() + renewal()) }
        return write(puts, Array(deletes), lease)
    }

    private mutating func write(_ puts: [String: [UInt8]], _ deletes: [String], _ lease: Int64) -> [Action] {
        operation = .write(puts: puts, deletes: deletes)
        return [.write(puts: puts, lease: lease, deletes: deletes)]
    }

    /// What these keys still have to say before they go.
    private func farewells(_ keys: [String: Present]) -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for (key, present) in keys where !present.isTheirs { found[key] = farewell(key, present.value) }
        return found
    }

    /// As much of it as goes into one transaction.
    private static func batch(_ puts: [String: [UInt8]]) -> [String: [UInt8]] {
        guard puts.count > batchLimit else { return puts }
        return Dictionary(uniqueKeysWithValues: puts.sorted { $0.key < $1.key }.prefix(batchLimit).map { ($0, $1) })
    }

    /// Keys that are no longer wanted and are somebody else's are not ours to delete.
    private mutating func forgetTheirs() {
        for (key, held) in present where held.isTheirs && wanted[key] == nil { present[key] = nil }
    }

    private mutating func nextCheck() -> [Action]? {
        let keys = unchecked.prefix(Self.batchLimit).filter { present[$0] != nil }
        unchecked = unchecked.dropFirst(Self.batchLimit)
        guard !keys.isEmpty else { return nil }
        operation = .check(keys)
        return [.check(Dictionary(uniqueKeysWithValues: keys.map { ($0, present[$0]?.revision ?? 0) }))]
    }

    private mutating func renewal() -> [Action] {
        guard !isRenewalSet else { return [] }
        isRenewalSet = true
        return [.timer(nanoseconds: renewalNanoseconds)]
    }

    /// A third of the lease: two attempts may fail, also by silence.
    private var renewalNanoseconds: UInt64 { UInt64(ttlSeconds) * 1_000_000_000 / 3 }

    /// How long an answer is waited for: so that a member that is silent, and the next one, leave time for a third.
    static func patienceNanoseconds(ttlSeconds: Int) -> UInt64 {
        min(max(UInt64(clamping: ttlSeconds) * 1_000_000_000 / 6, 400_000_000), EtcdClient.timeoutNanoseconds)
    }

    private mutating func announced() -> [Action] {
        guard !isTold else { return [] }
        isTold = true
        return [.announced]
    }
}
