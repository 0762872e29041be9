public import MeshCore
public import NetAddress
public import Reactor

/// etcd keys below a prefix as a source of the catalogue (docs/etcd.md). Lives on one loop.
///
/// It never blanks what is in force: while etcd cannot be read, the last state stays; a key that cannot be read leaves
/// what was known of it; and where all instances go at once they stay for a while.
public final class EtcdSource: Handler, CatalogueSource {
    public struct Options: Sendable {
        public var routingDomain: String?
        /// How long instances stay in force that all went at once, in nanoseconds; 0: not at all.
        public var holdNanoseconds: UInt64
        /// Of the choice of the first member and of pauses; another one on each node.
        public var seed: UInt64
        /// Where services get their VIP from; `nil`: none are agreed on in this registry.
        public var vipRange: IPNetwork?

        public init(
            routingDomain: String? = nil, holdNanoseconds: UInt64 = 30_000_000_000, seed: UInt64,
            vipRange: IPNetwork? = nil
        ) {
            self.vipRange = vipRange
            self.routingDomain = routingDomain
            self.holdNanoseconds = holdNanoseconds
            self.seed = seed
        }
    }

    /// What the source tells its holder, on the loop's thread, never before `start`.
    public struct Callbacks {
        public var event: (SourceEvent) -> Void
        /// etcd cannot be read, for this reason or another one now; `nil`: it can again.
        public var problem: (CatalogueProblem?) -> Void
        /// A key that cannot be read, or has no full effect. Each text is told once, up to
        /// `FileSource.maximumWarnings` texts.
        public var warning: (CatalogueProblem) -> Void
        /// What is in force is what etcd has now.
        public var heard: () -> Void
        /// VIPs that the nodes have agreed on, by service; `nil`: no more. Told before the event of the same reading.
        public var vips: ([String: IPAddress?]) -> Void
        /// The same of numbers of published ports, by the key of `PublishedNumber`.
        public var ports: ([String: UInt16?]) -> Void
        /// All drain orders in force, each with etcd's revision of it. Told behind the events of the same turn.
        public var drains: ([InstanceKey: Int64]) -> Void

        public init(
            event: @escaping (SourceEvent) -> Void, problem: @escaping (CatalogueProblem?) -> Void,
            warning: @escaping (CatalogueProblem) -> Void, heard: @escaping () -> Void,
            vips: @escaping ([String: IPAddress?]) -> Void = { _ in },
            ports: @escaping ([String: UInt16?]) -> Void = { _ in },
            drains: @escaping ([InstanceKey: Int64]) -> Void = { _ in }
        ) {
            self.vips = vips
            self.ports = ports
            self.drains = drains
            self.event = event
            self.problem = problem
            self.warning = warning
            self.heard = heard
        }
    }

    /// For `status` and metrics.
    public struct Counters: Equatable, Sendable {
        /// Whole readings of the prefix, the first one included.
        public internal(set) var reads: UInt64 = 0
        /// Watches begun.
        public internal(set) var watches: UInt64 = 0
        /// Attempts that failed.
        public internal(set) var failures: UInt64 = 0
        /// Changes of keys taken in.
        public internal(set) var changes: UInt64 = 0
        /// VIPs that this node claimed for services.
        public internal(set) var vipsClaimed: UInt64 = 0
        /// The same of numbers of published ports.
        public internal(set) var portsClaimed: UInt64 = 0
        /// etcd's revision up to which everything is known; 0 before the first reading.
        public internal(set) var revision: Int64 = 0
        /// Keys that cannot be read now.
        public internal(set) var malformedEntries = 0
        /// Instances that are gone from etcd and held in force.
        public internal(set) var heldInstances = 0
    }

    /// `etcd://HOST:PORT/PREFIX`, the source's name in its events.
    public let name: String
    public internal(set) var counters = Counters()
    /// The member that is asked now.
    public var endpoint: String { client.endpoint.description }

    let loop: EventLoop
    let client: EtcdClient
    let schema: EtcdSchema
    let callbacks: Callbacks
    private var machine: EtcdWatchMachine
    var catalogue: EtcdCatalogue
    private var reading: EtcdReading?
    /// Of a page that has come and is still to be taken in.
    private var backlog: ArraySlice<EtcdKeyValue> = []
    /// Keys that are taken in within one turn: the loop has other things to do.
    private static let keysPerTurn = 250
    private var hold: EmptyHold
    private var random: SourceRandom
    private var call: EtcdCall?
    private var watch: EtcdCall?
    private let holdTimer: SourceTimer
    var vipClaims: EtcdClaims<IPAddress>?
    var portClaims: EtcdClaims<PublishedNumber>?
    private var revision: UInt64 = 0
    private var restored: (services: [ServiceSpec], instances: [InstanceSpec])?
    private var failing: EtcdFailure?
    private var toldWarnings: Set<String> = []
    private var toldDrains: [InstanceKey: Int64] = [:]

