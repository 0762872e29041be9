import MeshCore
import Testing

@testable import HealthProber

private let second: UInt64 = 1_000_000_000

private func probe(delay: Double = 0, interval: Double = 2) -> ProbeSpec {
    ProbeSpec(kind: .tcp(containerPort: 80), initialDelaySeconds: delay, intervalSeconds: interval)
}

@Suite struct ProbeScheduleTests {
    @Test func initialDelayCountsFromTheAppearance() {
        let fresh = ProbeSchedule(probe(delay: 3), appearedAt: 10 * second, spread: 0, nowNanoseconds: 10 * second)
        #expect(fresh.nextStart == 13 * second)
        let late = ProbeSchedule(probe(delay: 3), appearedAt: 10 * second, spread: 5, nowNanoseconds: 20 * second)
        #expect(late.nextStart == 20 * second + 5)
        let spread = ProbeSchedule(probe(), appearedAt: second, spread: 7, nowNanoseconds: second)
        #expect(spread.nextStart == second + 7)
    }

    @Test func intervalIsMeasuredFromStartToStart() {
        var schedule = ProbeSchedule(probe(), appearedAt: 0, spread: 0, nowNanoseconds: 0)
        schedule.started(nowNanoseconds: second)
        #expect(schedule.isInFlight)
        schedule.ended(nowNanoseconds: 2 * second)
        #expect(!schedule.isInFlight)
        #expect(schedule.nextStart == 3 * second)
    }

    @Test func slowProbeIsFollowedAtOnce() {
        var schedule = ProbeSchedule(probe(), appearedAt: 0, spread: 0, nowNanoseconds: 0)
        schedule.started(nowNanoseconds: second)
        schedule.ended(nowNanoseconds: 9 * second)
        #expect(schedule.nextStart == 9 * second)
    }

    @Test func promptProbeIsGrantedOnceAnInterval() {
        var schedule = ProbeSchedule(probe(), appearedAt: 0, spread: 0, nowNanoseconds: 0)
        schedule.started(nowNanoseconds: 10 * second)
        schedule.ended(nowNanoseconds: 10 * second)
        schedule.promptly(nowNanoseconds: 10 * second + 5)
        #expect(schedule.nextStart == 10 * second + 5)
        schedule.started(nowNanoseconds: 10 * second + 5)
        schedule.ended(nowNanoseconds: 10 * second + 6)
        schedule.promptly(nowNanoseconds: 10 * second + 7)
        #expect(schedule.nextStart == 12 * second + 5)
        schedule.promptly(nowNanoseconds: 12 * second + 5)
        #expect(schedule.nextStart == 12 * second + 5)
    }

    @Test func promptProbeWaitsForTheOneInFlight() {
        var schedule = ProbeSchedule(probe(), appearedAt: 0, spread: 0, nowNanoseconds: 0)
        schedule.started(nowNanoseconds: 10 * second)
        schedule.promptly(nowNanoseconds: 10 * second + 5)
        #expect(schedule.isInFlight)
        schedule.ended(nowNanoseconds: 10 * second + 9)
        #expect(schedule.nextStart == 10 * second + 9)
    }

    @Test(arguments: [-1, 0, Double.nan, .infinity, -.infinity, 1e300])
    func strangeSettingsDoNotTrap(value: Double) {
        var schedule = ProbeSchedule(
            probe(delay: value, interval: value), appearedAt: .max - 1, spread: .max, nowNanoseconds: .max - 1)
        schedule.started(nowNanoseconds: .max)
        schedule.ended(nowNanoseconds: .max)
        schedule.promptly(nowNanoseconds: .max)
        var ordinary = ProbeSchedule(probe(interval: value), appearedAt: 0, spread: 0, nowNanoseconds: 0)
        ordinary.started(nowNanoseconds: 0)
        #expect(ordinary.nextStart >= ProbeSchedule.shortestIntervalNanoseconds)
        #expect(ordinary.nextStart <= 86_400 * second)
    }

    @Test func fewGoAtOnceAndManyAreSpread() {
        var spread = FirstProbeSpread(seed: 1)
        let now = 100 * second
        let offsets = (0..<10_000).map { _ in spread.next(probe(), nowNanoseconds: now) }
        #expect(offsets.prefix(FirstProbeSpread.promptPerWindow).allSatisfy { $0 == 0 })
        #expect(offsets.allSatisfy { $0 < second })
        // Ten slots of 100 ms: none holds twice its share.
        for slot in 0..<10 {
            let count = offsets.count { $0 / (second / 10) == slot }
            #expect((500..<2000).contains(count), "slot \(slot) holds \(count)")
        }
        #expect(spread.next(probe(), nowNanoseconds: now + second) == 0)
    }

    @Test func spreadStaysBelowAShortInterval() {
        var spread = FirstProbeSpread(seed: 2)
        for _ in 0..<1000 { #expect(spread.next(probe(interval: 0.1), nowNanoseconds: second) < second / 10) }
    }

    @Test(arguments: [(2_000_000_000, "2 s"), (250_000_000, "0.25 s"), (1_500_000_000, "1.5 s")])
    func durationsAsText(nanoseconds: UInt64, text: String) { #expect(Nanoseconds.text(nanoseconds) == text) }
}
