import HealthProber
import MeshCore
import NetAddress
import Reactor

/// The one truth of a node, on the control loop: registry events, probe verdicts and dial failures come in, snapshots
/// go out to the workers.
final class ControlPlane: Handler {
    /// Compilations are at least this far apart; events within it are compiled together. So are those that come while
    /// a compilation of many takes longer: the loop has other things to do at least half of the time.
    private static let quietNanoseconds: UInt64 = 25_000_000
    /// First and longest pause before listening is tried again.
    private static let listenerRetryNanoseconds: (UInt64, UInt64) = (50_000_000, 5_000_000_000)

    let loop: EventLoop
    let workers: [Mailbox<WorkerMessage>]
    private let sources: [String]
    private(set) var catalogue: Catalogue
    private(set) var compiler: SnapshotCompiler
    private(set) var prober: HealthProber!
    private(set) var snapshot = Snapshot()
    /// The generation each worker routes by.
    private(set) var installed: [UInt64]
    private(set) var listenerFailures: [ListenerKey: ListenerFailure] = [:]
    private(set) var compileNanoseconds: UInt64 = 0
    private(set) var pausedWorkers: [Int: String] = [:]
    private var blocked: [ListenerKey: ListenerFailure] = [:]
    private var checked: Set<ListenerKey> = []
    /// What each worker could not open at its last install.
    private var workerFailures: [[ListenerFailure]]
    /// Failures that were logged: trying again is no news.
    private var warned: Set<ListenerFailure> = []
    /// Endpoints with failed dials and no success since.
    private var watchedDials: Set<Int32> = []
    private var dirty: Set<String> = []
    private var lastCompile: UInt64 = 0
    private var isRetryingListeners = false
    private var retryPause = ControlPlane.listenerRetryNanoseconds.0
    private let retryTimer = TimerHandler()
    private let slowStartTimer = TimerHandler()
    /// Told which services will be compiled anew.
    var dirtied: (Set<String>) -> Void = { _ in }
    /// Told which services an event touched.
    var touched: (Set<String>) -> Void = { _ in }
    /// What is wrong with certificates, where there are any.
    var certificateProblems: () -> [String] = { [] }
    /// Called after each compilation, for who keeps copies: DNS, the state on disk.
    var compiled: (Snapshot) -> Void = { _ in }
    /// Called once, when `isReady` becomes true.
    var becameReady: () -> Void = {}
    /// Called when every worker has installed this generation or a later one, once for each that is so.
    var installedEverywhere: (UInt64) -> Void = { _ in }
    private var oldestInstalled: UInt64 = 0

    init(
        loop: EventLoop, sources: [String], witnesses: Set<String> = [], options: SnapshotCompiler.Options,
        workers: [Mailbox<WorkerMessage>],
        vips: [String: IPAddress], weights: [String: Int], ports: [String: UInt16], seed: UInt64
    ) {
        self.loop = loop
        self.workers = workers
        self.sources = sources
        catalogue = Catalogue(sources: sources, witnesses: witnesses)
        compiler = SnapshotCompiler(options: options)
        compiler.restore(vips: vips)
        compiler.restore(weights: weights)
        compiler.restore(ports: ports)
        installed = Array(repeating: 0, count: workers.count)
        workerFailures = Array(repeating: [], count: workers.count)
        super.init()
        prober = HealthProber(on: loop, seed: seed) { [unowned self] key, from, to, cause in
            flipped(key, from, to, cause)
        }
        loop.attach(self)
        loop.attach(retryTimer)
        retryTimer.fired = { [unowned self] in retryListeners() }
        loop.attach(slowStartTimer)
        slowStartTimer.fired = { [unowned self] in
            markDirty(compiler.slowStepsDue(nowNanoseconds: self.loop.nowNanoseconds))
        }
    }

    /// True once every worker routes by a snapshot that has heard of every source.
    private(set) var isReady = false
    /// The first generation that knows what every source says.
    private var readyGeneration: UInt64?
    /// Sources whose kept state is in force while it is not known yet whether they can be read.
    private var undecided: Set<String> = []

    // MARK: - Events

    /// Readiness waits until `decided` says whether the source can be read: what was kept may be old.
    func awaitDecision(on source: String) { undecided.insert(source) }

    /// The source has been read and what it said applied, or it cannot be read and what was kept of it must do.
    func decided(_ source: String) {
        if undecided.remove(source) != nil { noteReadiness() }
    }

    func apply(_ event: SourceEvent) {
        let touched = catalogue.apply(event)
        defer { noteReadiness() }
        // Before probes begin, which may need what this brings.
        self.touched(touched)
        for name in touched {
            guard let entry = catalogue.entries[name] else {
                prober.remove(service: name)
                continue
            }
            switch event.change {
            case .upsertInstance(let instance): prober.update(entry, instance: instance.id)
            case .removeInstance(let key): prober.update(entry, instance: key.id)
            default: prober.update(entry)
            }
        }
        markDirty(touched)
    }

