internal import HTTPClient
public import MeshCore
public import Reactor

/// What the prober has done since its start, and what it has under way.
public struct ProbeCounters: Equatable, Sendable {
    public internal(set) var probesPassed: UInt64 = 0
    /// Refused, broken, answered with another status, or timed out.
    public internal(set) var probesFailed: UInt64 = 0
    /// Those of `probesFailed` that failed at their timeout.
    public internal(set) var probesTimedOut: UInt64 = 0
    /// Not made for want of something on this node; they count for no instance's health.
    public internal(set) var probesNotMade: UInt64 = 0
    public internal(set) var flips: UInt64 = 0
    public internal(set) var inFlight = 0
    /// Due and waiting until fewer than `HealthProber.inFlightLimit` are in flight.
    public internal(set) var waiting = 0
    /// Instances known, probed or not.
    public internal(set) var instances = 0
}

/// Keeps the health of every instance: probes those that ask for it, counts failed dials, tells flips.
///
/// Lives on the control loop. It is fed with the catalogue's entries and asked for states when a snapshot is compiled;
/// a change of state that comes of itself is told through `flipped`, so that flips take the same way as registry
/// events.
public final class HealthProber {
    /// Probes under way at one time; more wait their turn, in order.
    public static let inFlightLimit = 512

    /// - Parameter cause: why the instance left; `nil` when it is healthy.
    public typealias Flipped = (InstanceKey, _ from: InstanceState, _ to: InstanceState, _ cause: String?) -> Void

    private let loop: EventLoop
    private let flipped: Flipped
    private let inFlightLimit: Int
    /// For probes over TLS; `nil`: they cannot be made at present.
    public var clientContext: (UpstreamTLS) -> TLSClientContext? = { _ in nil }
    /// For probes by a command in the instance's container.
    public var commands = CommandProbes()
    /// How long an instance has run already, in nanoseconds, where somebody knows: its initial delay begins there.
    public var age: (InstanceKey) -> UInt64? = { _ in nil }
    private let tlsEngine = TLSEngine()
    private var services: [String: [String: TrackedInstance]] = [:]
    /// How often `update` was called.
    private var updates: UInt64 = 0
    private var spread: FirstProbeSpread
    /// The queue for a free probe, by ticket: leaving it from the middle costs no search.
    private var queue: [UInt64: TrackedInstance] = [:]
    private var nextTicket: UInt64 = 0
    private var firstTicket: UInt64 = 0
    private var tally = ProbeCounters()

    /// - Parameters:
    ///   - seed: of the random spread of first probes; another one on each node.
    ///   - flipped: called on the loop, never from within `update` or `remove`.
    public convenience init(on loop: EventLoop, seed: UInt64, flipped: @escaping Flipped) {
        self.init(on: loop, seed: seed, inFlightLimit: Self.inFlightLimit, flipped: flipped)
    }

    init(on loop: EventLoop, seed: UInt64, inFlightLimit: Int, flipped: @escaping Flipped) {
        self.loop = loop
        self.flipped = flipped
        self.inFlightLimit = inFlightLimit
        spread = FirstProbeSpread(seed: seed)
    }

    deinit {
        for instance in services.values.joined() { end(instance.value) }
    }

    public var counters: ProbeCounters {
        var counters = tally
        counters.waiting = queue.count
        return counters
    }

    // MARK: - The catalogue

    /// Takes the present instances of a service.
    ///
    /// New instances and those with another address begin anew, as `starting` or, without a probe, as `healthy`; gone
    /// ones are forgotten. Where only the probe changed, an instance keeps its state until the new probe's first
    /// verdict, for which it does not wait out an initial delay that is over.
    public func update(_ entry: Catalogue.Entry) {
        // In place: most of them are what they were.
        var tracked = services.removeValue(forKey: entry.spec.name) ?? [:]
        updates += 1
        var present = 0
        for spec in entry.instances {
            if tracked[spec.id]?.update != updates { present += 1 }
            take(spec, entry.spec.probe, &tracked)
        }
        if tracked.count > present {
            for (id, instance) in tracked where instance.update != updates {
                end(instance)
                tracked[id] = nil
            }
        }
        if !tracked.isEmpty { services[entry.spec.name] = tracked }
        startWaiting()
    }

