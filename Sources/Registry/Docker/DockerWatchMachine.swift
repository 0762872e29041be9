/// How an engine's containers are read and then followed by its events, whatever becomes of the connection. Pure: what
/// happened comes in, what to do goes out.
///
/// The stream of events is opened first, then the containers are listed and looked at one by one, so that nothing
/// falls between the two. An event marks its container as changed; it is looked at again, however often it changed
/// meanwhile. A container that ended is gone at once; one that is stopped is known to be about to end.
struct DockerWatchMachine {
    enum Event {
        case start
        /// The stream of events has begun.
        case opened
        case event(DockerEvent)
        /// `nil`: the engine ended the stream in order.
        case streamEnded(DockerFailure?)
        case listed([DockerSummary])
        case listFailed(DockerFailure)
        case inspected(DockerContainer)
        case inspectFailed(id: String, DockerFailure)
        case pinged
        case pingFailed(DockerFailure)
        case timer
        case stopTimer
    }

    enum Action: Equatable {
        case openEvents
        /// Ends the stream and whatever else is under way.
        case closeAll
        case list
        case inspect(id: String)
        case ping
        case put(DockerContainer)
        case remove(id: String)
        /// The container is about to end, or is not after all.
        case stopping(id: String, Bool)
        case unreadable(id: String, DockerFailure)
        /// Every container of a list has been looked at; no others are there.
        case commit(ids: Set<String>)
        /// One timer; a new one replaces it.
        case timer(nanoseconds: UInt64)
        /// Another one, of the same kind.
        case stopTimer(nanoseconds: UInt64)
        /// What is known is what the engine has now.
        case heard
        case failing(DockerFailure)
    }

    private enum State: Equatable {
        case idle, opening, listing
        /// Containers of a list are looked at for the first time.
        case reading
        case watching, checking, waiting
    }

    /// Containers looked at at one time.
    static let inspectLimit = 8
    /// Containers that wait to be looked at; where more are marked, all are listed anew.
    static let queueLimit = 20_000
    /// Between two questions whether the engine still answers.
    static let checkNanoseconds: UInt64 = 4_000_000_000
    /// So many of them pass, then all containers are listed: an engine drops events for who reads slowly.
    static let checksPerList = 15

    private var state = State.idle
    private var backoff = Backoff()
    /// Containers of the mesh that the engine is known to have.
    private var known: Set<String> = []
    /// To be looked at, in order.
    private var queue: [String] = []
    private var queued: Set<String> = []
    private var inFlight: Set<String> = []
    /// Changed while they were being looked at: what that says is old.
    private var stale: Set<String> = []
    /// Those of the list that have not been looked at since.
    private var unread: Set<String> = []
    private var listed: Set<String> = []
    /// What events told since a list was asked for, which may be older than they are.
    private var appeared: Set<String> = []
    private var ended: Set<String> = []
    private var stops = DockerStops()
    /// What `stopTimer` is set to.
    private var nextStop: UInt64?
    private var needsList = false
    private var checks = 0
    /// Looked at since the start.
    private(set) var inspects: UInt64 = 0

    mutating func handle(_ event: Event, nowNanoseconds now: UInt64, random: UInt64) -> [Action] {
        var actions = take(event, now, random)
        if let next = stops.nextNanoseconds, next != nextStop {
            actions.append(.stopTimer(nanoseconds: next > now ? next - now : 0))
            nextStop = next
        }
        return actions
    }

    private mutating func take(_ event: Event, _ now: UInt64, _ random: UInt64) -> [Action] {
        switch event {
        case .start:
            guard state == .idle else { return [] }
            return open()
        case .opened:
            guard state == .opening else { return [] }
            return list()
        case .event(let event): return isStreaming ? took(event, now) : []
        case .streamEnded(let failure):
            guard isStreaming || state == .opening else { return [] }
            return fail(failure ?? .unreachable("the stream of events was ended"), random)
        case .listed(let containers):
            guard state == .listing else { return [] }
            return took(containers)
        case .listFailed(let failure), .pingFailed(let failure):
            guard isStreaming else { return [] }
            return fail(failure, random)
        case .inspected(let container): return inspected(container.id, .put(container), container, now)
        case .inspectFailed(let id, let failure):
            guard failure.isOfOneContainer else { return isStreaming ? fail(failure, random) : [] }
            return inspected(id, failure.isGone ? .remove(id: id) : .unreadable(id: id, failure))
        case .pinged: return pinged()
        case .timer: return timer()
        case .stopTimer: return stopTimer(now)
        }
    }

    private var isStreaming: Bool {
        switch state {
        case .listing, .reading, .watching, .checking: true
        case .idle, .opening, .waiting: false
        }
    }