    /// Drains these instances, in place of those before, whatever their sources say.
    func drain(_ keys: Set<InstanceKey>) { markDirty(catalogue.drain(keys)) }

    /// Whether the workers have been sent all there is.
    var isSettled: Bool { dirty.isEmpty && snapshot.generation > 0 }

    /// Looks again at which instances can be asked by a command: an engine was read.
    func commandsChanged() {
        for entry in catalogue.entries.values {
            if case .command? = entry.spec.probe?.kind { prober.update(entry) }
        }
    }

    /// Takes in VIPs that the nodes have agreed on.
    func agree(onVIPs changes: [String: IPAddress?]) {
        compiler.agree(onVIPs: changes)
        markDirty(Set(changes.keys.filter { catalogue.entries[$0] != nil }))
    }

    /// Takes in numbers of published ports that the nodes have agreed on.
    func agree(onPorts changes: [String: UInt16?]) {
        compiler.agree(onPorts: changes)
        let services = changes.keys.compactMap { $0.split(separator: "/").first.map(String.init) }
        markDirty(Set(services.filter { catalogue.entries[$0] != nil }))
    }

    /// Finds the generation that knows what every source says, and whether all workers have it.
    private func noteReadiness() {
        guard !isReady, undecided.isEmpty, snapshot.generation > 0,
            sources.allSatisfy({ catalogue.hasHeard(from: $0) })
        else { return }
        let wanted = readyGeneration ?? (dirty.isEmpty ? snapshot.generation : snapshot.generation + 1)
        readyGeneration = wanted
        guard installed.allSatisfy({ $0 >= wanted }) else { return }
        isReady = true
        Log.info("ready", ["generation": "\(wanted)", "services": "\(catalogue.entries.count)"])
        becameReady()
    }

    private func flipped(_ key: InstanceKey, _ from: InstanceState, _ to: InstanceState, _ cause: String?) {
        markDirty([key.service])
    }

    func dialFailed(_ id: Int32, _ cause: String) {
        guard let owner = compiler.endpointOwner(id) else { return }
        // The first of a row: from now on a success is news on every worker.
        if watchedDials.insert(id).inserted {
            for worker in workers { worker.post(.watchDials(id: id)) }
        }
        prober.dialsFailed(owner.instance, count: 1, cause: cause)
    }

    func dialSucceeded(_ id: Int32) {
        watchedDials.remove(id)
        if let owner = compiler.endpointOwner(id) { prober.dialSucceeded(owner.instance) }
    }

    private func markDirty(_ services: Set<String>) {
        dirtied(services)
        dirty.formUnion(services)
        guard !dirty.isEmpty, snapshot.generation > 0 else { return }
        let earliest = lastCompile &+ max(Self.quietNanoseconds, 2 * compileNanoseconds)
        if earliest <= loop.nowNanoseconds { loop.requeue(self) } else { loop.setDeadline(self, at: earliest) }
    }

    override func resume() { compile() }

    override func deadlineReached() { compile() }

    // MARK: - Snapshots

    /// Compiles what has changed and posts it to the workers. The first call makes generation 1.
    func compile() {
        guard !dirty.isEmpty || snapshot.generation == 0 else { return }
        let start = MonotonicClock.nowNanoseconds()
        let services = dirty
        dirty = []
        let before = Set(compiler.problems)
        snapshot = compiler.compile(catalogue, dirty: services, nowNanoseconds: loop.nowNanoseconds) { [prober] in
            prober!.state($0)
        }
        if let next = compiler.nextSlowStepNanoseconds { loop.setDeadline(slowStartTimer, at: next) }
        for problem in compiler.problems where !before.contains(problem) {
            Log.warning("catalogue", ["problem": problem])
        }
        lastCompile = loop.nowNanoseconds
        compileNanoseconds = MonotonicClock.nowNanoseconds() - start
        if !watchedDials.isEmpty { watchedDials = watchedDials.filter { compiler.endpointOwner($0) != nil } }
        tellClashes()
        if snapshot.listenersGeneration == snapshot.generation { checkAddresses() }
        post()
        compiled(snapshot)
    }

    private var toldClashes: Set<String> = []

    private func tellClashes() {
        toldClashes.formIntersection(compiler.listenerProblems)
        for clash in compiler.listenerProblems where toldClashes.insert(clash).inserted {
            Log.warning("cannot listen", ["cause": clash])
        }
    }

    /// Why this node does not listen on an address that it wants; `nil` where it does.
    func failure(on key: ListenerKey) -> String? { (blocked[key] ?? listenerFailures[key])?.cause }

    private func post() {
        for worker in workers { worker.post(.install(snapshot, blocked: Set(blocked.keys))) }
    }