    /// Nobody but the engine that runs an instance can run a command in it.
    private func canMake(_ probe: ProbeSpec, _ spec: InstanceSpec) -> Bool {
        if case .command = probe.kind { commands.canRun(spec.key) } else { true }
    }

    /// The same where nothing but this instance of the service has changed.
    public func update(_ entry: Catalogue.Entry, instance id: String) {
        var tracked = services.removeValue(forKey: entry.spec.name) ?? [:]
        if let spec = entry.instance(id) {
            take(spec, entry.spec.probe, &tracked)
        } else if let gone = tracked.removeValue(forKey: id) {
            end(gone)
        }
        if !tracked.isEmpty { services[entry.spec.name] = tracked }
        startWaiting()
    }

    private func take(_ spec: InstanceSpec, _ probe: ProbeSpec?, _ tracked: inout [String: TrackedInstance]) {
        // What another node probes and tells needs no probe of this one.
        let probe = spec.verdict == nil ? probe.flatMap { canMake($0, spec) ? $0 : nil } : nil
        let known = tracked[spec.id]
        if let known, known.isReached(as: spec) {
            known.update = updates
            if known.probe != probe { change(known, to: probe) }
            take(spec.verdict, known)
        } else {
            // Of two with one id the later counts.
            if let known { end(known) }
            let instance = begin(spec, probe)
            instance.update = updates
            tracked[spec.id] = instance
            take(spec.verdict, instance)
        }
    }

    public func remove(service: String) {
        for instance in (services.removeValue(forKey: service) ?? [:]).values { end(instance) }
        startWaiting()
    }

    private func begin(_ spec: InstanceSpec, _ probe: ProbeSpec?) -> TrackedInstance {
        let now = loop.nowNanoseconds
        let appearedAt = now - min(age(spec.key) ?? 0, now)
        let instance = TrackedInstance(spec, probe: probe, appearedAt: appearedAt, prober: self)
        tally.instances += 1
        schedule(instance)
        return instance
    }

    private func take(_ verdict: AnnouncedVerdict?, _ instance: TrackedInstance) {
        guard verdict != instance.verdict else { return }
        instance.verdict = verdict
        guard let verdict else {
            // Nobody finds anything out any more: what was told last is not kept forever.
            if instance.probe == nil { instance.health.probeChanged(to: nil) }
            return
        }
        let before = instance.health.state
        instance.health.announced(verdict)
        instance.rearm(on: loop)
        if instance.health.state != before { log(instance) }
    }

    private func change(_ instance: TrackedInstance, to probe: ProbeSpec?) {
        abandonProbe(instance)
        instance.probe = probe
        instance.health.probeChanged(to: probe)
        schedule(instance)
    }

    private func schedule(_ instance: TrackedInstance) {
        let now = loop.nowNanoseconds
        instance.schedule = instance.probe.map {
            let spread = spread.next($0, nowNanoseconds: now)
            return ProbeSchedule($0, appearedAt: instance.appearedAt, spread: spread, nowNanoseconds: now)
        }
        instance.rearm(on: loop)
    }

    private func end(_ instance: TrackedInstance) {
        abandonProbe(instance)
        instance.detach(from: loop)
        tally.instances -= 1
    }

    private func abandonProbe(_ instance: TrackedInstance) {
        if let ticket = instance.ticket { queue[ticket] = nil }
        instance.ticket = nil
        guard let attempt = instance.attempt else { return }
        attempt.cancel()
        instance.attempt = nil
        tally.inFlight -= 1
    }

    // MARK: - Answers

    /// `starting` for an instance that is not known.
    public func state(_ key: InstanceKey) -> InstanceState { find(key)?.health.state ?? .starting }

    /// How many instances of a service are in each state.
    public func counts(service: String) -> [InstanceState: Int] {
        (services[service] ?? [:]).values.reduce(into: [:]) { $0[$1.health.state, default: 0] += 1 }
    }

