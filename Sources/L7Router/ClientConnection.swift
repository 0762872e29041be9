import HTTPCodec
import MeshCore
import NetAddress
import Reactor

/// A client's HTTP/1.1 connection: reads heads, starts exchanges one after another, writes answers.
///
/// States: between requests (no exchange; idle when no byte has come), in an exchange, lingering (everything is said;
/// what the client still sends is thrown away so that a reset does not destroy the answer), closed. While idle it
/// holds no buffer.
final class ClientConnection: Handler {
    let worker: HTTPWorker
    private(set) var binding: PortBinding
    private(set) var origin: ConnectionOrigin
    /// The peer is a trusted proxy: what it says of its clients is believed.
    private(set) var isTrusted: Bool
    /// Whether the client's side is encrypted.
    var isSecure = false
    /// Lines for instances that tell of the client's certificate; empty: it showed none.
    var certificate: [UInt8] = []
    /// It is one stream of an HTTP/2 connection: one request, and no linger.
    let isStream: Bool
    /// The first bytes may still turn out to be HTTP/2.
    private var mayBeHTTP2: Bool
    private(set) var transport: Transport
    var input = Pump()
    /// Bytes to the client that come before any run of the instance's pump: heads, and answers made here.
    var output = OutputBuffer()
    private var exchangeReference: Unmanaged<Exchange>?
    private var scan = HeadScan()
    var isReadable = false
    var isWritable = true
    /// The kernel has told of the client's end of stream; a read will find it.
    var sawPeerClose = false
    /// Urgent data has come: a short read does not say that the kernel has no more.
    private var sawUrgent = false
    /// A read has found it.
    private(set) var inputEnded = false
    /// When the first byte of a head that is not yet whole was there; 0: none is under way.
    private var headBegan: UInt64 = 0
    private var isProcessing = false
    private var isLingering = false
    unowned(unsafe) var previous: ClientConnection?
    unowned(unsafe) var next: ClientConnection?

    /// Bytes thrown away, and requests answered, in one turn at the most.
    private static let lingerBytes = 256 << 10
    private static let requestsPerTurn = 32
    private static let lingerNanoseconds: UInt64 = 2_000_000_000

    init(_ transport: Transport, _ origin: ConnectionOrigin, _ binding: PortBinding, _ worker: HTTPWorker) {
        self.transport = transport
        self.origin = origin
        self.binding = binding
        self.worker = worker
        isTrusted = worker.options.forwarding.trusts(origin.source.ip)
        isStream = false
        mayBeHTTP2 = true
        super.init()
        worker.insert(self)
    }

    /// For streams of HTTP/2, closed until the first `open`.
    init(stream worker: HTTPWorker) {
        transport = .none
        origin = ConnectionOrigin(SocketAddress(.anyV4, 0))
        binding = PortBinding(.web, port: 0)
        isTrusted = false
        self.worker = worker
        isStream = true
        mayBeHTTP2 = false
    }

    /// Begins anew with another stream.
    func open(_ stream: TransportLayer, of server: HTTP2Server) {
        transport = Transport(stream)
        origin = server.origin
        binding = server.binding
        isTrusted = server.isTrusted
        (isSecure, certificate) = (server.isSecure, server.certificate)
        scan.reset()
        (isReadable, isWritable, sawPeerClose, inputEnded) = (false, true, false, false)
        hasHeadDeadline = false
        headBegan = 0
        worker.loop.attach(self)
        worker.streamOpened()
    }

    /// Kept by the worker.
    var exchange: Exchange? { exchangeReference?.takeUnretainedValue() }
    private var isInExchange: Bool { exchangeReference != nil }
    /// The client's own address, also behind a trusted proxy.
    var peer: SocketAddress { origin.source }
    /// What an instance is told that asks for a PROXY header.
    var proxyHeader: ProxyHeader {
        let unknown = SocketAddress(peer.ip.isV4 ? .anyV4 : .anyV6, 0)
        let destination = origin.destination ?? transport.socket.localAddress() ?? unknown
        return .proxied(source: peer, destination: destination)
    }
    var isOpen: Bool { transport.isOpen }
    var isIdle: Bool { !isInExchange && !input.hasRaw && !isLingering && output.isEmpty }

    // MARK: - Events

    /// Takes over from a handshake that has heard events before.
    func begin(isReadable: Bool, sawPeerClose: Bool) {
        // What ALPN did not agree on is not spoken (RFC 9113 section 3.2).
        mayBeHTTP2 = false
        (self.isReadable, self.sawPeerClose) = (isReadable || sawPeerClose, sawPeerClose)
        if self.isReadable { processInput() }
    }