    /// Finds addresses that other programs listen on: with SO_REUSEPORT a second listener would quietly take half of
    /// their connections.
    private func checkAddresses() {
        let wanted = Set(snapshot.listeners.map(\.key))
        checked.formIntersection(wanted)
        blocked = blocked.filter { wanted.contains($0.key) }
        listenerFailures = listenerFailures.filter { wanted.contains($0.key) }
        for plan in snapshot.listeners where !checked.contains(plan.key) {
            do throws(SystemError) {
                if !overlapsOwn(plan.key) { try checkFree(plan.key) }
                checked.insert(plan.key)
                blocked[plan.key] = nil
            } catch {
                let failure = ListenerFailure(key: plan.key, owner: plan.owner, cause: "\(error)")
                if blocked[plan.key] == nil { warn(failure) }
                blocked[plan.key] = failure
            }
        }
        scheduleListenerRetry()
        lookForLoops()
    }

    /// Whether a listener of our own holds the port on an address that covers this one, or that this one covers: then
    /// the check would only find ourselves.
    private func overlapsOwn(_ key: ListenerKey) -> Bool {
        let address = key.address
        for any in [IPAddress.anyV4, .anyV6] where any.covers(address.ip) {
            if checked.contains(ListenerKey(key.transport, SocketAddress(any, address.port))) { return true }
        }
        guard address.ip.isUnspecified else { return false }
        return checked.contains { own in
            own.transport == key.transport && own.address.port == address.port
                && address.ip.covers(own.address.ip)
        }
    }

    private func checkFree(_ key: ListenerKey) throws(SystemError) {
        switch key.transport {
        case .tcp: try Socket.checkFree(key.address, isVirtual: compiler.isVirtual(key.address.ip))
        case .udp:
            try Socket.datagram(key.address, isVirtual: compiler.isVirtual(key.address.ip)).close()
        }
    }

    private func warn(_ failure: ListenerFailure) {
        Log.warning(
            "cannot listen",
            ["address": "\(failure.address)", "owner": failure.owner, "cause": failure.cause])
    }

    /// Has instances left out that lead back to what this node listens on.
    private func lookForLoops() {
        let open = checked.filter { listenerFailures[$0] == nil }
        markDirty(compiler.listens(on: OwnListeners(open, local: LocalAddresses.read())))
    }

    private func scheduleListenerRetry() {
        if blocked.isEmpty && listenerFailures.isEmpty {
            retryPause = Self.listenerRetryNanoseconds.0
            warned = []
        }
        guard !isRetryingListeners, !(blocked.isEmpty && listenerFailures.isEmpty) else { return }
        isRetryingListeners = true
        loop.setDeadline(retryTimer, after: retryPause)
        retryPause = min(retryPause * 2, Self.listenerRetryNanoseconds.1)
    }

    private func retryListeners() {
        isRetryingListeners = false
        checkAddresses()
        post()
    }

    func workerInstalled(_ worker: Int, _ generation: UInt64, _ failures: [ListenerFailure]) {
        installed[worker] = max(installed[worker], generation)
        workerFailures[worker] = failures
        let failed = Set(listenerFailures.keys)
        listenerFailures = [:]
        for failure in workerFailures.joined() { listenerFailures[failure.key] = failure }
        for failure in failures where warned.insert(failure).inserted { warn(failure) }
        if failed != Set(listenerFailures.keys) { lookForLoops() }
        scheduleListenerRetry()
        noteReadiness()
        if let oldest = installed.min(), oldest > oldestInstalled {
            oldestInstalled = oldest
            installedEverywhere(oldest)
        }
    }

    /// Addresses that this process already listens on, whoever opened them: they need not be free.
    func listensAlready(on addresses: some Sequence<SocketAddress>) {
        checked.formUnion(addresses.map { ListenerKey(.tcp, $0) })
    }

    private var waitingProblems: [String] {
        let waiting = compiler.wantedVIPs.filter { $0.demanded == nil && $0.preferred == nil }
        let ports = compiler.wantedPorts.filter { $0.preferred == nil }
        func told(_ count: Int, _ what: String, _ first: String?) -> [String] {
            first.map { ["\(count) \(what) that the nodes agree on, the first is \($0)"] } ?? []
        }
        return told(waiting.count, "services wait for a virtual IP", waiting.first?.service)
            + told(ports.count, "published ports wait for a number", ports.first?.service)
    }

    /// Everything that could not be had, for `status`.
    var problems: [String] {
        let failures = blocked.merging(listenerFailures, uniquingKeysWith: { first, _ in first }).values
        return compiler.problems + certificateProblems() + waitingProblems
            + failures.map { "\($0.owner): cannot listen on \($0.address): \($0.cause)" }.sorted()
            + pausedWorkers.sorted { $0.key < $1.key }.map { "worker \($0.key) accepts no connections: \($0.value)" }
    }

    func acceptPaused(_ worker: Int, _ cause: String) {
        pausedWorkers[worker] = cause
        Log.warning("accepting paused", ["worker": "\(worker)", "cause": cause])
    }

    func acceptResumed(_ worker: Int) {
        pausedWorkers[worker] = nil
        Log.info("accepting resumed", ["worker": "\(worker)"])
    }
}

/// A deadline with a closure, for the control loop.
final class TimerHandler: Handler {
    var fired: () -> Void = {}

    override func deadlineReached() { fired() }
}
