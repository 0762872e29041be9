import Testing

@testable import MeshCore

private let second: UInt64 = 1_000_000_000

private func probe(rise: Int = 2, fall: Int = 1) -> ProbeSpec {
    ProbeSpec(kind: .tcp(containerPort: 80), rise: rise, fall: fall)
}

/// A reference, because an expectation takes no mutating call.
private final class Subject {
    var health: HealthState

    init(probe: ProbeSpec?) { health = HealthState(probe: probe) }

    var state: InstanceState { health.state }
    var cause: String? { health.cause }
    var readmitAtNanoseconds: UInt64? { health.readmitAtNanoseconds }

    func probed(failure: String?) -> Bool { health.probed(failure: failure) }
    func probeChanged(to probe: ProbeSpec?) { health.probeChanged(to: probe) }
    func dialSucceeded() { health.dialSucceeded() }
    func timePassed(nowNanoseconds now: UInt64) -> Bool { health.timePassed(nowNanoseconds: now) }

    func dialsFailed(_ count: Int, cause: String, nowNanoseconds now: UInt64) -> Bool {
        health.dialsFailed(count, cause: cause, nowNanoseconds: now)
    }
}

@Suite struct HealthStateTests {
    @Test func firstVerdictDecidesAlone() {
        let passed = Subject(probe: probe(rise: 5))
        #expect(passed.state == .starting)
        #expect(passed.probed(failure: nil))
        #expect(passed.state == .healthy)

        let failed = Subject(probe: probe(fall: 5))
        #expect(failed.probed(failure: "http 503"))
        #expect(failed.state == .unhealthy)
        #expect(failed.cause == "http 503")
    }

