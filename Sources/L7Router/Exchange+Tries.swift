import HTTPCodec
import MeshCore
import NetAddress
import Reactor

// Choosing an instance, and choosing another one.

extension Exchange {
    /// Picks an instance and gets a connection to it: a pooled one, or a fresh one.
    func connect(_ client: ClientConnection) {
        let session = ticket?.instance ?? 0
        let found = worker.withBalancer { $0.pick(pool, tried: tried, client: client.peer.ip, session: session) }
        guard let picked = found else {
            return refuse(dials == 0 && repeats == 0 ? .noInstance : lastFailure)
        }
        choose(picked)
        if picked.speaks != .http1 { return openStream(client, picked) }
        guard proxyVersion == nil, let pooled = takePooled(picked) else { return dial(picked) }
        pooled._withUnsafeGuaranteedRef { pooled in
            instance = pooled
            pooled.exchange = self
            times.connected = loop.nowNanoseconds
            // Until the request is out the instance owes nothing.
            sendRequest(client, pooled)
        }
    }

    private func choose(_ picked: Endpoint) {
        if let endpoint { worker.balancer.ended(endpoint) }
        endpoint = picked
        picks += 1
        (times.picked, times.connected, times.firstByte) = (loop.nowNanoseconds, 0, 0)
        worker.balancer.began(picked)
    }

    /// A pooled connection. What must not be sent twice only goes on one that the instance has not closed meanwhile.
    private func takePooled(_ picked: Endpoint) -> Unmanaged<InstanceConnection>? {
        let tls = worker.withBalancer { $0.upstreamTLS(pool) }
        while let pooled = worker.withPool({ $0.take(picked) }) {
            let isGood = pooled._withUnsafeGuaranteedRef { pooled in
                // The service's label may have changed since.
                pooled.tls == tls && (method.isIdempotent && isReplayable || !pooled.isStale)
            }
            if isGood { return pooled }
            pooled._withUnsafeGuaranteedRef { $0.close() }
        }
        return nil
    }

    private func dial(_ picked: Endpoint) {
        dials += 1
        let socket: Socket
        do {
            socket = try Socket.dial(picked.address)
        } catch {
            return dialRefused(error)
        }
        guard let connection = makeConnection(socket, picked) else {
            socket.close()
            return refuse(.noTLS)
        }
        do {
            try loop.attach(connection, socket)
        } catch {
            connection.close()
            return dialRefused(error)
        }
        instance = connection
        connection.exchange = self
        loop.setDeadline(connection, after: dialTimeout)
    }

    /// `nil`: the service is spoken to over TLS, and there is no context for it. It is never spoken to in clear
    /// instead.
    private func makeConnection(_ socket: Socket, _ picked: Endpoint) -> InstanceConnection? {
        guard let tls = worker.balancer.upstreamTLS(pool) else {
            return InstanceConnection(Transport(socket), picked, worker)
        }
        let key = HTTPWorker.sessionKey(picked, tls)
        guard let context = worker.instanceTLS[tls],
            let layer = TLSLayer(to: socket, context, name: tls.serverName, sessionKey: key, worker.tlsEngine)
        else { return nil }
        return InstanceConnection(layer, tls, context, picked, worker)
    }

    /// The same with an instance that speaks HTTP/2.
    private func openStream(_ client: ClientConnection, _ picked: Endpoint) {
        // The instance would never see the key: what it says of the handshake is ours to say.
        if asksWebSocket, !hasWebSocketKey { return refuse(ErrorResponse(.badWebSocketKey)) }
        let connection: InstanceConnection
        do {
            let tls = worker.balancer.upstreamTLS(pool)
            let isOnce = !(method.isIdempotent && isReplayable)
            switch try worker.openStream(picked, tls, isTunnel: asksWebSocket, isOnce: isOnce) {
            case .opened(let opened): connection = opened
            case .full: return noStreamLeft()
            case .noTLS: return refuse(.noTLS)
            }
        } catch {
            dials += 1
            return dialRefused(error)
        }
        instance = connection
        connection.exchange = self
        if connection.state == .active {
            times.connected = loop.nowNanoseconds
            return sendRequest(client, connection)
        }
        dials += 1
        loop.setDeadline(connection, after: dialTimeout)
    }

