import Reactor
import Testing

/// A watch that expectations may ask.
private final class Watched {
    private var watch: LoopWatch

    init(workers: Int) { watch = LoopWatch(workers: workers) }

    func tick() -> LoopWatch.Step { watch.tick() }

    func answered(worker: Int, round: UInt64) -> Bool { watch.answered(worker: worker, round: round) }
}

@Suite struct LoopWatchTests {
    @Test func foodComesOnlyWithTheLastAnswer() {
        let watch = Watched(workers: 3)
        #expect(watch.tick() == .ask(round: 1))
        #expect(!watch.answered(worker: 2, round: 1))
        #expect(!watch.answered(worker: 2, round: 1), "twice is once")
        #expect(!watch.answered(worker: 0, round: 1))
        #expect(watch.answered(worker: 1, round: 1))
        #expect(!watch.answered(worker: 1, round: 1), "fed already")
        #expect(watch.tick() == .ask(round: 2))
    }

    @Test func aLoopThatHangsStopsTheFeedingUntilItAnswers() {
        let watch = Watched(workers: 2)
        #expect(watch.tick() == .ask(round: 1))
        #expect(!watch.answered(worker: 0, round: 1))
        for _ in 0..<5 {
            #expect(watch.tick() == .late(workers: [1]), "no new question that the healthy one could answer")
            #expect(!watch.answered(worker: 0, round: 1))
        }
        #expect(watch.answered(worker: 1, round: 1))
        #expect(watch.tick() == .ask(round: 2))
    }

    @Test func answersToNoQuestionAreNoSignOfLife() {
        let watch = Watched(workers: 1)
        #expect(!watch.answered(worker: 0, round: 0))
        #expect(watch.tick() == .ask(round: 1))
        #expect(!watch.answered(worker: 0, round: 2))
        #expect(!watch.answered(worker: 7, round: 1))
        #expect(watch.answered(worker: 0, round: 1))
    }

    @Test(arguments: [
        (UInt64(10_000_000_000), UInt64(2_500_000_000)), (0, 1_000_000), (3_999_999, 1_000_000),
        (.max, .max / 4),
    ])
    func aPeriodIsAQuarterOfTheTimeout(timeout: UInt64, period: UInt64) {
        #expect(LoopWatch.period(timeoutNanoseconds: timeout) == period)
    }
}