    /// For `status` and `explain`: the state, why it is bad, and how long ago the last probe had its verdict.
    public func status(
        _ key: InstanceKey
    ) -> (state: InstanceState, cause: String?, lastProbeAgeNanoseconds: UInt64?) {
        guard let instance = find(key) else { return (.starting, nil, nil) }
        let age = instance.lastVerdictAt.map { loop.nowNanoseconds - min($0, loop.nowNanoseconds) }
        return (instance.health.state, instance.health.cause, age)
    }

    private func find(_ key: InstanceKey) -> TrackedInstance? { services[key.service]?[key.id] }

    // MARK: - Live traffic

    /// Dials to the instance failed `count` times in a row since the last report.
    public func dialsFailed(_ key: InstanceKey, count: Int, cause: String) {
        guard let instance = find(key) else { return }
        let now = loop.nowNanoseconds
        changing(instance) {
            guard instance.health.dialsFailed(count, cause: cause, nowNanoseconds: now) else { return }
            instance.schedule?.promptly(nowNanoseconds: now)
            instance.rearm(on: loop)
        }
    }

    /// A dial succeeded after failures.
    public func dialSucceeded(_ key: InstanceKey) { find(key)?.health.dialSucceeded() }

    // MARK: - Probes

    func deadlineReached(_ instance: TrackedInstance) {
        guard instance.schedule != nil else {
            return changing(instance) {
                _ = instance.health.timePassed(nowNanoseconds: loop.nowNanoseconds)
                instance.rearm(on: loop)
            }
        }
        guard instance.ticket == nil, instance.attempt == nil else { return }
        instance.ticket = nextTicket
        queue[nextTicket] = instance
        nextTicket += 1
        startWaiting()
    }

    private func startWaiting() {
        while tally.inFlight < inFlightLimit, !queue.isEmpty {
            let instance = queue.removeValue(forKey: firstTicket)
            firstTicket += 1
            if let instance { start(instance) }
        }
        if queue.isEmpty { firstTicket = nextTicket }
    }

    private func start(_ instance: TrackedInstance) {
        instance.ticket = nil
        guard let probe = instance.probe else { return }
        instance.schedule?.started(nowNanoseconds: loop.nowNanoseconds)
        tally.inFlight += 1
        // Every probe under way is cancelled before the prober ends.
        let tls = probe.tls.map { FetchRequest.TLS(clientContext($0), name: $0.serverName, tlsEngine) }
        instance.attempt = .start(probe, of: instance.spec, tls, commands, on: loop) { [unowned self] in
            ended(instance, $0)
        }
        instance.rearm(on: loop)
    }

    private func ended(_ instance: TrackedInstance, _ verdict: ProbeVerdict) {
        let now = loop.nowNanoseconds
        instance.attempt = nil
        tally.inFlight -= 1
        changing(instance) {
            instance.schedule?.ended(nowNanoseconds: now)
            take(verdict, instance)
            instance.rearm(on: loop)
            startWaiting()
        }
    }

    private func take(_ verdict: ProbeVerdict, _ instance: TrackedInstance) {
        let failure: String?
        switch verdict {
        case .passed:
            tally.probesPassed += 1
            failure = nil
        case .failed(let cause):
            tally.probesFailed += 1
            failure = cause
        case .timedOut(let cause):
            tally.probesFailed += 1
            tally.probesTimedOut += 1
            failure = cause
        case .notMade:
            tally.probesNotMade += 1
            return
        }
        instance.lastVerdictAt = loop.nowNanoseconds
        _ = instance.health.probed(failure: failure)
    }

    /// Tells a flip after everything else: the holder may call back.
    private func changing(_ instance: TrackedInstance, _ body: () -> Void) {
        let before = instance.health.state
        body()
        let after = instance.health.state
        guard before != after else { return }
        tally.flips += 1
        log(instance)
        flipped(instance.key, before, after, instance.health.cause)
    }

    private func log(_ instance: TrackedInstance) {
        if instance.health.state == .healthy {
            Log.info("instance healthy", ["service": instance.key.service, "instance": instance.key.id])
        } else {
            Log.warning(
                "instance unhealthy",
                [
                    "service": instance.key.service, "instance": instance.key.id,
                    "cause": instance.health.cause ?? "unknown",
                ])
        }
    }
}
