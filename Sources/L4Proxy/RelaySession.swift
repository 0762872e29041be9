import MeshCore
import NetAddress
import Reactor

/// A relayed TCP connection: dialling (the client waits in its kernel buffers), relaying both ways, each way ended on
/// its own, closed. While idle it holds no buffer and no pipe.
final class RelaySession {
    private static let lookNanoseconds: UInt64 = 10_000_000_000

    private let worker: RelayWorker
    private let pool: Int32
    private let origin: ConnectionOrigin
    private let client: RelayEnd
    private var instance: RelayEnd?
    private var endpoint: Endpoint?
    private var isConnected = false
    private var isKeptAlive = false
    private var isClosed = false
    private var tried = TriedEndpoints()
    private var dials = 0
    /// In nanoseconds; 0: none.
    private let idleTimeout: UInt64
    private var upward = Direction()
    private var downward = Direction()
    unowned(unsafe) var previous: RelaySession?
    unowned(unsafe) var next: RelaySession?

    init(_ socket: Socket, _ origin: ConnectionOrigin, pool: Int32, _ worker: RelayWorker) {
        self.worker = worker
        self.pool = pool
        self.origin = origin
        idleTimeout = worker.balancer.tcpIdleNanoseconds(pool) ?? worker.options.idleTimeout
        client = RelayEnd(accepted: socket)
        client.session = .passUnretained(self)
        worker.insert(self)
        // The session keeps itself until it is closed: its ends and the worker's list only point at it.
        _ = Unmanaged.passRetained(self)
    }

    func start() {
        guard (try? worker.loop.attach(client, client.socket)) != nil else { return close() }
        dial()
    }

    func start(replacing handler: Handler, sawPeerClose: Bool) {
        worker.loop.handOver(from: handler, to: client)
        client.begin(sawPeerClose: sawPeerClose)
        dial()
    }

    // MARK: - Dialling

    private func dial() {
        guard dials < worker.options.dialAttempts,
            let picked = worker.balancer.pick(pool, tried: tried, client: origin.source.ip)
        else {
            worker.counters.sessionsRefused += 1
            return reset()
        }
        dials += 1
        tried.insert(picked.id)
        if let endpoint { worker.balancer.ended(endpoint, .sessions) }
        endpoint = picked
        worker.balancer.began(picked, .sessions)
        do {
            let end = RelayEnd(dialled: try Socket.dial(picked.address, noDelay: false))
            end.session = .passUnretained(self)
            instance = end
            try worker.loop.attach(end, end.socket)
            worker.loop.setDeadline(end, after: worker.options.connectTimeout)
        } catch {
            dialFailed(error)
        }
    }

    private func dialFailed(_ error: SystemError) {
        worker.counters.dialFailures += 1
        if let shortage = error.shortage {
            worker.counters.shortages.count(shortage)
        } else if let endpoint {
            worker.dialed(endpoint, error)
        }
        instance?.close(worker.loop)
        instance = nil
        dial()
    }

    private func connected(_ end: RelayEnd, _ readiness: Readiness) {
        guard readiness.isDisjoint(with: [.error, .hangup]) else {
            let code = end.socket.takeError()
            return dialFailed(SystemError("connect", code == 0 ? SystemError.connectionReset : code))
        }
        guard readiness.contains(.writable) else { return }
        isConnected = true
        end.isWritable = true
        // Most sessions end before a dead instance could be noticed: they need not pay for keepalive.
        worker.loop.setDeadline(end, after: Self.lookNanoseconds)
        if let endpoint { worker.dialed(endpoint, nil) }
        if let version = worker.balancer.proxyVersion(pool), !introduce(version) {
            worker.counters.resets += 1
            return reset()
        }
        touch()
        pump()
    }

    /// Puts the PROXY header before the client's bytes. `false`: no buffer.
    private func introduce(_ version: ProxyVersion) -> Bool {
        let unknown = SocketAddress(origin.source.ip.isV4 ? .anyV4 : .anyV6, 0)
        let destination = origin.destination ?? client.socket.localAddress() ?? unknown
        let header = ProxyHeader.proxied(source: origin.source, destination: destination)
        return upward.begin(worker) { header.write(version, to: $0) }
    }

