import JSONCodec
public import MeshCore
public import Reactor

/// Announces instances in etcd under a lease and keeps it, through failures of etcd and of its members. Lives on one
/// loop.
public final class EtcdAnnouncer: Handler {
    /// What the announcer tells its holder, on the loop's thread, never from within a call.
    public struct Callbacks {
        /// All that is wanted is in etcd: after a change, and again after a failure.
        public var announced: () -> Void
        /// etcd does not take it, for this reason or another one now.
        public var problem: (String) -> Void
        /// The end that `withdraw` asked for: nothing of it is in etcd any more.
        public var withdrawn: () -> Void

        public init(
            announced: @escaping () -> Void, problem: @escaping (String) -> Void, withdrawn: @escaping () -> Void
        ) {
            self.announced = announced
            self.problem = problem
            self.withdrawn = withdrawn
        }
    }

    private let loop: EventLoop
    private let client: EtcdClient
    private let schema: EtcdSchema
    private let callbacks: Callbacks
    private var machine: AnnounceMachine
    private var random: SourceRandom
    private var wanted: [String: [UInt8]] = [:]
    private var call: EtcdCall?
    private var failing: EtcdFailure?

    /// - Parameters:
    ///   - ttlSeconds: how long what is announced outlives this process; 2...86,400.
    ///   - seed: of the choice of the first member and of pauses.
    public init(_ url: EtcdURL, ttlSeconds: Int, seed: UInt64, on loop: EventLoop, _ callbacks: Callbacks) {
        self.loop = loop
        self.callbacks = callbacks
        let patience = AnnounceMachine.patienceNanoseconds(ttlSeconds: ttlSeconds)
        client = EtcdClient(url, on: loop, seed: seed, timeoutNanoseconds: patience)
        schema = EtcdSchema(url)
        machine = AnnounceMachine(ttlSeconds: ttlSeconds) { [schema] key, value in
            if case .instance = schema.place(key) { InstanceAnnouncement.draining(value) } else { nil }
        }
        random = SourceRandom(state: seed)
        super.init()
        loop.attach(self)
    }

    /// Announces the instance, or announces it anew where something about it has changed.
    public func announce(_ instance: InstanceAnnouncement) {
        wanted[schema.instance(instance.key)] = Array(instance.json.utf8)
        loop.requeue(self)
    }

    /// Says that a node runs, and what else it says of itself.
    ///
    /// - Parameter run: never the same for two runs of meshd.
    public func present(_ presence: NodePresence, run: String) {
        wanted[schema.alive(run)] = Array(presence.json.utf8)
        loop.requeue(self)
    }

    /// Takes one instance back, which says first that it drains; harmless where it was not announced.
    public func remove(_ key: InstanceKey) {
        wanted[schema.instance(key)] = nil
        loop.requeue(self)
    }

    /// Takes everything back and ends.
    ///
    /// - Parameter isSaid: whether the instances end on purpose, which is then said first; otherwise they are gone as
    ///   if the lease were lost.
    public func withdraw(isSaid: Bool) { handle(.withdraw(isSaid: isSaid)) }

    /// Ends all requests and tells nothing more; what is announced lives as long as its lease.
    public func stop() {
        call?.cancel()
        loop.detach(self)
    }

    /// Changes of one turn go together.
    override public func resume() { handle(.set(wanted)) }

    override public func deadlineReached() { handle(.timer) }

    private func handle(_ event: AnnounceMachine.Event) {
        for action in machine.handle(event, random: random.next()) { perform(action) }
    }

    private func perform(_ action: AnnounceMachine.Action) {
        switch action {
        case .grant(let ttl):
            ask("/v3/lease/grant", EtcdRequest.grant(ttlSeconds: ttl)) { value in
                value["ID"]?.integer.map { .granted(lease: $0) }
            }
        case .write(let puts, let lease, let deletes):
            let pairs = puts.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
            let body = EtcdRequest.write(puts: pairs, lease: lease, deletes: deletes)
            ask("/v3/kv/txn", body) { value in
                value["header"]?["revision"]?.integer.map { .written(revision: $0) }
            }
        case .keepAlive(let lease):
            ask("/v3/lease/keepalive", EtcdRequest.lease(lease)) { value in
                // A stream of one answer; the time to live is left out where it is 0.
                value["result"].map { .keptAlive(ttlSeconds: $0["TTL"]?.integer ?? 0) }
            }
        case .check(let revisions):
            ask("/v3/kv/txn", EtcdRequest.check(revisions)) { value in
                if value["succeeded"]?.bool == true { return .checked(nil) }
                return (try? EtcdAnswer.held(value)).map { .checked($0) }
            }
        case .revoke(let lease): ask("/v3/lease/revoke", EtcdRequest.lease(lease)) { _ in .revoked }
        case .failover: client.failover()
        case .forgetToken: client.forgetToken()
        case .timer(let nanoseconds): loop.setDeadline(self, after: nanoseconds)
        case .announced:
            failing = nil
            callbacks.announced()
        case .failing(let failure):
            guard failing != failure else { return }
            failing = failure
            callbacks.problem("\(client.endpoint): \(failure)")
        case .withdrawn:
            stop()
            callbacks.withdrawn()
        }
    }

    private func ask(_ path: String, _ body: String, _ read: @escaping (JSONValue) -> AnnounceMachine.Event?) {
        call?.cancel()
        call = client.call(path, body) { [unowned self] result in
            switch result {
            case .failure(let failure): handle(.failed(failure))
            case .success(let value): handle(read(value) ?? .failed(.malformed("a member is missing")))
            }
        }
    }
}
