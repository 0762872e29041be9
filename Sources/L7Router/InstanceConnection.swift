import HTTPCodec
import MeshCore
import NetAddress
import Reactor

/// A connection to an instance: dialled for an exchange, kept in the pool between exchanges.
final class InstanceConnection: Handler {
    enum State {
        case connecting, shakingHands, active, idle, closed
    }

    let worker: HTTPWorker
    let endpoint: Endpoint
    private(set) var transport: Transport
    /// How TLS was begun; `nil`: in clear.
    let tls: UpstreamTLS?
    /// Who was trusted then.
    private let trust: TLSClientContext?
    private var handshake: TLSLayer?
    /// It is one stream of an HTTP/2 connection: one exchange.
    private unowned(unsafe) let stream: HTTP2InstanceStream?
    private(set) var state = State.connecting
    /// It has served an exchange before.
    private(set) var isReused = false
    var input = Pump()
    var isReadable = false
    var isWritable = false
    private(set) var sawPeerClose = false
    /// Urgent data has come: a short read does not say that the kernel has no more.
    private var sawUrgent = false
    private(set) var inputEnded = false
    private var isKeptAlive = false
    private var exchangeReference: Unmanaged<Exchange>?
    /// Neighbours in the pool's list of idle connections.
    var newer: Unmanaged<InstanceConnection>?
    var older: Unmanaged<InstanceConnection>?

    /// Over TLS: the handshake follows the connection, in the same time.
    convenience init(
        _ layer: TLSLayer, _ tls: UpstreamTLS, _ trust: TLSClientContext, _ endpoint: Endpoint, _ worker: HTTPWorker
    ) {
        self.init(Transport(layer, over: layer.socket), endpoint, worker, tls, trust)
        handshake = layer
    }

    init(
        _ transport: Transport, _ endpoint: Endpoint, _ worker: HTTPWorker, _ tls: UpstreamTLS? = nil,
        _ trust: TLSClientContext? = nil
    ) {
        self.transport = transport
        (self.tls, self.trust) = (tls, trust)
        self.endpoint = endpoint
        self.worker = worker
        stream = nil
        worker.counters.instanceConnectionsOpened += 1
        worker.counters.instanceConnectionsOpen += 1
    }

    /// A stream of a connection that other exchanges use, too.
    init(_ stream: HTTP2InstanceStream, _ endpoint: Endpoint, _ worker: HTTPWorker, isConnected: Bool) {
        transport = Transport(stream)
        (tls, trust) = (nil, nil)
        self.endpoint = endpoint
        self.worker = worker
        self.stream = stream
        guard isConnected else { return }
        (state, isWritable, isReused) = (.active, true, true)
    }

    /// Kept by its worker; one that is over is no connection's.
    var exchange: Exchange? {
        get { exchangeReference?.takeUnretainedValue() }
        set { exchangeReference = newValue.map { .passUnretained($0) } }
    }

    /// The instance did nothing for the request, and says so (RFC 9113 section 8.7).
    var hasRefused: Bool { stream?.isRefused ?? false }

    /// What it sent breaks HTTP/2, which alone tells so by breaking off.
    var isMalformed: Bool { stream?.isBroken ?? false }

    // MARK: - Events

    override func ready(_ readiness: Readiness) {
        switch state {
        case .connecting: connected(readiness)
        case .shakingHands: shakeHands()
        case .active: active(readiness)
        case .idle: close()  // It closed, or sent what nobody asked for.
        case .closed: break
        }
    }

    private func connected(_ readiness: Readiness) {
        guard readiness.contains(.writable) || !readiness.isDisjoint(with: [.error, .hangup]) else { return }
        if let stream, stream.isTunnelRefused || stream.isCrowdedOut {
            if stream.isTunnelRefused { exchange?.tunnelRefused() } else { exchange?.crowdedOut() }
            return
        }
        let code = readiness.isDisjoint(with: [.error, .hangup]) ? 0 : stream?.failure ?? transport.socket.takeError()
        guard code == 0, readiness.isDisjoint(with: [.error, .hangup]) else {
            exchange?.dialFailed(SystemError("connect", code == 0 ? SystemError.connectionReset : code))
            return
        }
        guard handshake == nil else {
            state = .shakingHands
            return shakeHands()
        }
        state = .active
        isWritable = true
        worker.loop.clearDeadline(self)
        exchange?.instanceConnected()
        if state == .active, readiness.contains(.readable) { active(readiness) }
    }