    public init(_ url: EtcdURL, _ options: Options, on loop: EventLoop, _ callbacks: Callbacks) {
        name = url.description
        self.loop = loop
        self.callbacks = callbacks
        schema = EtcdSchema(url)
        client = EtcdClient(url, on: loop, seed: options.seed)
        machine = EtcdWatchMachine(first: schema.firstWatched)
        catalogue = EtcdCatalogue(schema: schema, routingDomain: options.routingDomain)
        hold = EmptyHold(holdNanoseconds: options.holdNanoseconds)
        random = SourceRandom(state: options.seed)
        holdTimer = SourceTimer()
        super.init()
        if let range = options.vipRange { prepareClaims(VIPClaims(range: range), seed: options.seed) }
    }

    /// Begins to read. Events follow from the loop.
    public func start() {
        loop.attach(self)
        loop.attach(holdTimer)
        holdTimer.fired = { [unowned self] in letGo() }
        vipClaims?.start()
        portClaims?.start()
        handle(.start)
    }

    /// Says what is in force from an earlier run, so that an empty registry does not blank it at once.
    public func restore(services: [ServiceSpec], instances: [InstanceSpec]) { restored = (services, instances) }

    /// Ends all requests; nothing more is told.
    public func stop() {
        call?.cancel()
        watch?.cancel()
        loop.detach(self)
        loop.detach(holdTimer)
        vipClaims?.stop()
        portClaims?.stop()
    }

    /// The keys that cannot be read, each with the reason, sorted; at most `limit`.
    public func malformedEntries(limit: Int) -> [String] {
        catalogue.problems.sorted { $0.key < $1.key }.prefix(limit).map { OneLine.text("\($0.key): \($0.value)") }
    }

    // MARK: - The machine

    override public func deadlineReached() { handle(.timer) }

    private func handle(_ event: EtcdWatchMachine.Event) {
        for action in machine.handle(event, random: random.next()) { perform(action) }
        counters.revision = machine.applied
    }

    private func perform(_ action: EtcdWatchMachine.Action) {
        switch action {
        case .begin:
            call?.cancel()
            backlog = []
            reading = catalogue.successor()
        case .read(let from, let revision, let limit): read(from, revision, limit)
        case .add(let pairs):
            takeBacklog(.max)
            backlog = pairs[...]
            loop.requeue(self)
        case .commit: commit()
        case .watch(let from): openWatch(from)
        case .closeWatch:
            watch?.cancel()
            call?.cancel()
        case .check: check()
        case .changes(let changes): take(changes)
        case .failover: client.failover()
        case .forgetToken: client.forgetToken()
        case .timer(let nanoseconds): loop.setDeadline(self, after: nanoseconds)
        case .heard: heard()
        case .failing(let failure): fail(failure)
        }
    }

    private func read(_ from: [UInt8], _ revision: Int64, _ limit: Int) {
        let body = EtcdRequest.range(from: from, prefix: schema.root, revision: revision, limit: limit)
        call = client.call("/v3/kv/range", body) { [unowned self] result in
            do throws(EtcdFailure) {
                handle(.page(try EtcdAnswer.page(try result.get())))
            } catch {
                handle(.readFailed(error))
            }
        }
    }

    override public func resume() {
        takeBacklog(Self.keysPerTurn)
        if !backlog.isEmpty { loop.requeue(self) }
    }

    private func takeBacklog(_ count: Int) {
        reading?.add(backlog.prefix(count))
        backlog = backlog.dropFirst(count)
    }

    private func openWatch(_ from: Int64) {
        counters.watches += 1
        watch = client.watch(
            EtcdRequest.watch(first: schema.firstWatched, prefix: schema.root, from: from),
            line: { [unowned self] in handle(.watch($0)) },
            ended: { [unowned self] in handle(.watchEnded($0)) })
    }

