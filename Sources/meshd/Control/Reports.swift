import Reactor

/// Asks all workers for their counters and waits for them, but not for long: a worker that hangs shows by its absence.
final class Reports: Handler {
    private static let patienceNanoseconds: UInt64 = 500_000_000

    private struct Round {
        var reports: [WorkerReport] = []
        let done: ([WorkerReport]) -> Void
        let deadline: UInt64
    }

    private let loop: EventLoop
    private let workers: [Mailbox<WorkerMessage>]
    private var rounds: [UInt64: Round] = [:]
    private var ticket: UInt64 = 0

    init(_ loop: EventLoop, _ workers: [Mailbox<WorkerMessage>]) {
        self.loop = loop
        self.workers = workers
        super.init()
        loop.attach(self)
    }

    func gather(_ done: @escaping ([WorkerReport]) -> Void) {
        ticket += 1
        rounds[ticket] = Round(done: done, deadline: loop.nowNanoseconds &+ Self.patienceNanoseconds)
        for worker in workers { worker.post(.report(ticket: ticket)) }
        arm()
    }

    func received(_ report: WorkerReport) {
        guard var round = rounds[report.ticket] else { return }
        round.reports.append(report)
        rounds[report.ticket] = round
        if round.reports.count == workers.count { finish(report.ticket) }
    }

    override func deadlineReached() {
        for (ticket, round) in rounds where round.deadline <= loop.nowNanoseconds { finish(ticket) }
        arm()
    }

    private func finish(_ ticket: UInt64) {
        guard let round = rounds.removeValue(forKey: ticket) else { return }
        round.done(round.reports.sorted { $0.worker < $1.worker })
    }

    private func arm() {
        guard let next = rounds.values.map(\.deadline).min() else { return }
        loop.setDeadline(self, at: next)
    }
}