    override func ready(_ readiness: Readiness) {
        if readiness.contains(.error) { return hungUp() }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup]) { isReadable = true }
        if readiness.contains(.urgent) {
            sawUrgent = true
            isReadable = true
        }
        // A hangup without an error is the end of both ways: what the client sent before is still to be read.
        if !readiness.isDisjoint(with: [.peerClosed, .hangup]) { sawPeerClose = true }
        if readiness.contains(.writable), !isWritable {
            isWritable = true
            if let exchange { exchange.clientWritable() } else { flushAlone() }
        }
        guard isOpen, isReadable else { return }
        if isLingering {
            discardInput()
        } else if let exchange {
            exchange.clientReadable()
        } else {
            processInput()
        }
    }

    override func resume() {
        guard isOpen else { return }
        if isLingering { return discardInput() }
        if let exchange { exchange.resume() } else { processInput() }
    }

    override func deadlineReached() {
        guard isOpen else { return }
        if let exchange { return exchange.clientTimedOut() }
        if isLingering || !output.isEmpty || !input.hasRaw { return close() }
        worker.counters.timeouts += 1
        answer(.requestTimeout)
    }

    /// Reset: nobody hears an answer.
    private func hungUp() {
        if let exchange { exchange.clientGone() } else { close() }
    }

    // MARK: - Requests

    /// Starts exchanges for what has been received. Calls that come while it runs are its own exchanges ending.
    func processInput() {
        guard !isProcessing else { return }
        isProcessing = true
        defer { isProcessing = false }
        for _ in 0..<Self.requestsPerTurn {
            guard isOpen, !isInExchange, !isLingering, output.isEmpty else { return }
            guard input.hasRaw || receive() else { return }
            guard parseHead() else { return }
        }
        worker.loop.requeue(self)
    }

    /// Reads once. `false`: nothing new, and the connection waits or is closed.
    private func receive() -> Bool {
        guard isReadable else {
            input.releaseIfEmpty(worker.loop.buffers)
            return false
        }
        switch fillInput() {
        case .bytes: return true
        case .wouldBlock: input.releaseIfEmpty(worker.loop.buffers)
        case .end, .failed: close()
        case .noBuffer: answer(.overloaded)
        case .full: answer(ErrorResponse(.headTooLarge))
        }
        return false
    }

    /// Receives into the input and keeps the readiness flags.
    func fillInput() -> Pump.Fill {
        let result = input.fill(transport, worker.loop.buffers)
        switch result {
        case .bytes(let isDrained): if isDrained, !sawPeerClose, !sawUrgent { isReadable = false }
        case .wouldBlock:
            isReadable = false
            sawUrgent = false
        case .end:
            inputEnded = true
            isReadable = false
        default: break
        }
        return result
    }

    /// Parses one head from the input. `false`: it is not whole, or the connection is past requests.
    private func parseHead() -> Bool {
        let limits = worker.options.limits
        let raw = input.raw
        if mayBeHTTP2 {
            switch HTTP2Preface.look(at: raw) {
            case .begun: return awaitMore()
            case .whole:
                becomeHTTP2()
                return false
            case .other: mayBeHTTP2 = false
            }
        }
        guard scan.isWorthParsing(raw, limitBytes: limits.headBytes) else { return awaitMore() }
        switch worker.requestHead.parse(raw, limits: limits, fields: &worker.trailers.fields) {
        case .incomplete: return awaitMore()
        case .malformed(let error):
            refuse(error)
            return false
        case .complete(let length):
            scan.reset()
            worker.loop.clearDeadline(self)
            let exchange = worker.takeExchange()
            exchangeReference = exchange
            let began = headBegan == 0 ? worker.loop.nowNanoseconds : headBegan
            headBegan = 0
            exchange._withUnsafeGuaranteedRef { $0.start(self, headLength: length, began: began) }
            return true
        }
    }

    private func becomeHTTP2() {
        let (transport, isReadable) = (transport, isReadable)
        self.transport = .none
        // Another is counted for it before this one is not.
        worker.serveHTTP2(
            transport, origin, binding, replacing: self, isSecure: isSecure, isReadable: isReadable || sawPeerClose,
            received: input.raw)
        input.release(worker.loop.buffers)
        worker.remove(self)
    }

    private func awaitMore() -> Bool {
        if headBegan == 0, input.hasRaw { headBegan = worker.loop.nowNanoseconds }
        if isReadable {
            guard receive() else { return false }
            return parseHead()
        }
        if inputEnded {
            close()
        } else if !hasHeadDeadline {
            hasHeadDeadline = true
            worker.loop.setDeadline(self, after: worker.options.headTimeout)
        }
        return false
    }

    /// Whether the deadline already is the one of a head under way: more bytes do not move it.
    private var hasHeadDeadline = true

    /// An exchange is over and its answer handed to the kernel.
    ///
    /// - Parameter clientCloses: the client itself said that this was its last request.
    func exchangeEnded(keepAlive: Bool, clientCloses: Bool) {
        exchangeReference = nil
        if isStream { return close() }
        guard keepAlive else {
            guard clientCloses, !input.hasRaw, !isReadable else { return finish() }
            // Nothing is to come. Where something comes all the same, as the line end that some clients put behind a
            // body, closing resets the connection, which throws away what has not been sent: so it goes first.
            transport.shutdownWrite()
            return close()
        }
        hasHeadDeadline = false
        input.releaseIfEmpty(worker.loop.buffers)
        worker.loop.setDeadline(self, after: worker.idleTimeout)
        if input.hasRaw || isReadable { processInput() }
    }

    // MARK: - Answers made here

    /// Answers a request whose head cannot be one.
    func refuse(_ error: MessageError, _ notes: ExchangeNotes = ExchangeNotes()) {
        worker.counters.requests += 1
        worker.counters.malformedRequests += 1
        answer(ErrorResponse(error), notes)
    }

    /// Answers without an exchange, then ends the connection.
    func answer(_ response: ErrorResponse, _ notes: ExchangeNotes = ExchangeNotes()) {
        guard let made = output.append(response, .init(closes: true, isHead: false), worker.loop.buffers) else {
            return close()
        }
        worker.counters.madeHere += 1
        worker.counters.countResponse(made.answer.status)
        logAnswer(made.answer, notes)
        flushAlone()
    }

    /// A line for what was no request.
    private func logAnswer(_ answer: ErrorResponse, _ notes: ExchangeNotes) {
        guard let log = worker.accessLog else { return }
        let now = MonotonicClock.nowNanoseconds()
        var entry = AccessEntry(
            peer: peer, client: peer.ip, version: isStream ? .http2 : .http11, status: answer.status,
            endNanoseconds: now, reason: answer.cause)
        entry.times.headBegan = headBegan == 0 ? worker.loop.nowNanoseconds : headBegan
        entry.bytesIn = UInt64(input.raw.count)
        entry.bytesOut = UInt64(output.bytes.count)
        entry.bodyBytesOut = UInt64(answer.bodyLength)
        log.append(entry, notes)
    }

    private func flushAlone() {
        guard !output.isEmpty else { return }
        var sent: UInt64 = 0
        let flushed = output.flush(transport, worker.loop.buffers, &sent)
        worker.counters.bytesToClients &+= sent
        switch flushed {
        case .done: finish()
        case .blocked:
            isWritable = false
            worker.loop.setDeadline(self, after: worker.options.bodyTimeout)
        case .failed: close()
        }
    }

    // MARK: - End

    /// Ends the connection in order: says that nothing more comes, then waits a little for the client to end its side.
    func finish() {
        guard isOpen else { return }
        if isStream { return close() }
        transport.shutdownWrite()
        if inputEnded { return close() }
        isLingering = true
        input.release(worker.loop.buffers)
        worker.loop.setDeadline(self, after: Self.lingerNanoseconds)
        if isReadable { discardInput() }
    }

    private func discardInput() {
        var discarded = 0
        while discarded < Self.lingerBytes {
            switch transport.discard() {
            // Ended or failed.
            case .count(0), .failed: return close()
            case .count(let count): discarded += count
            case .wouldBlock:
                isReadable = false
                return
            }
        }
        // A client that goes on sending is heard out, until the linger time has passed.
        worker.loop.requeue(self)
    }

    /// Ends the connection at once.
    func close() {
        guard isOpen else { return }
        worker.loop.detach(self)
        transport.close()
        transport = .none
        input.release(worker.loop.buffers)
        output.release(worker.loop.buffers)
        if let exchange {
            exchangeReference = nil
            exchange.abandon()
        }
        if isStream { worker.streamClosed() } else { worker.remove(self) }
    }

    /// Ends the connection so that the client cannot take a cut answer for a whole one.
    func reset() {
        transport.resetOnClose()
        close()
    }
}
