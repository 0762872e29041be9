/// Whether an instance may be picked, and why not.
public enum InstanceState: String, Sendable, Hashable, CaseIterable {
    /// Within its initial delay, or not yet probed since it appeared: neither picked nor failed.
    case starting
    case healthy
    /// Taken out by its probe.
    case unhealthy
    /// Taken out by live traffic: dials failed in a row.
    case ejected
    /// No new picks; what is in flight may finish.
    case draining
}

/// One instance's health: probe results and dial failures in, a state out. Pure; time comes in as nanoseconds.
///
/// Legal ways: starting → healthy or unhealthy by the first verdict, of which `rise` and `fall` are not asked; healthy
/// → unhealthy after `fall` failures in a row; healthy → ejected after `ejectAfter` dial failures in a row; ejected →
/// unhealthy by a failed probe; unhealthy or ejected → healthy after `rise` passes in a row, or, without a probe, when
/// the ejection time is over. `draining` is the catalogue's word and never comes from here.
public struct HealthState: Sendable, Equatable {
    /// Dial failures in a row, counted over all workers, that take an instance out.
    public static let ejectAfter = 3
    /// How long an instance without a probe stays out; doubled by each ejection in a row, up to `longestEjection`.
    static let firstEjectionNanoseconds: UInt64 = 2_000_000_000
    static let longestEjectionNanoseconds: UInt64 = 60_000_000_000

    private var rise: Int
    private var fall: Int
    private var isProbed: Bool
    /// No probe of the present kind has spoken yet: its first verdict decides alone.
    private var awaitsFirstVerdict: Bool
    public private(set) var state: InstanceState
    private var passes = 0
    private var failures = 0
    private var dialFailures = 0
    private var ejections = 0
    /// When an ejection without a probe ends; `nil` where there is none.
    public private(set) var readmitAtNanoseconds: UInt64?
    /// The last failure's cause, for `status` and `explain`; `nil` after a pass that leaves the instance healthy.
    public private(set) var cause: String?

    /// - Parameter probe: `nil`: always healthy until dials fail.
    public init(probe: ProbeSpec?) {
        rise = max(probe?.rise ?? 1, 1)
        fall = max(probe?.fall ?? 1, 1)
        isProbed = probe != nil
        awaitsFirstVerdict = isProbed
        state = isProbed ? .starting : .healthy
    }

    /// The operator changed how this instance is probed. It keeps its state until the first verdict of the new probe,
    /// so that an edit does not empty a service; without a probe it is healthy.
    public mutating func probeChanged(to probe: ProbeSpec?) {
        let before = state
        let lastCause = cause
        self = HealthState(probe: probe)
        guard isProbed else { return }
        state = before
        cause = lastCause
    }

    /// Takes in a probe's verdict; `nil` is a pass, a text the cause of a failure. Returns whether the state flipped.
    public mutating func probed(failure: String?) -> Bool {
        let before = state
        if let failure {
            passes = 0
            failures = min(failures + 1, fall)
            cause = failure
            if awaitsFirstVerdict || state != .healthy || failures >= fall { state = .unhealthy }
        } else {
            failures = 0
            passes = min(passes + 1, rise)
            if awaitsFirstVerdict || passes >= rise { readmit() }
            if state == .healthy { cause = nil }
        }
        awaitsFirstVerdict = false
        return state != before
    }

    /// Another node probes the instance and tells what it finds. Failed dials of this node count all the same: an
    /// ejection lasts its time whatever the other finds.
    public mutating func announced(_ verdict: AnnouncedVerdict) {
        switch verdict {
        case .healthy:
            guard state != .ejected else { return }
            readmit()
            cause = nil
        case .starting, .unhealthy:
            readmitAtNanoseconds = nil
            dialFailures = 0
            state = .starting
            cause = nil
            if case .unhealthy(let text) = verdict { (state, cause) = (.unhealthy, text) }
        }
    }

    /// Takes in failed dials of live traffic. Returns whether the state flipped.
    ///
    /// - Parameter count: dials that failed since the last report; below 1 it says nothing.
    public mutating func dialsFailed(_ count: Int, cause text: String, nowNanoseconds now: UInt64) -> Bool {
        guard state == .healthy, count > 0 else { return false }
        dialFailures += min(count, Self.ejectAfter)
        guard dialFailures >= Self.ejectAfter else { return false }
        dialFailures = 0
        passes = 0
        state = .ejected
        cause = text
        if !isProbed {
            let shift = UInt64(min(ejections, 5))
            let length = min(Self.firstEjectionNanoseconds << shift, Self.longestEjectionNanoseconds)
            readmitAtNanoseconds = now.addingReportingOverflow(length).overflow ? .max : now + length
            ejections = min(ejections + 1, 5)
        }
        return true
    }

    /// A dial succeeded: failures are no longer in a row.
    public mutating func dialSucceeded() {
        dialFailures = 0
        if state == .healthy { ejections = 0 }
    }

    /// Ends an ejection whose time is over. Returns whether the state flipped.
    public mutating func timePassed(nowNanoseconds now: UInt64) -> Bool {
        guard state == .ejected, let end = readmitAtNanoseconds, now >= end else { return false }
        readmitAtNanoseconds = nil
        state = .healthy
        cause = nil
        return true
    }

    private mutating func readmit() {
        guard state != .healthy else { return }
        state = .healthy
        dialFailures = 0
    }
}
