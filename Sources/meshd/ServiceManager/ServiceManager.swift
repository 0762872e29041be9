import CSystemd
import Reactor

/// What the service manager is told over `NOTIFY_SOCKET` (sd_notify(3)): readiness, status text, reloads, the end, and
/// that every loop lives. Says nothing where nobody asked to be told.
final class ServiceManager: Handler {
    /// Status texts are at least this far apart.
    private static let statusNanoseconds: UInt64 = 1_000_000_000

    private let loop: EventLoop
    private let workers: [Mailbox<WorkerMessage>]
    private var watch: LoopWatch
    private let watchTimer = TimerHandler()
    private var isWatching = false
    /// Workers that were told of as late.
    private var late: [Int] = []
    private let describe: () -> String
    private var told = ""
    private var nextStatus: UInt64 = 0

    /// - Parameter describe: the status text, one line.
    init(_ loop: EventLoop, _ workers: [Mailbox<WorkerMessage>], describe: @escaping () -> String) {
        self.loop = loop
        self.workers = workers
        self.describe = describe
        watch = LoopWatch(workers: workers.count)
        super.init()
        loop.attach(self)
        loop.attach(watchTimer)
    }

    private func tell(_ assignments: String) {
        let result = sd_notify(0, assignments)
        if result < 0 { Log.debug("service manager not told", ["cause": SystemError.text(-result)]) }
    }

    // MARK: - Life

    func ready() { tell("READY=1\nSTATUS=\(status())") }

    /// A reload began; `ready` ends it.
    func reloading() { tell("RELOADING=1\nMONOTONIC_USEC=\(MonotonicClock.nowNanoseconds() / 1_000)") }

    func stopping() { tell("STOPPING=1\nSTATUS=\(status())") }

    private func status() -> String {
        told = describe()
        nextStatus = loop.nowNanoseconds &+ Self.statusNanoseconds
        return told
    }

    /// What the status text says may have changed. It is told at most once a second.
    func statusChanged() { loop.setDeadline(self, at: max(nextStatus, loop.nowNanoseconds)) }

    override func deadlineReached() {
        let before = told
        if status() != before { tell("STATUS=\(told)") }
    }

    // MARK: - Watchdog

    /// Feeds the watchdog, where the service manager set one, for as long as every loop makes progress.
    func feedWatchdog() {
        var microseconds: UInt64 = 0
        guard sd_watchdog_enabled(0, &microseconds) > 0 else { return }
        let (timeout, isTooLarge) = microseconds.multipliedReportingOverflow(by: 1_000)
        let period = LoopWatch.period(timeoutNanoseconds: isTooLarge ? .max : timeout)
        isWatching = true
        watchTimer.fired = { [unowned self] in
            tick()
            if isWatching { loop.setDeadline(watchTimer, after: period) }
        }
        tell("WATCHDOG=1")
        watchTimer.fired()
    }

    private func tick() {
        switch watch.tick() {
        case .ask(let round):
            if !late.isEmpty { Log.info("all workers answer again") }
            late = []
            for worker in workers { worker.post(.sign(round: round)) }
        case .late(let workers):
            guard workers != late else { return }
            late = workers
            let names = workers.map(String.init).joined(separator: ", ")
            Log.error("workers do not answer, the watchdog is not fed", ["workers": names])
        }
    }

    func signOfLife(worker: Int, round: UInt64) {
        if isWatching, watch.answered(worker: worker, round: round) { tell("WATCHDOG=1") }
    }

    /// Nothing is watched any more; the workers are about to end.
    func endWatch() {
        isWatching = false
        loop.clearDeadline(watchTimer)
    }
}