    @Test func fallCountsFailuresInARow() {
        let health = Subject(probe: probe(fall: 3))
        _ = health.probed(failure: nil)
        for failure in ["a", "b", nil, "c", "d"] { #expect(!health.probed(failure: failure)) }
        #expect(health.cause == "d")
        #expect(health.probed(failure: "e"))
        #expect(health.state == .unhealthy)
    }

    @Test func riseCountsPassesInARow() {
        let health = Subject(probe: probe(rise: 2))
        _ = health.probed(failure: "refused")
        for failure in [nil, "again", nil] as [String?] { #expect(!health.probed(failure: failure)) }
        #expect(health.cause == "again")
        #expect(health.probed(failure: nil))
        #expect(health.state == .healthy)
        #expect(health.cause == nil)
    }

    @Test func healthyInstanceForgetsACauseWithTheNextPass() {
        let health = Subject(probe: probe(rise: 3, fall: 2))
        _ = health.probed(failure: nil)
        _ = health.probed(failure: "once")
        #expect(health.cause == "once")
        _ = health.probed(failure: nil)
        #expect(health.cause == nil)
    }

    @Test func dialFailuresEjectUntilAProbePasses() {
        let health = Subject(probe: probe(rise: 1))
        _ = health.probed(failure: nil)
        #expect(!health.dialsFailed(2, cause: "refused", nowNanoseconds: 0))
        health.dialSucceeded()
        #expect(!health.dialsFailed(2, cause: "refused", nowNanoseconds: 0))
        #expect(health.dialsFailed(1, cause: "refused", nowNanoseconds: 0))
        #expect(health.state == .ejected)
        #expect(health.readmitAtNanoseconds == nil)
        #expect(!health.timePassed(nowNanoseconds: .max))
        #expect(health.probed(failure: nil))
        #expect(health.state == .healthy)
    }

    @Test func failedProbeOfAnEjectedInstanceMakesItUnhealthyAtOnce() {
        let health = Subject(probe: probe(fall: 9))
        _ = health.probed(failure: nil)
        _ = health.dialsFailed(3, cause: "refused", nowNanoseconds: 0)
        #expect(health.probed(failure: "http 500"))
        #expect(health.state == .unhealthy)
    }

    @Test func dialsSayNothingOfAStartingInstance() {
        let health = Subject(probe: probe())
        #expect(!health.dialsFailed(100, cause: "refused", nowNanoseconds: 0))
        #expect(health.state == .starting)
    }

    @Test(arguments: [Int.min, -1, 0])
    func reportsBelowOneSayNothing(count: Int) {
        let health = Subject(probe: nil)
        #expect(!health.dialsFailed(count, cause: "", nowNanoseconds: 0))
        #expect(!health.dialsFailed(2, cause: "", nowNanoseconds: 0))
        #expect(health.dialsFailed(Int.max, cause: "", nowNanoseconds: 0))
    }

    @Test func ejectionsWithoutAProbeEndAndGrow() {
        let health = Subject(probe: nil)
        var now: UInt64 = 0
        for seconds: UInt64 in [2, 4, 8, 16, 32, 60, 60, 60] {
            #expect(health.dialsFailed(3, cause: "refused", nowNanoseconds: now))
            #expect(health.readmitAtNanoseconds == now + seconds * second)
            now += seconds * second
            #expect(!health.timePassed(nowNanoseconds: now - 1))
            #expect(health.timePassed(nowNanoseconds: now))
            #expect(health.state == .healthy)
            #expect(health.readmitAtNanoseconds == nil)
        }
        health.dialSucceeded()
        _ = health.dialsFailed(3, cause: "refused", nowNanoseconds: now)
        #expect(health.readmitAtNanoseconds == now + 2 * second)
    }

    @Test func ejectionAtTheEndOfTimeDoesNotOverflow() {
        let health = Subject(probe: nil)
        #expect(health.dialsFailed(3, cause: "", nowNanoseconds: .max - 1))
        #expect(health.readmitAtNanoseconds == .max)
    }

    @Test func changedProbeKeepsTheStateUntilItsFirstVerdict() {
        let health = Subject(probe: nil)
        health.probeChanged(to: probe(rise: 4, fall: 4))
        #expect(health.state == .healthy)
        #expect(health.probed(failure: "http 404"))
        #expect(health.state == .unhealthy)
        health.probeChanged(to: probe(rise: 4))
        #expect(health.state == .unhealthy)
        #expect(health.cause == "http 404")
        #expect(health.probed(failure: nil))
        #expect(health.state == .healthy)
    }

    @Test func withoutItsProbeAnInstanceIsHealthy() {
        let health = Subject(probe: probe())
        _ = health.probed(failure: "http 500")
        health.probeChanged(to: nil)
        #expect(health.state == .healthy)
        #expect(health.cause == nil)
    }

    /// Random events; every step must be a legal way and every answer must say truly whether the state flipped.
    @Test(arguments: 0..<200)
    func onlyLegalTransitions(seed: Int) {
        var random = SeededRandom(state: UInt64(seed))
        let isProbed = random.next() % 2 == 0
        let spec = probe(rise: Int(random.next() % 4) + 1, fall: Int(random.next() % 4) + 1)
        var health = HealthState(probe: isProbed ? spec : nil)
        var model = Model(spec: isProbed ? spec : nil)
        var now: UInt64 = 0
        for step in 0..<500 {
            now += random.next() % (3 * second)
            let before = health
            let event = Event.random(isProbed: isProbed, &random)
            let flipped = event.apply(to: &health, now)
            model.apply(event, now)
            #expect(flipped == (before.state != health.state), "seed \(seed), step \(step), \(event)")
            #expect(health.state == model.state, "seed \(seed), step \(step), \(event)")
            #expect(isProbed || health.state == .healthy || health.state == .ejected)
            #expect((health.readmitAtNanoseconds != nil) == (!isProbed && health.state == .ejected))
            #expect(health.state == .healthy || health.state == .starting || health.cause != nil)
        }
    }
}

// MARK: - The same rules said differently

private enum Event {
    case passed, failed, dialsFailed(Int), dialSucceeded, timePassed

    static func random(isProbed: Bool, _ random: inout SeededRandom) -> Event {
        switch random.next() % 8 {
        case 0, 1, 2: isProbed ? .passed : .timePassed
        case 3, 4: isProbed ? .failed : .timePassed
        case 5, 6: .dialsFailed(Int(random.next() % 4))
        default: .dialSucceeded
        }
    }

    func apply(to health: inout HealthState, _ now: UInt64) -> Bool {
        switch self {
        case .passed: return health.probed(failure: nil)
        case .failed: return health.probed(failure: "failed")
        case .dialsFailed(let count): return health.dialsFailed(count, cause: "refused", nowNanoseconds: now)
        case .dialSucceeded:
            health.dialSucceeded()
            return false
        case .timePassed: return health.timePassed(nowNanoseconds: now)
        }
    }
}

/// Decides from the whole history since the last flip instead of from counters.
private struct Model {
    let spec: ProbeSpec?
    var state: InstanceState
    /// Probe verdicts since the state last became what it is, and before it where they still count.
    var verdicts: [Bool] = []
    var dials = 0
    var ejectedUntil: UInt64 = 0
    var lengths: [UInt64] = []

    init(spec: ProbeSpec?) {
        self.spec = spec
        state = spec == nil ? .healthy : .starting
    }

    mutating func apply(_ event: Event, _ now: UInt64) {
        switch event {
        case .passed, .failed: probed(event)
        case .dialsFailed(let count):
            guard state == .healthy else { return }
            dials += count
            if dials >= 3 { eject(now) }
        case .dialSucceeded:
            dials = 0
            if state == .healthy { lengths = [] }
        case .timePassed:
            if spec == nil, state == .ejected, now >= ejectedUntil { state = .healthy }
        }
    }

    private mutating func probed(_ event: Event) {
        guard let spec else { return }
        let isPass = if case .passed = event { true } else { false }
        let isFirst = state == .starting
        verdicts.append(isPass)
        let row = verdicts.reversed().prefix { $0 == isPass }.count
        if isPass, isFirst || row >= spec.rise {
            if state != .healthy { dials = 0 }
            state = .healthy
        } else if !isPass, state != .healthy || row >= spec.fall {
            state = .unhealthy
        }
    }

    private mutating func eject(_ now: UInt64) {
        dials = 0
        state = .ejected
        // Passes from before the ejection do not count towards its end; failures cannot be the last verdict here
        // unless they are fewer than `fall`, and then any further one decides anyway.
        verdicts = []
        let length = min((lengths.last ?? 1) * 2, 60)
        lengths.append(length == 60 ? 60 : length)
        ejectedUntil = now + length * second
    }
}

private struct SeededRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state >> 33) ^ (state >> 17) & 0xffff
    }
}