    // MARK: - Reading

    private mutating func open() -> [Action] {
        state = .opening
        return [.openEvents]
    }

    private mutating func list() -> [Action] {
        state = .listing
        checks = 0
        needsList = false
        appeared = []
        ended = []
        return [.list]
    }

    private mutating func took(_ containers: [DockerSummary]) -> [Action] {
        listed = Set(containers.lazy.filter(\.concernsMesh).map(\.id).sorted().prefix(Self.queueLimit))
        listed = listed.subtracting(ended).union(appeared)
        unread = listed
        known.formUnion(listed)
        state = .reading
        for id in listed.sorted() { mark(id) }
        return next()
    }

    private mutating func mark(_ id: String) {
        if inFlight.contains(id) {
            stale.insert(id)
        } else if !queued.contains(id) {
            guard queue.count < Self.queueLimit else {
                needsList = true
                return
            }
            queued.insert(id)
            queue.append(id)
        }
    }

    private mutating func inspected(
        _ id: String, _ action: Action, _ container: DockerContainer? = nil, _ now: UInt64 = 0
    ) -> [Action] {
        guard inFlight.remove(id) != nil else { return [] }
        if stale.remove(id) != nil {
            mark(id)
            return next()
        }
        unread.remove(id)
        if case .remove = action {
            known.remove(id)
            stops.forget(id)
        }
        guard let container, let isStopping = stops.looked(container, nowNanoseconds: now) else {
            return [action] + next()
        }
        return [action, .stopping(id: id, isStopping)] + next()
    }

    private mutating func next() -> [Action] {
        var actions: [Action] = []
        var taken = 0
        while inFlight.count < Self.inspectLimit, taken < queue.count {
            let id = queue[taken]
            taken += 1
            // Gone meanwhile.
            guard queued.remove(id) != nil else { continue }
            inFlight.insert(id)
            inspects += 1
            actions.append(.inspect(id: id))
        }
        queue.removeFirst(taken)
        if state == .reading, unread.isEmpty {
            state = .watching
            backoff.succeeded()
            known.formIntersection(listed.union(inFlight).union(queued))
            stops.retain(known)
            actions += [.commit(ids: listed), .heard, .timer(nanoseconds: Self.checkNanoseconds)]
        }
        return actions
    }

    // MARK: - Following

    private mutating func took(_ event: DockerEvent, _ now: UInt64) -> [Action] {
        switch event.kind {
        case .other: return []
        case .signalled(let signal):
            guard known.contains(event.id) || (state == .listing && event.concernsMesh) else { return [] }
            let isNews = stops.signalled(event.id, signal, nowNanoseconds: now)
            return isNews ? [.stopping(id: event.id, true)] : []
        case .gone:
            if state == .listing { ended.insert(event.id) }
            appeared.remove(event.id)
            stops.forget(event.id)
            guard known.contains(event.id) else { return [] }
            known.remove(event.id)
            listed.remove(event.id)
            unread.remove(event.id)
            queued.remove(event.id)
            // An answer that is under way may be older than the event.
            if inFlight.contains(event.id) { stale.insert(event.id) }
            return [.remove(id: event.id)] + next()
        case .changed:
            guard event.concernsMesh || known.contains(event.id) else { return [] }
            known.insert(event.id)
            // One that appears during a reading belongs to it.
            if state == .reading { listed.insert(event.id) }
            if state == .listing { appeared.insert(event.id) }
            ended.remove(event.id)
            mark(event.id)
            return next()
        }
    }

    private mutating func pinged() -> [Action] {
        guard state == .checking else { return [] }
        state = .watching
        return [.heard, .timer(nanoseconds: Self.checkNanoseconds)]
    }

    private mutating func timer() -> [Action] {
        switch state {
        case .waiting: return open()
        case .watching:
            checks += 1
            if needsList || checks >= Self.checksPerList { return list() }
            state = .checking
            return [.ping]
        case .idle, .opening, .listing, .reading, .checking: return []
        }
    }

    /// Those that should have ended are looked at; after a reconnect all are.
    private mutating func stopTimer(_ now: UInt64) -> [Action] {
        nextStop = nil
        let ids = stops.overdue(nowNanoseconds: now)
        guard isStreaming else { return [] }
        for id in ids where known.contains(id) { mark(id) }
        return next()
    }

    private mutating func fail(_ failure: DockerFailure, _ random: UInt64) -> [Action] {
        state = .waiting
        queue = []
        queued = []
        inFlight = []
        stale = []
        unread = []
        return [.closeAll, .failing(failure), .timer(nanoseconds: backoff.next(random: random))]
    }
}
