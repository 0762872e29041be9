/// Which containers are about to end: they were sent their stop signal and still run. Pure.
///
/// An engine tells of each signal that is sent, first of all when it stops a container, and kills that when its stop
/// timeout is over. Of one that goes on regardless it tells nothing: then that time, and a new look, say so.
struct DockerStops {
    /// Beyond the stop timeout.
    static let marginNanoseconds: UInt64 = 3_000_000_000
    /// Signals that are kept of a container which has not been looked at yet.
    private static let earlyLimit = 4

    private struct Life {
        let signal: Int
        /// `nil`: the engine waits for as long as it takes.
        let timeoutNanoseconds: UInt64?
        let startedAt: String
        /// When it should have ended, `.max`: nobody knows; `nil`: it is not about to.
        var until: UInt64?

        init(_ container: DockerContainer) {
            signal = container.stopSignal
            let seconds = container.stopTimeoutSeconds
            timeoutNanoseconds = seconds < 0 ? nil : UInt64(seconds) * 1_000_000_000
            startedAt = container.startedAt
        }

        /// - Returns: whether the signal is meant to end the container.
        mutating func take(_ signal: Int, _ now: UInt64) -> Bool {
            guard signal == self.signal || signal == DockerSignal.kill else { return false }
            until = timeoutNanoseconds.map { now + $0 + DockerStops.marginNanoseconds } ?? .max
            return true
        }
    }

    private var lives: [String: Life] = [:]
    /// When those are to be looked at that are about to end.
    private var deadlines: [String: UInt64] = [:]
    private var early: [String: [Int]] = [:]

    /// When the next container should have ended; `nil`: there is none.
    var nextNanoseconds: UInt64? { deadlines.values.min() }

    /// A signal was sent.
    ///
    /// - Returns: whether the container is now about to end and was not before.
    mutating func signalled(_ id: String, _ signal: Int, nowNanoseconds now: UInt64) -> Bool {
        guard var life = lives[id] else {
            if early[id]?.count ?? 0 < Self.earlyLimit { early[id, default: []].append(signal) }
            return false
        }
        let wasStopping = life.until != nil
        guard life.take(signal, now) else { return false }
        set(id, life)
        return !wasStopping
    }

    /// A container was looked at, and runs.
    ///
    /// - Returns: whether it is about to end, where that is different from before.
    mutating func looked(_ container: DockerContainer, nowNanoseconds now: UInt64) -> Bool? {
        let before = lives[container.id]
        var life = Life(container)
        // One that was started again is another one.
        if let before, before.startedAt == life.startedAt, let until = before.until, until > now {
            life.until = until
        }
        for signal in early.removeValue(forKey: container.id) ?? [] { _ = life.take(signal, now) }
        set(container.id, life)
        let isStopping = life.until != nil
        return isStopping == (before?.until != nil) ? nil : isStopping
    }

    /// Containers that should have ended, each once.
    mutating func overdue(nowNanoseconds now: UInt64) -> [String] {
        let ids = deadlines.filter { $0.value <= now }.keys.sorted()
        for id in ids { deadlines[id] = nil }
        return ids
    }

    private mutating func set(_ id: String, _ life: Life) {
        lives[id] = life
        deadlines[id] = life.until == .max ? nil : life.until
    }

    mutating func forget(_ id: String) {
        lives[id] = nil
        deadlines[id] = nil
        early[id] = nil
    }

    /// Forgets all containers but these.
    mutating func retain(_ ids: Set<String>) {
        lives = lives.filter { ids.contains($0.key) }
        deadlines = deadlines.filter { ids.contains($0.key) }
        early = early.filter { ids.contains($0.key) }
    }
}
