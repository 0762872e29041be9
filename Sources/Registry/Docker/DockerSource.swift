public import MeshCore
public import NetAddress
public import Reactor

/// The containers of a Docker engine as a source of the catalogue (docs/docker.md). Lives on one loop.
///
/// It never blanks what is in force: while the engine cannot be read, the last state stays; a container that cannot be
/// read leaves what was known of it; and where a reading finds no instance any more, they stay for a while.
public final class DockerSource: Handler, CatalogueSource {
    public struct Options: Sendable {
        public var routingDomain: String?
        /// How long instances stay in force that a reading no longer has at all, in nanoseconds; 0: not at all.
        public var holdNanoseconds: UInt64
        /// Of pauses; another one on each node.
        public var seed: UInt64
        /// This node, which a local engine's instances run on.
        public var node: String?
        public var zone: String?

        public init(
            routingDomain: String? = nil, holdNanoseconds: UInt64 = 30_000_000_000, seed: UInt64, node: String? = nil,
            zone: String? = nil
        ) {
            self.routingDomain = routingDomain
            self.holdNanoseconds = holdNanoseconds
            self.seed = seed
            self.node = node
            self.zone = zone
        }
    }

    /// What the source tells its holder, on the loop's thread, never before `start`.
    public struct Callbacks {
        public var event: (SourceEvent) -> Void
        /// The engine cannot be read, for this reason or another one now; `nil`: it can again.
        public var problem: (CatalogueProblem?) -> Void
        /// A container that cannot be an instance, or whose labels have no full effect. Each text is told once, up to
        /// `FileSource.maximumWarnings` texts.
        public var warning: (CatalogueProblem) -> Void
        /// What is in force is what the engine has now.
        public var heard: () -> Void

        public init(
            event: @escaping (SourceEvent) -> Void, problem: @escaping (CatalogueProblem?) -> Void,
            warning: @escaping (CatalogueProblem) -> Void, heard: @escaping () -> Void
        ) {
            self.event = event
            self.problem = problem
            self.warning = warning
            self.heard = heard
        }
    }

    /// For `status` and metrics.
    public struct Counters: Equatable, Sendable {
        /// Whole readings of the engine's containers, the first one included.
        public internal(set) var reads: UInt64 = 0
        /// Attempts that failed.
        public internal(set) var failures: UInt64 = 0
        /// Lines of events taken in.
        public internal(set) var events: UInt64 = 0
        /// Containers looked at.
        public internal(set) var inspects: UInt64 = 0
        /// Containers that cannot be instances, and why `status` says.
        public internal(set) var malformedContainers = 0
        /// Instances that the engine no longer has and that are held in force.
        public internal(set) var heldInstances = 0
        /// Instances whose containers were told to end and still run.
        public internal(set) var stoppingInstances = 0
        public internal(set) var instances = 0
    }

    /// The registry's URL, the source's name in its events.
    public let name: String
    public private(set) var counters = Counters()
    /// Runs what `probe.cmd` says.
    public let commands: DockerCommands

    private let loop: EventLoop
    private let url: DockerURL
    private let client: DockerClient
    private let callbacks: Callbacks
    private var machine = DockerWatchMachine()
    private var catalogue: DockerCatalogue
    private var force = DockerForce()
    private var hold: EmptyHold
    private let holdTimer = SourceTimer()
    private let stopTimer = SourceTimer()
    private var random: SourceRandom
    private var stream: DockerCall?
    private var call: DockerCall?
    private var inspects: [String: DockerCall] = [:]
    private var revision: UInt64 = 0
    private var failing: DockerFailure?
    private var toldWarnings: Set<String> = []

    public init(_ url: DockerURL, _ options: Options, on loop: EventLoop, _ callbacks: Callbacks) {
        name = url.description
        self.url = url
        self.loop = loop
        self.callbacks = callbacks
        client = DockerClient(url, on: loop)
        commands = DockerCommands(client, on: loop)
        let place = DockerPlace(
            url: url, node: url.node ?? (url.isLocal ? options.node : nil),
            zone: url.zone ?? (url.isLocal ? options.zone : nil))
        catalogue = DockerCatalogue(place: place, routingDomain: options.routingDomain)
        hold = EmptyHold(holdNanoseconds: options.holdNanoseconds)
        random = SourceRandom(state: options.seed)
        super.init()
    }