    private func check() {
        call = client.call("/v3/kv/range", EtcdRequest.check(prefix: schema.root)) { [unowned self] result in
            switch result {
            case .success: handle(.checked)
            case .failure(let failure): handle(.checkFailed(failure))
            }
        }
    }

    // MARK: - Content

    private func commit() {
        takeBacklog(.max)
        guard let reading else { return }
        self.reading = nil
        counters.reads += 1
        let before = restored ?? (services: catalogue.allServices, instances: catalogue.allInstances)
        catalogue = reading.finished()
        let now = (services: catalogue.allServices, instances: catalogue.allInstances)
        tellAgreed(isFirst: counters.reads == 1)
        let content = hold.filter(now, before: before, nowNanoseconds: loop.nowNanoseconds)
        tell(.reset(services: content.services, instances: content.instances))
        restored = nil
        tellDrains()
        finishTurn()
    }

    private func take(_ changes: [EtcdChange]) {
        let deletions = EtcdChange.instanceDeletions(changes, schema)
        for change in changes {
            counters.changes += 1
            let effects = catalogue.apply(change, isAlone: deletions[change.modRevision] == 1)
            let isEmpty = !effects.isEmpty && !catalogue.hasInstances
            for effect in hold.filter(effects, isEmpty: isEmpty, nowNanoseconds: loop.nowNanoseconds) {
                tell(effect.change)
            }
        }
        tellAgreed(isFirst: false)
        tellDrains()
        finishTurn()
    }

    /// The hold's time is over: etcd is believed.
    private func letGo() {
        guard let until = hold.untilNanoseconds else { return }
        guard until <= loop.nowNanoseconds else { return loop.setDeadline(holdTimer, at: until) }
        // While etcd cannot be read, its last word is not to be believed more than before.
        guard failing == nil else { return loop.setDeadline(holdTimer, after: 1_000_000_000) }
        Log.warning("instances that the registry no longer has are let go", ["registry": name])
        hold.end()
        tell(.reset(services: catalogue.allServices, instances: catalogue.allInstances))
        finishTurn()
    }

    private func tellDrains() {
        let orders = catalogue.drainOrders
        guard orders != toldDrains else { return }
        toldDrains = orders
        callbacks.drains(orders)
    }

    private func finishTurn() {
        for warning in catalogue.takeNews() where toldWarnings.count < FileSource.maximumWarnings {
            if toldWarnings.insert(warning.description).inserted { callbacks.warning(warning) }
        }
        counters.malformedEntries = catalogue.problemCount
        let wasHolding = counters.heldInstances > 0
        counters.heldInstances = hold.missingCount
        guard let until = hold.untilNanoseconds else { return }
        loop.setDeadline(holdTimer, at: until)
        guard !wasHolding else { return }
        let count = "\(hold.missingCount)"
        Log.warning(
            "the registry has lost all instances at once, they stay in force for a while",
            ["registry": name, "instances": count])
    }

    private func tell(_ change: SourceEvent.Change) {
        revision += 1
        callbacks.event(SourceEvent(source: name, revision: revision, change: change))
    }

    // MARK: - Problems

    private func fail(_ failure: EtcdFailure) {
        counters.failures += 1
        guard failing != failure else { return }
        failing = failure
        callbacks.problem(
            CatalogueProblem(
                file: name, line: 0, column: 0, key: "", message: "\(client.endpoint): \(failure)"))
    }

    private func heard() {
        if failing != nil {
            failing = nil
            callbacks.problem(nil)
        }
        callbacks.heard()
    }
}

extension EtcdChange {
    /// How many instances' keys are deleted in each revision.
    static func instanceDeletions(_ changes: [EtcdChange], _ schema: EtcdSchema) -> [Int64: Int] {
        var counts: [Int64: Int] = [:]
        for case .delete(let key, let revision) in changes {
            if case .instance = schema.place(key) { counts[revision, default: 0] += 1 }
        }
        return counts
    }
}

extension EtcdEffect {
    var change: SourceEvent.Change {
        switch self {
        case .upsertService(let spec): .upsertService(spec)
        case .removeService(let spec, _): .removeService(name: spec.name)
        case .upsertInstance(let spec): .upsertInstance(spec)
        case .removeInstance(let spec, _): .removeInstance(spec.key)
        }
    }
}

final class SourceTimer: Handler {
    var fired: () -> Void = {}

    override func deadlineReached() { fired() }
}

/// SplitMix64: for pauses and the first member, nothing that must not be guessed.
struct SourceRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
