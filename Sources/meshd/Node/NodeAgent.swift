import Configuration
import HealthProber
import MeshCore
import Reactor
import Registry

/// Announces in etcd what this node's engines run, with what this node finds by probing it (docs/node-agent.md).
///
/// Lives on the control loop. It says again what is different, once a turn, and takes everything back at the end.
final class NodeAgent: Handler {
    /// How long a withdrawal may take before the lease is left to end by itself.
    private static let patienceNanoseconds: UInt64 = 5_000_000_000

    /// For `status` and metrics.
    struct Counters {
        var announced = 0
        var failures: UInt64 = 0
        /// Why etcd does not take it; `nil`: all that is wanted is there.
        var problem: String?
        /// Instances that others could not reach.
        var unreachable: [InstanceKey] = []
    }

    /// What the registry holds of an instance.
    enum Before {
        /// It has not been read yet.
        case unheard
        case heard(AnnouncedVerdict?)
    }

    /// How long the registry is waited for before anything is announced, and how often it is looked at.
    private static let hearingNanoseconds: (UInt64, UInt64) = (2_000_000_000, 20_000_000)

    let registry: String
    private(set) var counters = Counters()
    private let loop: EventLoop
    private let ttlSeconds: Int
    private let engines: () -> [DockerSource]
    private let before: (InstanceKey) -> Before
    private let begun: UInt64
    private let status: (InstanceKey) -> (state: InstanceState, cause: String?)
    private var announcer: EtcdAnnouncer!
    private var present: [InstanceKey: InstanceAnnouncement] = [:]
    private var services: Set<String> = []
    private var isDirty = false
    private var isWithdrawing = false
    /// Everything is taken back, or is left to the lease.
    private(set) var isOver = false
    /// Called when it is over.
    var whenOver: () -> Void = {}
    private var toldUnreachable: Set<InstanceKey> = []

    /// - Parameters:
    ///   - ttlSeconds: how long what is announced outlives this process; 2...86,400.
    ///   - status: what this node finds of an instance.
    ///   - before: what was announced of it before this run.
    init(
        _ url: EtcdURL, ttlSeconds: Int, seed: UInt64, on loop: EventLoop, engines: @escaping () -> [DockerSource],
        status: @escaping (InstanceKey) -> (state: InstanceState, cause: String?),
        before: @escaping (InstanceKey) -> Before
    ) {
        registry = url.description
        self.loop = loop
        self.ttlSeconds = ttlSeconds
        self.engines = engines
        self.status = status
        self.before = before
        begun = loop.nowNanoseconds
        super.init()
        announcer = EtcdAnnouncer(
            url, ttlSeconds: ttlSeconds, seed: seed, on: loop,
            EtcdAnnouncer.Callbacks(
                announced: { [unowned self] in announced() }, problem: { [unowned self] in failed($0) },
                withdrawn: { [unowned self] in ended() }))
        loop.attach(self)
    }

    // MARK: - What is told

    /// An engine's containers are different.
    func enginesChanged() { refresh() }

    /// Something about these services is different; only those of the node's own instances concern the agent.
    func servicesChanged(_ names: Set<String>) {
        if !names.isDisjoint(with: services) { refresh() }
    }

    private func refresh() {
        guard !isDirty, !isWithdrawing else { return }
        isDirty = true
        loop.requeue(self)
    }

    override func resume() {
        guard isDirty else { return }
        isDirty = false
        guard let wanted = wanted() else {
            return loop.setDeadline(self, after: Self.hearingNanoseconds.1)
        }
        for (key, announcement) in wanted where present[key] != announcement { announcer.announce(announcement) }
        for key in present.keys where wanted[key] == nil { announcer.remove(key) }
        present = wanted
        services = Set(wanted.keys.map(\.service))
        counters.announced = wanted.count
    }

    /// `nil`: what was announced before is not known yet.
    private func wanted() -> [InstanceKey: InstanceAnnouncement]? {
        var wanted: [InstanceKey: InstanceAnnouncement] = [:]
        var unreachable: [InstanceKey] = []
        for engine in engines() {
            for (key, announcement) in engine.announcements {
                guard engine.isReachedFromElsewhere(announcement.address) else {
                    unreachable.append(key)
                    continue
                }
                var announcement = announcement
                guard let verdict = verdict(key) else { return nil }
                announcement.verdict = verdict
                wanted[key] = announcement
            }
        }
        counters.unreachable = unreachable.sorted()
        warnOfUnreachable()
        return wanted
    }

    /// Failed dials are each node's own to count: what is announced is what probing finds. `nil`: wait.
    private func verdict(_ key: InstanceKey) -> AnnouncedVerdict? {
        let (state, cause) = status(key)
        switch state {
        case .starting: return startingVerdict(key)
        case .healthy, .ejected, .draining: return .healthy
        case .unhealthy:
            // Another cause of the same verdict is not worth a write.
            if case .unhealthy? = present[key]?.verdict { return present[key]?.verdict }
            return .unhealthy(cause: cause)
        }
    }

    /// A meshd that was started again knows nothing yet of what has run all the time: until its own first verdict the
    /// one before stays.
    private func startingVerdict(_ key: InstanceKey) -> AnnouncedVerdict? {
        if let told = present[key]?.verdict { return told }
        switch before(key) {
        case .heard(let verdict): return verdict ?? .starting
        case .unheard: return loop.nowNanoseconds - begun < Self.hearingNanoseconds.0 ? nil : .starting
        }
    }

    private func warnOfUnreachable() {
        for key in counters.unreachable where toldUnreachable.count < 1_000 && toldUnreachable.insert(key).inserted {
            Log.warning(
                "instance not announced: on its machine's own network, whose address the registry's URL has to say",
                ["instance": "\(key)"])
        }
    }

    // MARK: - What becomes of it

    private func announced() {
        if counters.problem != nil || counters.announced > 0 {
            Log.info("announced", ["registry": registry, "instances": "\(counters.announced)"])
        }
        counters.problem = nil
    }

    private func failed(_ problem: String) {
        counters.failures += 1
        counters.problem = problem
        Log.error("cannot announce, trying again", ["registry": registry, "cause": problem])
    }

    // MARK: - End

    /// Takes everything back; it is over when etcd has done so, at the latest when patience ends.
    func withdraw() {
        guard !isWithdrawing else { return }
        isWithdrawing = true
        loop.setDeadline(self, after: Self.patienceNanoseconds)
        // The containers run on: another meshd may announce them soon.
        announcer.withdraw(isSaid: false)
    }

    override func deadlineReached() {
        guard isWithdrawing else { return refresh() }
        Log.error("cannot withdraw, the lease ends by itself", ["seconds": "\(ttlSeconds)"])
        announcer.stop()
        ended()
    }

    private func ended() {
        guard !isOver else { return }
        isOver = true
        loop.detach(self)
        whenOver()
    }
}