    /// Begins to read. Events follow from the loop.
    public func start() {
        loop.attach(self)
        loop.attach(holdTimer)
        holdTimer.fired = { [unowned self] in letGo() }
        loop.attach(stopTimer)
        stopTimer.fired = { [unowned self] in handle(.stopTimer) }
        handle(.start)
    }

    /// Says what is in force from an earlier run, so that an empty engine does not blank it at once.
    public func restore(services: [ServiceSpec], instances: [InstanceSpec]) {
        force = DockerForce(services: services, instances: instances)
    }

    /// Ends all requests; nothing more is told.
    public func stop() {
        closeAll()
        commands.stop()
        loop.detach(self)
        loop.detach(holdTimer)
        loop.detach(stopTimer)
    }

    /// What is in force of this engine's instances, as it is announced to others; without verdicts. Those of an earlier
    /// run are not among them.
    public private(set) var announcements: [InstanceKey: InstanceAnnouncement] = [:]

    /// Whether an address of an instance means the same on other nodes.
    public func isReachedFromElsewhere(_ address: IPAddress) -> Bool { url.isAddressSaid || !address.isLoopback }

    /// Containers that cannot be instances, each with the reason, sorted; at most `limit`.
    public func malformedContainers(limit: Int) -> [String] { catalogue.problems(limit: limit) }

    /// How long an instance's container has run, in nanoseconds; `nil`: it is not known here.
    public func age(_ key: InstanceKey) -> UInt64? {
        guard let started = catalogue.startedAtSeconds(key), started >= 0 else { return nil }
        let (begin, overflow) = UInt64(started).multipliedReportingOverflow(by: 1_000_000_000)
        let now = WallClock.nowNanoseconds()
        return overflow || begin > now ? 0 : now - begin
    }

    // MARK: - Commands

    /// Whether the instance is a container of this engine.
    public func has(_ key: InstanceKey) -> Bool { catalogue.containerID(key) != nil }

    /// Runs a command in an instance's container; see `DockerCommands.run`.
    public func run(
        _ words: [String], in key: InstanceKey, timeoutNanoseconds: UInt64,
        _ done: @escaping (CommandOutcome) -> Void
    ) -> DockerCommands.Run {
        commands.run(words, in: catalogue.containerID(key) ?? "", timeoutNanoseconds: timeoutNanoseconds, done)
    }

    // MARK: - The machine

    override public func deadlineReached() { handle(.timer) }

    private func handle(_ event: DockerWatchMachine.Event) {
        var isTouched = false
        let actions = machine.handle(event, nowNanoseconds: loop.nowNanoseconds, random: random.next())
        for action in actions { perform(action, &isTouched) }
        counters.inspects = machine.inspects
        // Before the first reading is whole there is nothing to tell.
        if isTouched, counters.reads > 0 { tell(isReading: false) }
    }

    private func perform(_ action: DockerWatchMachine.Action, _ isTouched: inout Bool) {
        switch action {
        case .openEvents: openEvents()
        case .closeAll: closeAll()
        case .list: list()
        case .inspect(let id): inspect(id)
        case .ping: ping()
        case .put(let container):
            catalogue.put(container)
            isTouched = true
        case .remove(let id):
            catalogue.remove(id)
            isTouched = true
        case .unreadable(let id, let failure):
            catalogue.unreadable(id, failure)
            isTouched = true
        case .commit(let ids):
            catalogue.retain(ids)
            commands.retain(ids)
            counters.reads += 1
            tell(isReading: true)
            isTouched = false
        case .stopping(let id, let isStopping):
            catalogue.setStopping(id, isStopping)
            isTouched = true
        case .timer(let nanoseconds): loop.setDeadline(self, after: nanoseconds)
        case .stopTimer(let nanoseconds): loop.setDeadline(stopTimer, after: nanoseconds)
        case .heard: heard()
        case .failing(let failure): fail(failure)
        }
    }

    private func openEvents() {
        stream = client.events(
            opened: { [unowned self] in handle(.opened) }, line: { [unowned self] in took($0) },
            ended: { [unowned self] in handle(.streamEnded($0)) })
    }

