internal import MeshCore
internal import Reactor

/// What the prober keeps of one instance. Its one deadline is the next probe, or the end of an ejection without one.
final class TrackedInstance: Handler {
    let key: InstanceKey
    let spec: InstanceSpec
    /// In the loop's nanoseconds; the initial delay is counted from here.
    let appearedAt: UInt64
    var probe: ProbeSpec?
    var health: HealthState
    /// What another node announces, which then probes in place of this one.
    var verdict: AnnouncedVerdict?
    /// `nil` without a probe.
    var schedule: ProbeSchedule?
    var attempt: ProbeAttempt?
    /// Its place in the queue for a free probe; `nil` while not queued.
    var ticket: UInt64?
    var lastVerdictAt: UInt64?
    /// The last update of its service that named it.
    var update: UInt64 = 0
    /// An instance that waits for no deadline takes no place in the loop's table.
    private var isAttached = false
    private unowned let prober: HealthProber

    init(_ spec: InstanceSpec, probe: ProbeSpec?, appearedAt: UInt64, prober: HealthProber) {
        key = spec.key
        self.spec = spec
        self.probe = probe
        self.appearedAt = appearedAt
        self.prober = prober
        health = HealthState(probe: probe)
    }

    /// Whether `other` is reached where this one is, so that what is known of this one holds for it.
    func isReached(as other: InstanceSpec) -> Bool {
        spec.address == other.address && spec.portMap == other.portMap && spec.solePort == other.solePort
    }

    /// Sets the deadline from what there is to wait for.
    func rearm(on loop: EventLoop) {
        guard let wake = nextWake else { return detach(from: loop) }
        if !isAttached { loop.attach(self) }
        isAttached = true
        loop.setDeadline(self, at: max(wake, 1))
    }

    private var nextWake: UInt64? {
        guard let schedule else { return health.readmitAtNanoseconds }
        return schedule.isInFlight || ticket != nil ? .max : schedule.nextStart
    }

    func detach(from loop: EventLoop) {
        if isAttached { loop.detach(self) }
        isAttached = false
    }

    override func deadlineReached() { prober.deadlineReached(self) }
}
