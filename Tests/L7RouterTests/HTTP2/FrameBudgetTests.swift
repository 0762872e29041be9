import Testing

@testable import L7Router

@Suite struct FrameBudgetTests {
    private static let second: UInt64 = 1_000_000_000

    /// How many of so many events are allowed.
    private func taken(_ events: Int, _ budget: inout FrameBudget, at nanoseconds: UInt64) -> Int {
        var count = 0
        for _ in 0..<events where budget.take(nowNanoseconds: nanoseconds) { count += 1 }
        return count
    }

    @Test func fiveSecondsWorthAtOnceThenTheRate() {
        var budget = FrameBudget(perSecond: 10, nowNanoseconds: 7)
        #expect(taken(60, &budget, at: 7) == 50)
        #expect(taken(60, &budget, at: 7 + Self.second) == 10)
        #expect(taken(99, &budget, at: 100 * Self.second) == 50)
    }

    @Test func timeThatStandsOrJumpsIsHarmless() {
        var budget = FrameBudget(perSecond: 1, nowNanoseconds: 5 * Self.second)
        #expect(taken(9, &budget, at: 0) == 5)
        #expect(taken(9, &budget, at: .max) == 5)
    }

    @Test func whatIsGivenIsNeverMoreThanTheBurst() {
        var budget = FrameBudget(perSecond: 10, nowNanoseconds: 0)
        budget.give(events: .max)
        #expect(taken(60, &budget, at: 0) == 50)
        budget.give(events: 3)
        #expect(taken(60, &budget, at: 0) == 3)
    }

    @Test func noneIsNoLimit() {
        var budget = FrameBudget(perSecond: 0, nowNanoseconds: 0)
        #expect(taken(100_000, &budget, at: 0) == 100_000)
    }
}