    private func took(_ line: [UInt8]) {
        counters.events += 1
        do throws(DockerFailure) {
            if let event = try DockerAnswer.event(line) { handle(.event(event)) }
        } catch {
            // What it said is lost: everything is read anew.
            stream?.cancel()
            handle(.streamEnded(error))
        }
    }

    private func list() {
        call?.cancel()
        call = client.call(DockerRequest.list) { [unowned self] result in
            do throws(DockerFailure) {
                let list = try DockerAnswer.list(try result.get())
                if list.unreadable > 0 { catalogue.note("\(list.unreadable) entries of the list cannot be read") }
                handle(.listed(list.containers))
            } catch {
                handle(.listFailed(error))
            }
        }
    }

    private func inspect(_ id: String) {
        inspects[id] = client.call(DockerRequest.inspect(id)) { [unowned self] result in
            inspects[id] = nil
            do throws(DockerFailure) {
                let container = try DockerAnswer.container(try result.get())
                guard container.id == id else { throw .malformed("another container than asked for") }
                handle(.inspected(container))
            } catch {
                handle(.inspectFailed(id: id, error))
            }
        }
    }

    private func ping() {
        call?.cancel()
        call = client.call(DockerRequest.ping) { [unowned self] result in
            switch result {
            case .success: handle(.pinged)
            case .failure(let failure): handle(.pingFailed(failure))
            }
        }
    }

    private func closeAll() {
        stream?.cancel()
        call?.cancel()
        for call in inspects.values { call.cancel() }
        inspects = [:]
        client.forget()
    }

    // MARK: - Content

    /// Tells what has become different.
    private func tell(isReading: Bool) {
        for warning in catalogue.takeNews() where toldWarnings.count < FileSource.maximumWarnings {
            if toldWarnings.insert(warning.description).inserted { callbacks.warning(warning) }
        }
        var content = (services: catalogue.services, instances: catalogue.instances)
        counters.instances = content.instances.count
        counters.stoppingInstances = content.instances.count(where: \.isDraining)
        counters.malformedContainers = catalogue.problemCount
        // Containers that end while they are watched are believed at once.
        if isReading || hold.isHolding {
            content = hold.filter(
                content, before: (force.sortedServices, force.sortedInstances), nowNanoseconds: loop.nowNanoseconds)
        }
        let changes = force.take(content)
        let present = catalogue.announcements
        announcements = present.merging(announcements.filter { force.has($0.key) }, uniquingKeysWith: { now, _ in now })
        if counters.reads == 1, isReading {
            emit(.reset(services: content.services, instances: content.instances))
        } else {
            for change in changes { emit(change) }
        }
        noteHold()
    }

    private func emit(_ change: SourceEvent.Change) {
        revision += 1
        callbacks.event(SourceEvent(source: name, revision: revision, change: change))
    }

    private func noteHold() {
        let wasHolding = counters.heldInstances > 0
        counters.heldInstances = hold.missingCount
        guard let until = hold.untilNanoseconds else { return }
        loop.setDeadline(holdTimer, at: until)
        guard !wasHolding else { return }
        Log.warning(
            "the engine has none of its containers any more, they stay in force for a while",
            ["registry": name, "instances": "\(hold.missingCount)"])
    }

    /// The hold's time is over: the engine is believed.
    private func letGo() {
        guard let until = hold.untilNanoseconds else { return }
        guard until <= loop.nowNanoseconds else { return loop.setDeadline(holdTimer, at: until) }
        // While the engine cannot be read, its last word is not to be believed more than before.
        guard failing == nil else { return loop.setDeadline(holdTimer, after: 1_000_000_000) }
        Log.warning("instances that the engine no longer has are let go", ["registry": name])
        hold.end()
        tell(isReading: false)
    }

    // MARK: - Problems

    private func fail(_ failure: DockerFailure) {
        counters.failures += 1
        guard failing != failure else { return }
        failing = failure
        callbacks.problem(CatalogueProblem(file: name, line: 0, column: 0, key: "", message: "\(failure)"))
    }

    private func heard() {
        if failing != nil {
            failing = nil
            callbacks.problem(nil)
        }
        callbacks.heard()
    }
}
