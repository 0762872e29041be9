import HTTPCodec
import Reactor

// The response's way: instance's input → client's socket.

extension Exchange {
    /// Interim responses to one request.
    private static let interimLimit = 16

    func instanceReadable(_ instance: InstanceConnection) {
        // Uncounted: the loop keeps the client until the turn is over.
        clientReference?._withUnsafeGuaranteedRef { client in
            switch response {
            case .awaited: readResponseHead(client, instance)
            case .body: pumpResponse(client, instance)
            case .tunnel: pumpTunnel()
            }
        }
    }

    func instanceTimedOut() {
        if response == .tunnel { return tunnelTimedOut() }
        if response == .awaited, loop.nowNanoseconds < answerDue { return look() }
        worker.counters.timeouts += 1
        if response == .awaited, status == 0 {
            refuse(isPastCallDeadline ? .deadline : .responseTimeout)
        } else {
            cutResponse(.connectionReadTimeout)
        }
    }

    // MARK: - Head

    /// Reads until the final head is whole. Interim heads go on at once.
    func readResponseHead(_ client: ClientConnection, _ instance: InstanceConnection) {
        while instance.isReadable || instance.input.hasRaw {
            if instance.isReadable {
                switch instance.fillInput() {
                case .bytes: if times.firstByte == 0 { times.firstByte = loop.nowNanoseconds }
                case .wouldBlock: if !instance.input.hasRaw { return }
                case .end: return instanceFailed(SystemError("recv", 0))
                case .failed(let code): return instanceFailed(SystemError("recv", code))
                case .noBuffer: return refuse(.overloaded)
                case .full: return badResponse(.headTooLarge)
                }
            }
            let raw = instance.input.raw
            switch worker.responseHead.parse(
                raw, toHead: method == .head, limits: worker.options.limits, fields: &worker.trailers.fields)
            {
            case .incomplete: if !instance.isReadable { return }
            case .malformed(let error): return badResponse(error)
            case .complete(let length):
                guard worker.responseHead.isInterim else { return finalHead(client, instance, length) }
                guard passInterim(client, instance, length) else { return }
            }
        }
    }

    private func badResponse(_ error: MessageError) {
        worker.counters.malformedResponses += 1
        refuse(.badResponse(error))
    }

    private func passInterim(_ client: ClientConnection, _ instance: InstanceConnection, _ length: Int) -> Bool {
        interims += 1
        guard interims <= Self.interimLimit else {
            badInterim()
            return false
        }
        if !clientIsHTTP10 {
            guard var writer = client.output.writer(buffers) else {
                refuse(.overloaded)
                return false
            }
            let base = instance.input.raw.baseAddress!
            writer.appendStatusLine(worker.responseHead, from: base)
            writer.appendFields(worker.trailers.fields, from: base)
            writer.append("\r\n")
            guard !writer.hasOverflowed else {
                badInterim()
                return false
            }
            headBytesOut &+= UInt64(writer.count - client.output.count)
            client.output.commit(writer)
            worker.counters.countResponse(worker.responseHead.status)
        }
        instance.input.consumeRaw(length)
        // What the client does not take now goes out with the final head.
        switch flushClientOutput(client) {
        case .done: return true
        case .blocked:
            client.isWritable = false
            loop.setDeadline(client, after: worker.options.bodyTimeout)
            return true
        case .failed:
            client.close()
            return false
        }
    }

    private func badInterim() {
        worker.counters.malformedResponses += 1
        if client?.output.isEmpty == false { cutResponse(.protocolError) } else { refuse(.tooManyInterim) }
    }

    private func finalHead(_ client: ClientConnection, _ instance: InstanceConnection, _ length: Int) {
        let head = worker.responseHead
        if let fault = upgradeFault(client, head, instance.input.raw.baseAddress!) { return refuse(fault) }
        if request.isEmpty { request.release(buffers) }
        let isTunnel = head.status == 101
        // A stream of HTTP/2 knows no 101.
        status = isTunnel && client.isStream ? 200 : head.status
        responseBody = BodyDecoder(head.framing)
        decideFraming(head, isTunnel)
        guard var writer = client.output.writer(buffers) else {
            status = 0
            return refuse(.overloaded)
        }
        let base = instance.input.raw.baseAddress!
        writer.appendResponse(
            head, worker.trailers.fields, from: base, framing: responseFraming(isTunnel), additions(client, base))
        guard !writer.hasOverflowed else {
            status = 0
            return badResponse(.headTooLarge)
        }
        headBytesOut &+= UInt64(writer.count - client.output.count)
        client.output.commit(writer)
        instance.input.consumeRaw(length)
        loop.clearDeadline(instance)
        if isTunnel { return beginTunnel() }
        response = .body
        pumpResponse(client, instance)
    }

    /// Fields of our own beside those of the framing.
    private func additions(_ client: ClientConnection, _ base: UnsafeRawPointer) -> ResponseAdditions {
        var additions = ResponseAdditions()
        if session != 0 {
            additions.ticket = renewedTicket()
            additions.key = worker.options.sessionKey
            additions.isSecure = isSecure
        }
        if let policy = transportSecurity {
            var index = 0
            // An instance that has a policy of its own knows better.
            let own = worker.trailers.fields.nextValue("strict-transport-security", from: &index, in: base)
            if own == nil { additions.transportSecurity = policy }
        }
        return additions
    }

