/// Decides when a watchdog may be fed: only after every worker loop has answered a question that was asked since the
/// last feeding.
///
/// Pure: the holder asks (by mailbox, whose answer costs the worker a turn), hands in answers, and feeds where it is
/// told to. The loop that holds it proves its own progress by calling `tick`. An idle loop is woken by the question, so
/// idleness and a hang are never confused.
public struct LoopWatch: Sendable {
    public enum Step: Sendable, Equatable {
        /// Put this question to every worker.
        case ask(round: UInt64)
        /// These workers still owe the answer to the question of the last tick.
        case late(workers: [Int])
    }

    private let workers: Int
    private var round: UInt64 = 0
    private var owing: Set<Int> = []

    /// - Parameter workers: how many loops must answer, named 0..<workers.
    public init(workers: Int) { self.workers = workers }

    /// The time between two ticks for a watchdog that bites after `timeoutNanoseconds` without food: a quarter, so that
    /// a slow turn is no hang, and at least a millisecond.
    public static func period(timeoutNanoseconds: UInt64) -> UInt64 { max(timeoutNanoseconds / 4, 1_000_000) }

    /// Once a period. While an answer is missing no new question is asked.
    public mutating func tick() -> Step {
        guard owing.isEmpty else { return .late(workers: owing.sorted()) }
        round += 1
        owing = Set(0..<workers)
        return .ask(round: round)
    }

    /// Takes one worker's answer; true where it was the last that was missing: feed.
    public mutating func answered(worker: Int, round answered: UInt64) -> Bool {
        guard answered == round, owing.remove(worker) != nil else { return false }
        return owing.isEmpty
    }
}