    // MARK: - Failures

    func dialFailed(_ error: SystemError) {
        dropInstance()
        dialRefused(error)
    }

    /// Nothing was sent, so any request may go elsewhere.
    private func dialRefused(_ error: SystemError) {
        guard let client, let endpoint else { return }
        worker.counters.dialFailures += 1
        // A shortage of our own says nothing about the instance.
        if let shortage = error.shortage {
            worker.counters.shortages.count(shortage)
        } else {
            worker.dialed(endpoint, error)
        }
        lastFailure = Self.answer(error)
        tried.insert(endpoint.id)
        guard dials < worker.options.dialAttempts else { return refuse(lastFailure) }
        connect(client)
    }

    /// The instance speaks HTTP/2 and takes no WebSockets over it. Another one may: they need not be of one version.
    func tunnelRefused() {
        guard let client, let endpoint else { return }
        dropInstance()
        lastFailure = .noTunnels
        tried.insert(endpoint.id)
        guard dials < worker.options.dialAttempts else { return refuse(lastFailure) }
        connect(client)
    }

    /// The instance speaks HTTP/2 and has no stream left for another tunnel. Another one may have.
    private func noStreamLeft() {
        guard let client, let endpoint else { return }
        dials += 1
        lastFailure = .noStreams
        tried.insert(endpoint.id)
        guard dials < worker.options.dialAttempts else { return refuse(lastFailure) }
        connect(client)
    }

    /// A fresh connection has fewer streams than tunnels that came for it. Now it is known how many the next one has.
    func crowdedOut() {
        guard let client else { return }
        dropInstance()
        lastFailure = .noStreams
        guard dials < worker.options.dialAttempts else { return refuse(lastFailure) }
        connect(client)
    }

    /// The connection broke before the response's head. The request may go elsewhere if it never reached the instance,
    /// or if it may be repeated and is still here as a whole.
    func instanceFailed(_ error: SystemError) {
        guard let instance else { return }
        guard response == .awaited else { return cutBroken(instance) }
        if instance.isMalformed {
            worker.counters.malformedResponses += 1
            return refuse(.malformed)
        }
        let gotBytes = instance.input.hasRaw
        let wasReused = instance.isReused
        let hasRefused = instance.hasRefused
        if hasRefused { requestIsBegun = false }
        dropInstance()
        lastFailure = .connectionTerminated
        let mayRepeat = isReplayable && !gotBytes && (!requestIsBegun || method.isIdempotent)
        guard mayRepeat, repeats < worker.options.retries, client?.output.isEmpty == true else {
            return refuse(.connectionTerminated)
        }
        // A pooled connection that the instance had closed says nothing against the instance, but its like are as old.
        if let endpoint, !hasRefused {
            if wasReused { worker.pool.close(endpoint) } else { tried.insert(endpoint.id) }
        }
        sendAgain()
    }

    /// Sends the request once more. It may take as many dials as the first time.
    private func sendAgain() {
        guard let client else { return }
        repeats += 1
        dials = 0
        worker.counters.retries += 1
        (requestIsBegun, requestIsSent, requestIsBroken) = (false, false, false)
        request.rewind()
        connect(client)
    }

    private static func answer(_ error: SystemError) -> ErrorResponse {
        if let shortage = error.shortage { return .shortage(shortage) }
        return switch error.code {
        case SystemError.timedOut: .connectionTimeout
        case SystemError.distrusted: .distrusted
        case SystemError.brokenProtocol: .tlsFailed
        case SystemError.connectionRefused, SystemError.connectionReset: .connectionRefused
        default: .connectionFailed
        }
    }
}
