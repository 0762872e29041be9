import HTTPCodec
public import MeshCore
public import NetAddress
public import Reactor

/// The HTTP side of one worker: its client connections, its pool of instance connections, its scratch space.
public final class HTTPWorker {
    let loop: EventLoop
    let balancer: Balancer
    let options: RouterOptions
    let pool: InstancePool
    let accessLog: AccessLog?
    let tlsEngine: TLSEngine
    /// How instances are spoken to over TLS; a service whose entry is missing is not spoken to at all.
    private(set) var instanceTLS: [UpstreamTLS: TLSClientContext] = [:]
    var counters = RouterCounters()
    var random: RandomBits
    /// Scratch of one parse; nothing in it outlives the call that filled it.
    var requestHead = RequestHead()
    var responseHead = ResponseHead()
    var trailers: TrailerContext
    var isDraining = false
    /// Every client connection is being closed.
    private(set) var isStopping = false
    /// Texts of requests outlive their heads.
    let keepsNotes: Bool
    /// Told of dial results that the health of an instance depends on.
    let dialed: (_ endpoint: Endpoint, _ failure: SystemError?) -> Void
    private var firstSpare: Unmanaged<Exchange>?
    private var spares = 0
    private unowned(unsafe) var newest: ClientConnection?
    private var http2: HTTP2Context?
    private var openClients = 0
    private var streamClients = 0
    private var whenEmpty: (() -> Void)?

    /// - Parameters:
    ///   - random: for ids of requests and traces; seeded differently for every worker of every node.
    ///   - dialed: called for each failed dial, and for the first one that succeeds after a failure.
    public init(
        loop: EventLoop, balancer: Balancer, options: RouterOptions, accessLog: AccessLog?,
        random: RandomBits, dialed: @escaping (_ endpoint: Endpoint, _ failure: SystemError?) -> Void
    ) {
        self.loop = loop
        tlsEngine = TLSEngine(loop)
        self.balancer = balancer
        self.options = options
        self.accessLog = accessLog
        self.random = random
        keepsNotes = accessLog != nil || options.forwarding.tellsClientRequestID
        self.dialed = dialed
        pool = InstancePool(limitPerEndpoint: options.idlePerEndpoint)
        trailers = TrailerContext(fields: FieldTable(), limits: options.limits)
    }

    deinit { trailers.fields.deallocate() }

    /// Serves a connection that a listener accepted.
    public func serve(_ socket: Socket, _ origin: ConnectionOrigin, _ binding: PortBinding) {
        let connection = ClientConnection(Transport(socket), origin, binding, self)
        guard (try? loop.attach(connection, socket)) != nil else { return connection.close() }
        counters.connectionsAccepted += 1
        loop.setDeadline(connection, after: options.headTimeout)
    }

    /// Serves a connection whose TLS handshake is over, in the handshake's place on the loop.
    ///
    /// - Parameter sawPeerClose: the kernel has told of the client's end of stream.
    func serve(
        _ layer: TLSLayer, _ origin: ConnectionOrigin, _ binding: PortBinding, replacing handshake: Handler,
        sawPeerClose: Bool
    ) {
        let transport = Transport(layer, over: layer.socket)
        let certificate = layer.peerCertificate.map(ClientCertificateFields.lines) ?? []
        counters.connectionsAccepted += 1
        if layer.negotiatesHTTP2 {
            return serveHTTP2(
                transport, origin, binding, replacing: handshake, isSecure: true, certificate: certificate,
                isReadable: layer.mayHaveBytes || sawPeerClose)
        }
        let connection = ClientConnection(transport, origin, binding, self)
        connection.isSecure = true
        connection.certificate = certificate
        loop.handOver(from: handshake, to: connection)
        loop.setDeadline(connection, after: options.headTimeout)
        connection.begin(isReadable: layer.mayHaveBytes, sawPeerClose: sawPeerClose)
    }

    /// Client connections open now.
    public var connectionsOpen: Int { openClients }

    /// Lets go of idle connections to endpoints that are no more.
    public func snapshotChanged() {
        pool.closeGone(balancer.snapshot)
        http2?.forEachPool { $0.retireGone(balancer.snapshot) }
    }

    /// How instances are spoken to over TLS from now on. Connections that were verified by other authorities serve no
    /// further request.
    public func install(_ contexts: [UpstreamTLS: TLSClientContext]) {
        instanceTLS = contexts
        pool.closeDistrusted()
        http2?.forEachPool { $0.retireDistrusted() }
    }

