import Glibc
public import MeshCore
public import NetAddress
public import Reactor

/// The node's DNS server for aliases, over UDP and TCP on one address. It lives on one loop, called on its thread.
///
/// Names of the zone are answered at once; the others go to the upstreams, or are refused where there are none.
/// It stays alive on its loop until `close`.
public final class AliasDNSServer {
    let loop: EventLoop
    let limits: AliasDNSLimits
    let responder: Responder
    /// Where the next message to answer is put, and the answer. Both are free again when the call that fills them ends.
    let queryMemory: UnsafeMutableRawBufferPointer
    let answerMemory: UnsafeMutableRawBufferPointer
    /// The address of both sockets, with the port that the kernel chose where 0 was asked for.
    public let boundAddress: SocketAddress

    private var zone: Zone
    private var rotation: UInt64 = 0
    var count = AliasDNSCounters()
    private let datagrams: DatagramSide
    private var listener: TCPListener?
    private var clients: [ObjectIdentifier: StreamClient] = [:]
    private let forwarder: Forwarder
    private var isClosed = false

    /// Binds and begins to answer.
    ///
    /// - Parameters:
    ///   - listen: port 0 lets the kernel choose one. On an unspecified address answers leave from the address that
    ///     was asked.
    ///   - upstreams: asked in this order for names that are not ours; the server's own address is left out.
    ///   - ttlSeconds: of every answer of ours, 0...2^31-1; 5 is usual.
    ///   - seed: of the message ids towards upstreams; differs at every start.
    /// - Throws: what `bind`, `listen` or `epoll_ctl` said.
    public init(
        on loop: EventLoop, listen: SocketAddress, zone: Zone, upstreams: [SocketAddress], ttlSeconds: UInt32,
        seed: UInt64, limits: AliasDNSLimits = AliasDNSLimits()
    ) throws(SystemError) {
        let bound = try Self.bind(listen)
        let upstreams = upstreams.filter { !Self.isOwn($0, bound.address) }
        self.loop = loop
        self.limits = limits
        self.zone = zone
        self.boundAddress = bound.address
        self.responder = Responder(ttlSeconds: ttlSeconds, canForward: !upstreams.isEmpty)
        self.queryMemory = .allocate(byteCount: AliasDNSLimits.inboxLength, alignment: 64)
        self.answerMemory = .allocate(byteCount: 2 + Wire.maxMessage, alignment: 64)
        self.datagrams = DatagramSide(bound.datagrams)
        self.forwarder = Forwarder(upstreams: upstreams, seed: seed)
        datagrams.server = self
        forwarder.server = self
        do {
            try loop.attach(datagrams, bound.datagrams)
            listener = try TCPListener(
                bound.streams, on: loop, mayAccept: { [weak self] in self?.mayAccept ?? false },
                refused: { Log.warning("DNS clients are not accepted", ["error": "\($0)"]) },
                accepted: { [weak self] socket, _ in self?.accepted(socket) })
        } catch {
            bound.streams.close()
            close()
            throw error
        }
    }

    deinit {
        queryMemory.deallocate()
        answerMemory.deallocate()
    }

    public var counters: AliasDNSCounters { count }

    /// TCP clients connected now.
    public var clientCount: Int { clients.count }

    /// Queries at the upstreams now.
    public var forwardsInFlight: Int { forwarder.count }

    /// Answers come from `zone` from now on.
    public func update(zone: Zone) { self.zone = zone }

    /// Takes other addresses for some names of the zone; `false` where that takes a new zone (`Zone.replacing`).
    public func replace(_ entries: [ZoneEntry], serial: UInt32) -> Bool {
        guard let changed = zone.replacing(entries, serial: serial) else { return false }
        zone = changed
        return true
    }

    /// Ends both sockets and every connection. What is being forwarded gets no answer.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        datagrams.close(on: loop)
        listener?.finish()
        forwarder.close()
        for client in Array(clients.values) { client.close() }
    }

    // MARK: - Binding

    private typealias Bound = (datagrams: Socket, streams: Socket, address: SocketAddress)

    /// A port that the kernel chose for UDP may be taken for TCP; then another is tried.
    private static func bind(_ address: SocketAddress) throws(SystemError) -> Bound {
        for _ in 0..<(address.port == 0 ? 16 : 1) {
            let datagrams = try Socket.datagramService(address)
            let bound = SocketAddress(address.ip, datagrams.localAddress()?.port ?? address.port)
            do {
                return (datagrams, try Socket.listen(bound, shared: false, backlog: 256), bound)
            } catch {
                datagrams.close()
                guard address.port == 0, error.code == EADDRINUSE else { throw error }
            }
        }
        throw SystemError("bind", EADDRINUSE)
    }

    /// Whether asking this upstream would be asking ourselves.
    private static func isOwn(_ upstream: SocketAddress, _ own: SocketAddress) -> Bool {
        guard upstream.port == own.port else { return false }
        let isLoopback = upstream.ip.isV4 ? upstream.ip.v4Bits >> 24 == 127 : upstream.ip == IPAddress(high: 0, low: 1)
        return upstream.ip == own.ip || own.ip.isUnspecified && (isLoopback || upstream.ip.isUnspecified)
    }

    // MARK: - Queries

    /// What to do with a message: an answer lies in `answerMemory` behind two bytes left free for a stream's length.
    func respond(to message: Span<UInt8>, over transport: Responder.Transport) -> Responder.Outcome {
        rotation &+= 1
        let outcome = responder.respond(
            to: message, zone: zone, over: transport, rotation: rotation, into: answerRoom)
        switch outcome {
        case .answer(let answer):
            if answer.rcode == .formatError { count.malformed += 1 }
            count.countAnswer(answer.rcode, isTruncated: answer.isTruncated)
        case .drop(let isMalformed):
            if isMalformed { count.malformed += 1 }
            count.dropped += 1
        case .forward: break
        }
        return outcome
    }

    func forward(_ message: Span<UInt8>, _ query: Query, for client: ForwardClient) {
        forwarder.start(message, query, for: client)
    }

    var answerRoom: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: answerMemory[2...]) }

    /// Sends the answer in `answerMemory` to a client that has waited for it.
    func deliver(_ length: Int, to client: ForwardClient) {
        switch client {
        case .datagram(let path): datagrams.answer(length, path)
        case .stream(let client):
            client.answer(length)
            client.forwardEnded()
        }
    }

    // MARK: - TCP clients

    private var mayAccept: Bool { !isClosed && clients.count < limits.clients }

    private func accepted(_ socket: Socket) {
        let client = StreamClient(socket, server: self)
        do {
            try loop.attach(client, socket)
        } catch {
            return socket.close()
        }
        clients[ObjectIdentifier(client)] = client
        loop.setDeadline(client, after: limits.idleNanoseconds)
    }

    func forget(_ client: StreamClient) { clients[ObjectIdentifier(client)] = nil }
}