    private func shakeHands() {
        guard let layer = handshake else { return }
        switch layer.shakeHands() {
        case .waiting: break
        case .closed: exchange?.dialFailed(SystemError("TLS", SystemError.connectionReset))
        case .failed(let reason):
            Log.debug("TLS handshake with an instance failed", ["instance": "\(endpoint.address)", "reason": reason])
            let code = layer.isPeerDistrusted ? SystemError.distrusted : SystemError.brokenProtocol
            exchange?.dialFailed(SystemError("TLS", code))
        case .done:
            handshake = nil
            state = .active
            isWritable = true
            worker.loop.clearDeadline(self)
            exchange?.instanceConnected()
            if layer.mayHaveBytes, state == .active {
                isReadable = true
                exchange?.instanceReadable(self)
            }
        }
    }

    private func active(_ readiness: Readiness) {
        if readiness.contains(.readable) || readiness.contains(.peerClosed) { isReadable = true }
        if readiness.contains(.urgent) {
            sawUrgent = true
            isReadable = true
        }
        if !readiness.isDisjoint(with: [.peerClosed, .error, .hangup]) {
            sawPeerClose = true
            isReadable = true
        }
        if readiness.contains(.writable), !isWritable {
            isWritable = true
            exchange?.instanceWritable()
        }
        // Uncounted: what the worker gives up is released when the turn is over.
        if state == .active, isReadable { exchangeReference?._withUnsafeGuaranteedRef { $0.instanceReadable(self) } }
    }

    override func resume() {
        if state == .active { exchange?.resume() }
    }

    override func deadlineReached() {
        switch state {
        case .connecting, .shakingHands: exchange?.dialTimedOut()
        case .active: exchange?.instanceTimedOut()
        case .idle: close()
        case .closed: break
        }
    }

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

    // MARK: - Signs of life

    /// Whether the instance's machine acknowledges nothing any more. Costs a system call.
    var isUnanswered: Bool { stream?.connection?.transport.isUnanswered ?? transport.isUnanswered }

    /// Has the kernel ask whether the instance is there while nothing is sent. Most exchanges end before.
    func keepAlive() {
        guard !isKeptAlive else { return }
        isKeptAlive = true
        stream?.connection?.transport.keepAlive()
        transport.keepAlive()
    }

    /// Ends the connection that this is a stream of, with all streams on it. `false`: it is none.
    func giveUp() -> Bool {
        guard let connection = stream?.connection else { return false }
        connection.close()
        return true
    }

    // MARK: - Pool

    /// Serves an exchange again.
    func reuse() {
        state = .active
        isReused = true
        // The deadline of its idleness.
        worker.loop.clearDeadline(self)
    }

    /// Goes back to the pool, or is closed where it cannot serve another exchange.
    func rest() {
        exchangeReference = nil
        if stream != nil { return close() }
        guard state == .active, !sawPeerClose, !input.hasRaw, isTrusted,
            worker.withBalancer({ $0.mayKeepConnections(endpoint) }), !isReadable || !isStale
        else { return close() }
        isReadable = false
        input.release(worker.loop.buffers)
        guard worker.withPool({ $0.insert(self) }) else { return close() }
        state = .idle
        worker.loop.setDeadline(self, after: worker.options.instanceIdleTimeout)
    }

    /// Whether the authorities that verified the instance are still the ones in force.
    var isTrusted: Bool { worker.trusts(tls, trust) }

    /// Whether the instance has closed meanwhile, though no event has told so yet. Costs a system call.
    var isStale: Bool { transport.hasPendingEnd() }

    func close() {
        guard state != .closed else { return }
        if state == .idle { worker.pool.remove(self) }
        state = .closed
        exchangeReference = nil
        worker.loop.detach(self)
        transport.close()
        transport = .none
        input.release(worker.loop.buffers)
        if stream != nil { worker.streamClosed() } else { worker.counters.instanceConnectionsOpen -= 1 }
    }
}