    /// Whether a connection that was begun so would be begun in the same way now.
    func trusts(_ tls: UpstreamTLS?, _ context: TLSClientContext?) -> Bool {
        guard let tls else { return true }
        return instanceTLS[tls] === context
    }

    public func counted() -> RouterCounters {
        var copy = counters
        if let http2 { copy.http2 = http2.counters }
        copy.connectionsOpen = UInt64(openClients)
        copy.accessLinesDropped = accessLog?.droppedLines ?? 0
        copy.buffersRefused = loop.buffers.refusedLeases
        return copy
    }

    // MARK: - Ending

    /// How long a silent connection may still bring a request that was under way when the drain began.
    private static let drainIdleNanoseconds: UInt64 = 1_000_000_000

    /// Of a client's connection between two requests.
    var idleTimeout: UInt64 {
        isDraining ? min(options.idleTimeout, Self.drainIdleNanoseconds) : options.idleTimeout
    }

    /// Lets exchanges in flight finish, each with `Connection: close` if its head is yet to go; `done` is called when
    /// no client is left.
    public func drain(done: @escaping () -> Void) {
        isDraining = true
        whenEmpty = done
        if openClients == 0 { return finishDrain() }
        forEachClient { client in
            if client.isIdle { loop.setDeadline(client, after: Self.drainIdleNanoseconds) }
        }
        http2?.forEachServer { $0.drain() }
    }

    /// Ends every client connection at once.
    public func closeAll() {
        isStopping = true
        forEachClient { $0.close() }
        http2?.forEachServer { $0.close() }
    }

    private func finishDrain() {
        pool.closeAll()
        http2?.forEachPool { $0.retireAll() }
        let done = whenEmpty
        whenEmpty = nil
        done?()
    }

    // MARK: - Clients

    func insert(_ client: ClientConnection) {
        client.next = newest
        newest?.previous = client
        newest = client
        clientOpened()
    }

    func clientOpened() { openClients += 1 }

    func remove(_ client: ClientConnection) {
        if let previous = client.previous { previous.next = client.next } else { newest = client.next }
        client.next?.previous = client.previous
        client.previous = nil
        client.next = nil
        clientClosed()
    }

    func clientClosed() {
        openClients -= 1
        if openClients == 0, whenEmpty != nil { finishDrain() }
    }

    private func forEachClient(_ body: (ClientConnection) -> Void) {
        var next = newest
        while let client = next {
            next = client.next
            body(client)
        }
    }

    // MARK: - HTTP/2

    /// Made for the first HTTP/2 connection; `nil`: out of memory.
    func http2Context() -> HTTP2Context? {
        if http2 == nil { http2 = HTTP2Context(options.http2) }
        return http2
    }

    /// Streams that the loop holds as if they were connections, without a descriptor each.
    public var streamsOpen: Int { streamClients }

    func streamOpened() { streamClients += 1 }

    func streamClosed() { streamClients -= 1 }

    // MARK: - Exchanges

    private static let mostSpares = 1024

    /// Not counted: the worker keeps it until `giveBack`, and to the end of the turn.
    func takeExchange() -> Unmanaged<Exchange> {
        guard let spare = firstSpare else { return .passRetained(Exchange(self)) }
        spare._withUnsafeGuaranteedRef {
            firstSpare = $0.nextSpare
            $0.nextSpare = nil
        }
        spares -= 1
        return spare
    }

    func giveBack(_ exchange: Exchange) {
        guard spares < Self.mostSpares else { return loop.releaseAfterTurn(Unmanaged.passUnretained(exchange)) }
        exchange.nextSpare = firstSpare
        firstSpare = .passUnretained(exchange)
        spares += 1
    }

    // MARK: - Uncounted

    // Calls on what the worker keeps anyway, without counting a reference for each.

    @inline(__always)
    func withBalancer<Result>(_ body: (Balancer) -> Result) -> Result {
        Unmanaged.passUnretained(balancer)._withUnsafeGuaranteedRef(body)
    }

    @inline(__always)
    func withPool<Result>(_ body: (InstancePool) -> Result) -> Result {
        Unmanaged.passUnretained(pool)._withUnsafeGuaranteedRef(body)
    }
}
