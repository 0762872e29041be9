import HTTPCodec
import Reactor

// The request's way: client's input → instance's socket.

extension Exchange {
    /// Takes what has already come of the body into the request buffer, where it fits: one send, and it can be
    /// repeated.
    func takeEarlyBody(_ client: ClientConnection) {
        while !requestBody.isFinished, client.input.hasRaw {
            switch decodeRequest(client, asChunks: requestIsChunked) {
            case .malformed(let error): return refuseBody(error)
            case .needsMore:
                isReplayable = false
                return
            case .progress, .finished: break
            }
            worker.counters.bytesFromClients &+= UInt64(client.input.run.count)
            guard client.input.hasRun else { continue }
            guard request.absorb(client.input.run) else {
                isReplayable = false
                return
            }
            client.input.consumeRun(client.input.run.count)
        }
        if !requestBody.isFinished { isReplayable = false }
    }

    /// A body that breaks its framing: nobody knows where the next request begins.
    private func refuseBody(_ error: MessageError) {
        worker.counters.malformedRequests += 1
        clientKeepsAlive = false
        if response == .awaited, status == 0 { refuse(ErrorResponse(error)) } else { cutResponse(.requestError) }
    }

    func instanceConnected() {
        times.connected = loop.nowNanoseconds
        if let endpoint { worker.dialed(endpoint, nil) }
        if let client, let instance { sendRequest(client, instance) }
    }

    func instanceWritable() {
        if response == .tunnel { return pumpTunnel() }
        guard !requestIsSent, let client, let instance else { return }
        // It was waited for, and is not any more. A response under way has its own time.
        if response == .awaited { loop.clearDeadline(instance) }
        sendRequest(client, instance)
    }

    /// Sends what the request buffer holds, then the body as it comes.
    func sendRequest(_ client: ClientConnection, _ instance: InstanceConnection) {
        guard instance.isWritable, !requestIsBroken else { return }
        while !request.isEmpty {
            let pending = request.bytes
            switch instance.transport.send(pending.baseAddress!, pending.count) {
            case .count(let count):
                requestIsBegun = true
                request.consume(count)
                if count < pending.count { return blockedOnInstance(instance) }
            case .wouldBlock: return blockedOnInstance(instance)
            case .failed: return sendBroke(instance)
            }
        }
        pumpRequest(client, instance)
    }

    /// The instance takes no more; it may have answered before it closed, so its answer is looked for.
    private func sendBroke(_ instance: InstanceConnection) {
        requestIsBroken = true
        guard response == .awaited else { return }
        waitForInstance(instance, headTimeout)
        instance.isReadable = true
        if let client { readResponseHead(client, instance) }
    }

    private func blockedOnInstance(_ instance: InstanceConnection) {
        instance.isWritable = false
        waitForInstance(instance, worker.options.bodyTimeout)
    }

    /// From here on it is the instance's turn: time runs against it, and not against a client that still has to send.
    private func waitForInstance(_ instance: InstanceConnection, _ nanoseconds: UInt64) {
        if response == .awaited {
            awaitAnswer(instance, nanoseconds)
        } else {
            loop.setDeadline(instance, after: nanoseconds)
        }
        if let client, client.isWritable { loop.clearDeadline(client) }
    }

    /// Moves the body on until it ends, or one side has to be waited for.
    func pumpRequest(_ client: ClientConnection, _ instance: InstanceConnection) {
        guard request.isEmpty, !requestIsSent, !requestIsBroken else { return }
        var moved = 0
        while true {
            if client.input.hasRun {
                guard let count = sendRun(client, instance) else { return }
                moved += count
            }
            if requestBody.isFinished { return requestSent(client, instance) }
            if client.input.hasRaw {
                switch decodeRequest(client, asChunks: requestIsChunked) {
                case .malformed(let error): return refuseBody(error)
                case .progress, .finished: continue
                case .needsMore: break
                }
            }
            guard client.isReadable else { return loop.setDeadline(client, after: silenceTimeout) }
            guard moved < Self.turnBytes else { return loop.requeue(client) }
            guard readBody(client) else { return }
        }
    }

    /// Sends the client's run; `nil` where the instance must be waited for or has failed.
    private func sendRun(_ client: ClientConnection, _ instance: InstanceConnection) -> Int? {
        guard instance.isWritable else { return nil }
        let run = client.input.run
        isReplayable = false
        switch instance.transport.send(run.baseAddress!, run.count) {
        case .count(let count):
            requestIsBegun = true
            client.input.consumeRun(count)
            if count == run.count { return count }
            blockedOnInstance(instance)
        case .wouldBlock: blockedOnInstance(instance)
        case .failed: sendBroke(instance)
        }
        return nil
    }

    private func readBody(_ client: ClientConnection) -> Bool {
        let before = client.input.raw.count
        switch client.fillInput() {
        case .bytes:
            worker.counters.bytesFromClients &+= UInt64(max(client.input.raw.count - before, 0))
            return true
        case .wouldBlock: loop.setDeadline(client, after: silenceTimeout)
        case .end, .failed: client.close()
        case .noBuffer:
            clientKeepsAlive = false
            if response == .awaited { refuse(.overloaded) } else { cutResponse(.internalResponse) }
        case .full: refuseBody(.badTrailer)
        }
        return false
    }

    private func requestSent(_ client: ClientConnection, _ instance: InstanceConnection) {
        requestIsSent = true
        loop.clearDeadline(client)
        client.input.releaseIfEmpty(buffers)
        if response == .awaited { awaitAnswer(instance, headTimeout) }
    }
}
