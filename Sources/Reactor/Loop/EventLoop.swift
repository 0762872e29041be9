import CLinux
import Glibc

/// One thread's event loop: edge-triggered epoll, one timer wheel, one buffer pool.
///
/// A turn, in this order: wait; read the clock once; tell handlers what became ready; run what was requeued in the
/// turn before; run deadlines that have come; let those finish the turn that asked for it; release what was detached
/// meanwhile. Nothing but a handler's own call runs between two of its steps, so handlers need no locks. Not Sendable:
/// it is made on its own thread, and a `Mailbox` is the only door to it.
public final class EventLoop {
    private let epoll: Int32
    private var table = HandleTable()
    private var wheel: TimerWheel
    private var events: UnsafeMutablePointer<epoll_event>
    private var eventCapacity = 256
    private var queued: [UInt64] = []
    private var running: [UInt64] = []
    private var finishing: [UInt64] = []
    private var leaving: [Unmanaged<AnyObject>] = []
    private var isStopping = false
    private var nowCached: UInt64
    private var turnCount: UInt64 = 0

    /// Freed with the loop.
    public let buffers: BufferPool

    /// - Parameter bufferLimitBytes: the most that this loop's connections may hold in buffers at one time.
    public init(bufferLimitBytes: Int = 1 << 30) throws(SystemError) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw SystemError("epoll_create1", errno) }
        nowCached = MonotonicClock.nowNanoseconds()
        wheel = TimerWheel(nowNanoseconds: nowCached)
        events = .allocate(capacity: eventCapacity)
        buffers = BufferPool(limitBytes: bufferLimitBytes)
    }

    deinit {
        releaseLeaving()
        table.deallocate()
        wheel.deallocate()
        events.deallocate()
        buffers.deallocate()
        close(epoll)
    }

    /// The monotonic time in nanoseconds, read once a turn.
    public var nowNanoseconds: UInt64 { nowCached }

    /// Turns made since start; a sign of life.
    public var turns: UInt64 { turnCount }

    /// Handlers attached now.
    public var handlerCount: Int { table.count }

    // MARK: - Handlers

    /// Attaches a handler without a descriptor, for its deadlines.
    public func attach(_ handler: Handler) {
        precondition(handler.slot < 0, "attached twice")
        handler.slot = table.insert(handler)
        wheel.grow(toHold: handler.slot)
    }

    /// Attaches the owner of a socket: the descriptor's one `epoll_ctl`.
    public func attach(_ handler: Handler, _ socket: Socket) throws(SystemError) {
        try attach(handler, descriptor: socket.descriptor)
    }

    func attach(_ handler: Handler, descriptor: Int32, events interest: UInt32 = EventLoop.everything)
        throws(SystemError)
    {
        attach(handler)
        var event = epoll_event()
        event.events = interest
        event.data.u64 = table.token(handler.slot)
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            let code = errno
            detach(handler)
            throw SystemError("epoll_ctl", code)
        }
    }

    private static let everything =
        EPOLLIN.rawValue | EPOLLPRI.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | UInt32(1) << 31  // EPOLLET

    /// EPOLLIN, EPOLLET and EPOLLEXCLUSIVE, which goes with few others.
    static let arrivalsOfSharedSocket = EPOLLIN.rawValue | UInt32(1) << 31 | UInt32(1) << 28

    /// Tells an attached handler nothing more of its descriptor, until `hearAgain`.
    func stopHearing(_ descriptor: Int32) { _ = epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil) }

    /// Tells the handler of its descriptor as if it were new: what is there is told again, and of the loops that wait
    /// for one socket this one is now the last to be woken.
    func hearAgain(_ handler: Handler, _ descriptor: Int32, events interest: UInt32) throws(SystemError) {
        var event = epoll_event()
        event.events = interest
        event.data.u64 = table.token(handler.slot)
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { throw SystemError("epoll_ctl", errno) }
    }

    /// Forgets the handler; it hears nothing more. The holder closes the descriptor, before or after.
    public func detach(_ handler: Handler) {
        guard handler.slot >= 0 else { return }
        wheel.clear(handler.slot)
        leaving.append(.fromOpaque(table.remove(handler.slot).toOpaque()))
        handler.slot = -1
        handler.isQueued = false
        handler.isFinishing = false
    }

    /// Forgets the handler and its descriptor, which another handler may then be attached to: that one hears anew what
    /// the descriptor is ready for. For the few connections that change hands before they are served.
    public func detach(_ handler: Handler, releasing socket: Socket) {
        detach(handler)
        _ = epoll_ctl(epoll, EPOLL_CTL_DEL, socket.descriptor, nil)
    }

    /// Puts another handler in an attached one's place: it takes over the descriptor's events and a queued turn; the
    /// old one's deadline is gone. For a connection whose protocol has just been learned.
    public func handOver(from old: Handler, to new: Handler) {
        precondition(old.slot >= 0 && new.slot < 0, "hand-over from a handler that is not attached, or to one that is")
        wheel.clear(old.slot)
        leaving.append(.fromOpaque(table.replace(old.slot, with: new).toOpaque()))
        new.slot = old.slot
        new.isQueued = old.isQueued
        new.isFinishing = old.isFinishing
        old.slot = -1
        old.isQueued = false
        old.isFinishing = false
    }

    /// Takes over a reference and releases it when no call on the object can be under way. For objects that keep
    /// themselves and are called without being counted.
    public func releaseAfterTurn<Object: AnyObject>(_ reference: Unmanaged<Object>) {
        leaving.append(.fromOpaque(reference.toOpaque()))
    }

    /// Sets the handler's one deadline, replacing an earlier one.
    public func setDeadline(_ handler: Handler, at nanoseconds: UInt64) {
        guard handler.slot >= 0 else { return }
        wheel.set(handler.slot, deadline: nanoseconds)
    }

    /// Sets the handler's one deadline to so many nanoseconds after this turn's time.
    public func setDeadline(_ handler: Handler, after nanoseconds: UInt64) {
        let (sum, isTooLarge) = nowCached.addingReportingOverflow(nanoseconds)
        setDeadline(handler, at: isTooLarge ? .max : sum)
    }

    public func clearDeadline(_ handler: Handler) { setDeadline(handler, at: .max) }

    /// Calls the handler's `resume` in the next turn. For pumps that have used up their budget of one turn.
    public func requeue(_ handler: Handler) {
        guard handler.slot >= 0, !handler.isQueued else { return }
        handler.isQueued = true
        queued.append(table.token(handler.slot))
    }

    /// Calls the handler's `turnEnds` before the loop waits again, for what many calls of one turn have gathered.
    public func finishTurn(with handler: Handler) {
        guard handler.slot >= 0, !handler.isFinishing else { return }
        handler.isFinishing = true
        finishing.append(table.token(handler.slot))
    }

    // MARK: - Turns

    /// Runs until `stop`.
    public func run() {
        while !isStopping { turn() }
        releaseLeaving()
    }

    /// Ends `run` after the present turn.
    public func stop() { isStopping = true }

    private func turn() {
        let count = waitForEvents(timeoutMilliseconds: timeout())
        nowCached = MonotonicClock.nowNanoseconds()
        turnCount &+= 1
        // What is requeued from here on waits for the next turn: a pump's budget is for one turn.
        swap(&queued, &running)
        for index in 0..<count {
            let event = events[index]
            let readiness = Readiness(rawValue: event.events)
            // Uncounted: what is detached meanwhile is released at the end of the turn.
            table.handler(event.data.u64)?._withUnsafeGuaranteedRef { $0.ready(readiness) }
        }
        if count == eventCapacity { growEvents() }
        runQueued()
        runDeadlines()
        finishTurn()
        releaseLeaving()
    }

    private func timeout() -> Int32 {
        if !queued.isEmpty || !finishing.isEmpty { return 0 }
        guard let wake = wheel.nextWakeNanoseconds else { return -1 }
        let now = MonotonicClock.nowNanoseconds()
        guard wake > now else { return 0 }
        return Int32(min((wake - now + 999_999) / 1_000_000, 60_000))
    }

    /// A name of its own, so that a profile shows waiting apart from work.
    @inline(never)
    private func waitForEvents(timeoutMilliseconds: Int32) -> Int {
        let count = epoll_wait(epoll, events, Int32(eventCapacity), timeoutMilliseconds)
        return count > 0 ? Int(count) : 0
    }

    private func growEvents() {
        guard eventCapacity < 4096 else { return }
        events.deallocate()
        eventCapacity *= 2
        events = .allocate(capacity: eventCapacity)
    }

    private func runQueued() {
        for token in running {
            guard let handler = table.handler(token)?.takeUnretainedValue() else { continue }
            handler.isQueued = false
            handler.resume()
        }
        running.removeAll(keepingCapacity: true)
    }

    private func finishTurn() {
        var index = 0
        // One handler's end of turn may give another something to finish. Each asks once more at the most.
        while index < finishing.count, index < Self.endsPerTurn {
            let handler = table.handler(finishing[index])?.takeUnretainedValue()
            index += 1
            guard let handler else { continue }
            handler.isFinishing = false
            handler.turnEnds()
        }
        if index == finishing.count { finishing.removeAll(keepingCapacity: true) } else { finishing.removeFirst(index) }
    }

    private static let endsPerTurn = 1 << 16

    /// At most this many deadlines a turn, so that timers cannot starve descriptors.
    private static let deadlinesPerTurn = 1024

    private func runDeadlines() {
        for _ in 0..<Self.deadlinesPerTurn {
            guard let slot = wheel.popExpired(nowNanoseconds: nowCached) else { return }
            table.handler(at: slot)?.deadlineReached()
        }
    }

    private func releaseLeaving() {
        guard !leaving.isEmpty else { return }
        // A handler's end may detach others.
        while let object = leaving.popLast() { object.release() }
    }
}
