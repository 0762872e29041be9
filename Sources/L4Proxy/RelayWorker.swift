public import MeshCore
public import NetAddress
public import Reactor

/// The TCP side of one worker: its relayed sessions.
public final class RelayWorker {
    let loop: EventLoop
    let balancer: Balancer
    let options: RelayOptions
    let pipes = PipePool()
    var counters = RelayCounters()
    /// Told of dial results that the health of an instance depends on.
    let dialed: (_ endpoint: Endpoint, _ failure: SystemError?) -> Void
    private unowned(unsafe) var newest: RelaySession?
    private var open = 0
    private var whenEmpty: (() -> Void)?

    public init(
        loop: EventLoop, balancer: Balancer, options: RelayOptions,
        dialed: @escaping (_ endpoint: Endpoint, _ failure: SystemError?) -> Void
    ) {
        self.loop = loop
        self.balancer = balancer
        self.options = options
        self.dialed = dialed
    }

    /// Relays a connection that a listener accepted to an instance of the listener's pool.
    public func serve(_ socket: Socket, _ origin: ConnectionOrigin, _ binding: PortBinding) {
        counters.sessionsAccepted += 1
        let session = RelaySession(socket, origin, pool: binding.pool, self)
        session.start()
    }

    /// Relays a connection whose first bytes have been looked at, and are still in the kernel, to an instance of
    /// `pool`, in the place of the handler that looked; -1: no pool, and the client is reset.
    ///
    /// - Parameter sawPeerClose: the kernel has told of the client's end of stream.
    public func serve(
        _ socket: Socket, _ origin: ConnectionOrigin, pool: Int32, replacing handler: Handler, sawPeerClose: Bool
    ) {
        counters.sessionsAccepted += 1
        let session = RelaySession(socket, origin, pool: pool, self)
        session.start(replacing: handler, sawPeerClose: sawPeerClose)
    }

    /// Sessions open now.
    public var sessionsOpen: Int { open }

    public func counted() -> RelayCounters {
        var copy = counters
        copy.sessionsOpen = UInt64(open)
        return copy
    }

    /// Calls `done` when the last session has ended.
    public func drain(done: @escaping () -> Void) {
        if open == 0 { return done() }
        whenEmpty = done
    }

    /// Ends every session at once.
    public func closeAll() {
        var next = newest
        while let session = next {
            next = session.next
            session.close()
        }
    }

    func insert(_ session: RelaySession) {
        session.next = newest
        newest?.previous = session
        newest = session
        open += 1
    }

    func remove(_ session: RelaySession) {
        if let previous = session.previous { previous.next = session.next } else { newest = session.next }
        session.next?.previous = session.previous
        session.previous = nil
        session.next = nil
        open -= 1
        if open == 0, let done = whenEmpty {
            whenEmpty = nil
            done()
        }
    }
}
