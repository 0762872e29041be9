public import MeshCore
public import NetAddress
public import Reactor

/// Settings of the TLS listeners. Times are nanoseconds.
public struct TLSFrontOptions: Sendable {
    /// From accepting a connection to the end of its handshake.
    public var handshakeTimeout: UInt64 = 10_000_000_000
    /// Handshakes under way on one worker; one more ends the oldest.
    public var handshakeLimit = 1_024

    public init() {}
}

/// What the TLS side of one worker has counted.
public struct TLSCounters: Sendable {
    public var handshakes: UInt64 = 0
    /// Those of `handshakes` that a ticket shortened.
    public var resumed: UInt64 = 0
    /// Refused by either side, or bytes that are not TLS.
    public var failed: UInt64 = 0
    /// The client left.
    public var abandoned: UInt64 = 0
    public var timedOut: UInt64 = 0
    /// Ended because newer ones came beyond the limit.
    public var crowdedOut: UInt64 = 0
    public var underWay: UInt64 = 0
    /// Sessions relayed by their server name, untouched.
    public var passedThrough: UInt64 = 0

    public init() {}
}

/// The TLS side of one worker: handshakes under way, and where connections go when theirs is over.
public final class TLSFront {
    /// Handshakes that may compute in one turn: each costs as much as hundreds of requests, which wait meanwhile.
    private static let stepsPerTurn = 8
    /// At the end, how long a client that has connected may still take for its handshake.
    private static let drainNanoseconds: UInt64 = 1_000_000_000

    let loop: EventLoop
    let engine: TLSEngine
    let http: HTTPWorker
    let options: TLSFrontOptions
    /// Where sessions go that are relayed by their server name; -1 as pool: nowhere.
    public var relay:
        ((_ socket: Socket, _ origin: ConnectionOrigin, _ pool: Int32, _ in: Handler, _ ended: Bool) -> Void)?
    private var table = TLSCertificateTable.empty
    var counters = TLSCounters()
    private unowned(unsafe) var oldest: ClientHandshake?
    private unowned(unsafe) var newest: ClientHandshake?
    private var underWay = 0
    private var turn: UInt64 = 0
    private var stepsLeft = 0
    private var whenEmpty: (() -> Void)?

    public init(loop: EventLoop, http: HTTPWorker, options: TLSFrontOptions) {
        self.loop = loop
        self.http = http
        engine = http.tlsEngine
        self.options = options
    }

    /// For handshakes that begin from now on.
    public func install(_ table: TLSCertificateTable) { self.table = table }

    /// For tickets made and taken from now on.
    public func install(_ keys: TLSTicketKeys) { engine.ticketKeys = keys }

    /// Serves a connection that a listener accepted.
    public func serve(_ socket: Socket, _ origin: ConnectionOrigin, _ binding: PortBinding) {
        let handshake = ClientHandshake(socket, origin, binding, self)
        guard (try? loop.attach(handshake, socket)) != nil else { return socket.close() }
        insert(handshake)
        if underWay > options.handshakeLimit, let oldest {
            counters.crowdedOut += 1
            oldest.abort()
        }
        loop.setDeadline(handshake, after: options.handshakeTimeout)
    }

    func makeLayer(_ socket: Socket) -> TLSLayer? { TLSLayer(accepted: socket, table, engine) }

    /// Whether any session is relayed by its server name, so that the name is worth a look.
    var relaysByName: Bool { relay != nil && !http.balancer.snapshot.serverNames.isEmpty }

    /// Handshakes under way.
    public var handshakesOpen: Int { underWay }

    public func counted() -> TLSCounters {
        var copy = counters
        copy.underWay = UInt64(underWay)
        return copy
    }

    /// Whether a handshake may compute now; at most so many times in a turn.
    func takeStep() -> Bool {
        if turn != loop.turns { (turn, stepsLeft) = (loop.turns, Self.stepsPerTurn) }
        guard stepsLeft > 0 else { return false }
        stepsLeft -= 1
        return true
    }

    // MARK: - Ending

    /// Calls `done` when no handshake is under way any more.
    public func drain(done: @escaping () -> Void) {
        if underWay == 0 { return done() }
        whenEmpty = done
        forEach { loop.setDeadline($0, after: Self.drainNanoseconds) }
    }

    /// Ends every handshake at once.
    public func closeAll() { forEach { $0.abort() } }

    private func forEach(_ body: (ClientHandshake) -> Void) {
        var next = oldest
        while let handshake = next {
            next = handshake.newer
            body(handshake)
        }
    }

    // MARK: - Handshakes under way, the oldest first

    private func insert(_ handshake: ClientHandshake) {
        handshake.older = newest
        if let newest { newest.newer = handshake } else { oldest = handshake }
        newest = handshake
        underWay += 1
    }

    func remove(_ handshake: ClientHandshake) {
        if let older = handshake.older { older.newer = handshake.newer } else { oldest = handshake.newer }
        if let newer = handshake.newer { newer.older = handshake.older } else { newest = handshake.older }
        (handshake.older, handshake.newer) = (nil, nil)
        underWay -= 1
        if underWay == 0, let done = whenEmpty {
            whenEmpty = nil
            done()
        }
    }
}