    private func decideFraming(_ head: ResponseHead, _ isTunnel: Bool) {
        instanceKeepsAlive = head.keepsAlive && !isTunnel
        switch head.framing {
        case .none, .length: responseIsChunked = false
        case .chunked, .untilClose:
            responseIsChunked = !clientIsHTTP10
            // HTTP/1.0 has no chunks: the end of the connection is the end of the body.
            if clientIsHTTP10 { clientKeepsAlive = false }
        }
        // The rest of the request will not be read once the answer is out.
        if worker.isDraining || !requestBody.isFinished { clientKeepsAlive = false }
    }

    private func responseFraming(_ isTunnel: Bool) -> ResponseFraming {
        var framing = ResponseFraming()
        framing.isChunked = responseIsChunked
        framing.isTunnel = isTunnel
        framing.closes = !clientKeepsAlive
        framing.keepsHTTP10Alive = clientKeepsAlive && clientIsHTTP10
        framing.requestID = toldRequestID
        return framing
    }

    // MARK: - Body

    /// Moves the response on until it ends, or one side has to be waited for.
    ///
    /// - Parameter instance: the exchange's; `nil`: the answer is made here.
    func pumpResponse(_ client: ClientConnection, _ instance: InstanceConnection?) {
        var moved = 0
        while true {
            var needsMore = true
            if let instance, !instance.input.hasRun, instance.input.hasRaw, !responseBody.isFinished {
                // A caller of gRPC gets the messages before the fault, and then a status.
                switch instance.input.decode(
                    &responseBody, asChunks: responseIsChunked, handsOnPart: isGRPC, &worker.trailers)
                {
                case .malformed: return cutMalformed()
                case .progress, .finished: needsMore = false
                case .needsMore: break
                }
            }
            guard let count = flushResponse(client, instance) else { return }
            moved += count
            guard let instance, !responseBody.isFinished else { return complete(client) }
            if !needsMore, instance.input.hasRaw { continue }
            guard instance.isReadable else { return loop.setDeadline(instance, after: silenceTimeout) }
            guard moved < Self.turnBytes else { return loop.requeue(instance) }
            guard readResponse(instance) else { return }
        }
    }

    /// The instance's connection has broken.
    func cutBroken(_ instance: InstanceConnection) {
        if instance.isMalformed { cutMalformed() } else { cutResponse(.responseIncomplete) }
    }

    private func cutMalformed() {
        worker.counters.malformedResponses += 1
        cutResponse(.protocolError)
    }

    /// Reads once. `false`: it must be waited for, or the exchange is over.
    private func readResponse(_ instance: InstanceConnection) -> Bool {
        switch instance.fillInput() {
        case .bytes: return true
        case .wouldBlock: loop.setDeadline(instance, after: silenceTimeout)
        case .end:
            guard responseBody.mayEndWithStream else {
                cutResponse(.responseIncomplete)
                return false
            }
            responseBody = BodyDecoder(.none)
            if !responseIsChunked || instance.input.endChunks(buffers) { return true }
            cutResponse(.internalResponse)
        case .failed: cutBroken(instance)
        case .noBuffer, .full: cutResponse(.internalResponse)
        }
        return false
    }

    /// Sends heads and the run, together where both are there. `nil`: the client must be waited for or is gone.
    private func flushResponse(_ client: ClientConnection, _ instance: InstanceConnection?) -> Int? {
        var total = 0
        if let instance, instance.input.hasRun, !client.output.isEmpty, client.output.absorb(instance.input.run) {
            instance.input.consumeRun(instance.input.run.count)
        }
        while true {
            let head = client.output.bytes
            let run = instance?.input.run ?? UnsafeRawBufferPointer(start: nil, count: 0)
            if head.isEmpty && run.isEmpty { break }
            guard client.isWritable else { return nil }
            switch sendParts(client, head, run) {
            case .count(let count):
                total += count
                worker.counters.bytesToClients &+= UInt64(count)
                bytesOut &+= UInt64(count)
                let ofHead = min(count, head.count)
                client.output.consume(ofHead)
                instance?.input.consumeRun(count - ofHead)
                if count < head.count + run.count {
                    blockedOnClient(client)
                    return nil
                }
            case .wouldBlock:
                blockedOnClient(client)
                return nil
            case .failed:
                client.close()
                return nil
            }
        }
        client.output.release(buffers)
        return total
    }

    private func sendParts(
        _ client: ClientConnection, _ head: UnsafeRawBufferPointer, _ run: UnsafeRawBufferPointer
    ) -> IOResult {
        // Where the connection ends behind these bytes, they and its end share a packet.
        let ends = responseBody.isFinished && !clientKeepsAlive
        if run.isEmpty { return client.transport.send(head.baseAddress!, head.count, more: ends) }
        if head.isEmpty { return client.transport.send(run.baseAddress!, run.count, more: ends) }
        return client.transport.send(head, run, more: ends)
    }

    private func blockedOnClient(_ client: ClientConnection) {
        client.isWritable = false
        loop.setDeadline(client, after: worker.options.bodyTimeout)
        if let instance { loop.clearDeadline(instance) }
    }
}