    // MARK: - Relaying

    func ready(_ end: RelayEnd, _ readiness: Readiness) {
        guard isConnected else {
            if end !== client { connected(end, readiness) } else if readiness.contains(.hangup) { close() }
            return
        }
        let wasBlocked = !end.isWritable && readiness.contains(.writable)
        if wasBlocked { end.isWritable = true }
        touch()
        // Only the ways that this can have moved: away from an end that has bytes, towards one that takes them again.
        let isClient = end === client
        if isClient ? end.isReadable : wasBlocked {
            guard pumpUp() else { return }
        }
        if isClient ? wasBlocked : end.isReadable { _ = pumpDown() }
    }

    func timedOut(_ end: RelayEnd) {
        guard isConnected else { return dialFailed(SystemError("connect", SystemError.timedOut)) }
        if end !== client { return look(end) }
        worker.counters.idleTimeouts += 1
        close()
    }

    /// Who goes without a word, because a machine or the way to it is gone, says no end. Keepalive finds that only
    /// while nothing waits to be acknowledged.
    private func look(_ instance: RelayEnd) {
        let isInstanceLost = instance.isOwing && instance.socket.isUnanswered
        if isInstanceLost || client.isOwing && client.socket.isUnanswered {
            worker.counters.unanswered += 1
            if isInstanceLost, let endpoint { worker.dialed(endpoint, SystemError("send", SystemError.timedOut)) }
            return reset()
        }
        if !isKeptAlive { instance.socket.keepAlive() }
        isKeptAlive = true
        worker.loop.setDeadline(instance, after: Self.lookNanoseconds)
    }

    private func touch() {
        guard idleTimeout > 0 else { return }
        worker.loop.setDeadline(client, after: idleTimeout)
    }

    /// Moves bytes both ways as far as they go.
    func pump() {
        guard isConnected, !isClosed, pumpUp() else { return }
        _ = pumpDown()
    }

    /// `false`: the session is over.
    private func pumpUp() -> Bool {
        withEnds { client, instance, worker in
            finish(upward.pump(from: client, to: instance, worker, &worker.counters.bytesFromClients), instance)
        }
    }

    /// `false`: the session is over.
    private func pumpDown() -> Bool {
        withEnds { client, instance, worker in
            finish(downward.pump(from: instance, to: client, worker, &worker.counters.bytesToClients), client)
        }
    }

    /// Both ends and the worker, uncounted: the loop holds each end until the turn is over, also one that is closed
    /// in it. Counting them was a third of what a relayed message costs outside the kernel.
    @inline(__always)
    private func withEnds(_ body: (_ client: RelayEnd, _ instance: RelayEnd, _ worker: RelayWorker) -> Bool) -> Bool {
        guard let instance else { return false }
        return Unmanaged.passUnretained(instance)._withUnsafeGuaranteedRef { instance in
            Unmanaged.passUnretained(client)._withUnsafeGuaranteedRef { client in
                Unmanaged.passUnretained(worker)._withUnsafeGuaranteedRef { worker in body(client, instance, worker) }
            }
        }
    }

    /// `false`: the session is over.
    private func finish(_ outcome: Direction.Outcome, _ sink: RelayEnd) -> Bool {
        switch outcome {
        case .waiting: return true
        case .again: worker.loop.requeue(client)
        case .ended:
            // When both ways have ended, closing says so, too.
            guard upward.isEnded, downward.isEnded else {
                sink.socket.shutdownWrite()
                return true
            }
            close()
            return false
        case .failed:
            worker.counters.resets += 1
            reset()
            return false
        }
        return true
    }

    // MARK: - End

    /// Ends both sides so that neither takes what it got for the whole.
    private func reset() {
        client.socket.resetOnClose()
        instance?.socket.resetOnClose()
        close()
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        upward.release(worker)
        downward.release(worker)
        if let endpoint { worker.balancer.ended(endpoint, .sessions) }
        client.close(worker.loop)
        instance?.close(worker.loop)
        worker.remove(self)
        worker.loop.releaseAfterTurn(Unmanaged.passUnretained(self))
    }
}
