internal import MeshCore

/// When one instance's next probe starts. Pure; time comes in as nanoseconds.
///
/// One probe every interval, measured from start to start, and never two at once: a probe slower than the interval is
/// followed by the next as soon as it ends.
struct ProbeSchedule: Equatable {
    static let shortestIntervalNanoseconds: UInt64 = 100_000_000

    private let interval: UInt64
    /// When the next probe is due; where one is in flight, not before its end.
    private(set) var nextStart: UInt64
    private(set) var isInFlight = false
    private var promptedAt: UInt64?

    /// - Parameters:
    ///   - appearedAt: when the instance appeared; its initial delay is counted from here.
    ///   - spread: what the first probe is put off by, so that a crowd of instances does not fire together.
    init(_ probe: ProbeSpec, appearedAt: UInt64, spread: UInt64, nowNanoseconds now: UInt64) {
        interval = max(Nanoseconds.of(seconds: probe.intervalSeconds), Self.shortestIntervalNanoseconds)
        let delayEnd = Nanoseconds.sum(appearedAt, Nanoseconds.of(seconds: probe.initialDelaySeconds))
        nextStart = Nanoseconds.sum(max(delayEnd, now), spread)
    }

    mutating func started(nowNanoseconds now: UInt64) {
        isInFlight = true
        nextStart = Nanoseconds.sum(now, interval)
    }

    mutating func ended(nowNanoseconds now: UInt64) {
        isInFlight = false
        nextStart = max(nextStart, now)
    }

    /// Asks for a probe as soon as may be: now, or at the end of the one in flight, whose answer may be older than the
    /// question. Granted once an interval, so that an instance which fails dials and passes probes cannot spin.
    mutating func promptly(nowNanoseconds now: UInt64) {
        if let promptedAt, now < Nanoseconds.sum(promptedAt, interval) { return }
        promptedAt = now
        nextStart = min(nextStart, now)
    }
}

/// How far first probes are put off: not at all while few instances appear, at random when many do.
struct FirstProbeSpread {
    /// First probes that go at once within one window.
    static let promptPerWindow = 64
    static let windowNanoseconds: UInt64 = 1_000_000_000

    private var random: SplitMix
    private var windowStart: UInt64 = 0
    private var prompt = 0

    init(seed: UInt64) { random = SplitMix(state: seed) }

    /// Below the shorter of the probe's interval and one second.
    mutating func next(_ probe: ProbeSpec, nowNanoseconds now: UInt64) -> UInt64 {
        if now &- windowStart >= Self.windowNanoseconds {
            windowStart = now
            prompt = 0
        }
        guard prompt >= Self.promptPerWindow else {
            prompt += 1
            return 0
        }
        let interval = max(Nanoseconds.of(seconds: probe.intervalSeconds), ProbeSchedule.shortestIntervalNanoseconds)
        return random.next() % min(interval, Self.windowNanoseconds)
    }
}

/// Sebastiano Vigna's splitmix64: small, seeded, good enough to spread starts.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

enum Nanoseconds {
    /// Of a setting in seconds: below 0 or not a number is 0, more than a day is a day.
    static func of(seconds: Double) -> UInt64 {
        guard seconds > 0 else { return 0 }
        return UInt64(min(seconds, 86_400) * 1e9)
    }

    static func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : sum
    }

    /// `2 s`, `0.25 s`.
    static func text(_ nanoseconds: UInt64) -> String {
        let seconds = Double(nanoseconds) / 1e9
        return seconds == seconds.rounded() ? "\(nanoseconds / 1_000_000_000) s" : "\(seconds) s"
    }
}
