import HTTPCodec
import MeshCore
import Reactor

// After an upgrade: bytes both ways, each side ended on its own.

extension Exchange {
    func noteWebSocket(_ head: RequestHead, _ base: UnsafeRawPointer) {
        asksWebSocket = head.asksWebSocket(worker.trailers.fields, in: base)
        let key = worker.trailers.fields.only(.secWebSocketKey, in: base)
        hasWebSocketKey = key.map(WebSocketKey.isWellFormed) ?? false
    }

    /// What is wrong with an answer to an upgrade; `nil`: nothing. An HTTP/1.1 client judges the handshake itself; for
    /// one of HTTP/2 it was made here (RFC 8441 section 5).
    func upgradeFault(
        _ client: ClientConnection, _ head: ResponseHead, _ base: UnsafeRawPointer
    ) -> ErrorResponse? {
        if head.status == 101, !asksUpgrade || !head.options.contains(.upgrade) { return .badUpgrade }
        guard asksUpgrade, client.isStream, head.status == 101 || head.status / 100 == 2 else { return nil }
        // Any success would tell the client that the tunnel stands.
        guard head.status == 101 else { return .notUpgraded }
        guard let accept = (client.transport.layer as? HTTP2RequestStream)?.accept,
            head.answers(accept, worker.trailers.fields, in: base)
        else { return .badAccept }
        return nil
    }

    func beginTunnel() {
        worker.counters.upgrades += 1
        if let endpoint { worker.balancer.becameTunnel(endpoint) }
        response = .tunnel
        requestBody = BodyDecoder(.untilClose)
        responseBody = BodyDecoder(.untilClose)
        clientKeepsAlive = false
        instance?.transport.keepAlive()
        pumpTunnel()
    }

    func pumpTunnel() {
        guard let client, let instance else { return }
        setTunnelDeadline(client, instance)
        guard flushOutput(client) else { return }
        guard pumpToInstance(client, instance), !isOver else { return }
        guard pumpToClient(client, instance), !isOver else { return }
        guard tunnelClientEnded && tunnelInstanceEnded else { return }
        reason = .ok
        client.close()
    }

    private func setTunnelDeadline(_ client: ClientConnection, _ instance: InstanceConnection) {
        loop.clearDeadline(client)
        loop.clearDeadline(instance)
        if worker.options.tunnelIdleTimeout > 0 { loop.setDeadline(instance, after: worker.options.tunnelIdleTimeout) }
    }

    /// Nobody has said anything for the tunnel's idle time.
    func tunnelTimedOut() {
        worker.counters.tunnelIdleTimeouts += 1
        reason = .tunnelIdleTimeout
        client?.transport.shutdownWrite()
        client?.close()
    }

    /// The head of the 101 goes out before anything else. `false`: it has to wait, or the client is gone.
    private func flushOutput(_ client: ClientConnection) -> Bool {
        guard !client.output.isEmpty else { return true }
        guard client.isWritable else { return false }
        switch flushClientOutput(client) {
        case .done: return true
        case .blocked: client.isWritable = false
        case .failed: client.close()
        }
        return false
    }

    /// `false`: the tunnel is over.
    private func pumpToInstance(_ client: ClientConnection, _ instance: InstanceConnection) -> Bool {
        var moved = 0
        while !tunnelClientEnded {
            if !client.input.hasRun { _ = decodeRequest(client, asChunks: false) }
            while client.input.hasRun {
                guard instance.isWritable else { return true }
                let run = client.input.run
                guard case .count(let count) = relay(run, to: instance.transport, &instance.isWritable) else {
                    return endTunnel(.connectionTerminated)
                }
                client.input.consumeRun(count)
                moved += count
                worker.counters.bytesFromClients &+= UInt64(count)
            }
            guard client.isReadable else { return release(&client.input) }
            guard moved < Self.turnBytes else {
                loop.requeue(client)
                return true
            }
            switch client.fillInput() {
            case .bytes: break
            case .wouldBlock: return release(&client.input)
            case .end:
                tunnelClientEnded = true
                instance.transport.shutdownWrite()
                return release(&client.input)
            case .failed: return endTunnel(.clientAbort)
            case .noBuffer, .full: return endTunnel(.internalResponse)
            }
        }
        return true
    }

    /// `false`: the tunnel is over.
    private func pumpToClient(_ client: ClientConnection, _ instance: InstanceConnection) -> Bool {
        var moved = 0
        while !tunnelInstanceEnded {
            if !instance.input.hasRun { _ = instance.input.decode(&responseBody, asChunks: false, &worker.trailers) }
            while instance.input.hasRun {
                guard client.isWritable else { return true }
                let run = instance.input.run
                guard case .count(let count) = relay(run, to: client.transport, &client.isWritable) else {
                    return endTunnel(.clientAbort)
                }
                instance.input.consumeRun(count)
                moved += count
                worker.counters.bytesToClients &+= UInt64(count)
                bytesOut &+= UInt64(count)
            }
            guard instance.isReadable else { return release(&instance.input) }
            guard moved < Self.turnBytes else {
                loop.requeue(client)
                return true
            }
            switch instance.fillInput() {
            case .bytes: break
            case .wouldBlock: return release(&instance.input)
            case .end:
                tunnelInstanceEnded = true
                client.transport.shutdownWrite()
                return release(&instance.input)
            case .failed: return endTunnel(.connectionTerminated)
            case .noBuffer, .full: return endTunnel(.internalResponse)
            }
        }
        return true
    }

    /// Sends once; a full socket is 0 bytes and no longer writable.
    private func relay(_ run: UnsafeRawBufferPointer, to transport: Transport, _ isWritable: inout Bool) -> IOResult {
        let result = transport.send(run.baseAddress!, run.count)
        if case .wouldBlock = result {
            isWritable = false
            return .count(0)
        }
        if case .count(let count) = result, count < run.count { isWritable = false }
        return result
    }

    private func release(_ input: inout Pump) -> Bool {
        input.releaseIfEmpty(buffers)
        return true
    }

    private func endTunnel(_ cause: EndReason) -> Bool {
        reason = reason ?? cause
        client?.reset()
        return false
    }
}
