import HTTPCodec
import MeshCore
import NetAddress
import Reactor

/// One request and its response: the pick, the tries, and both bodies. It lives from a parsed head to the last byte of
/// the answer, then goes back to the worker for another.
///
/// The request's head, rendered for instances, is kept until the first byte of a response, so that the request can go
/// to another instance. Reading and writing of either side happens here, in `Exchange+Request` and `Exchange+Response`;
/// the decision to try again in `Exchange+Tries`.
final class Exchange {
    /// How far the response has come.
    enum Response {
        case awaited
        /// The head has been handed on.
        case body
        /// Upgraded: bytes both ways until both sides have ended.
        case tunnel
    }

    let worker: HTTPWorker
    /// The loop keeps it until the turn in which it closes is over, and closing it ends the exchange.
    private(set) var clientReference: Unmanaged<ClientConnection>?
    var instance: InstanceConnection?
    var endpoint: Endpoint?
    var pool: Int32 = -1
    /// What session cookies call the service; 0: it is not sticky.
    var session: UInt32 = 0
    /// The good session cookie that the request came with.
    var ticket: SessionTicket?
    /// The client came over TLS, to meshd or to a trusted proxy before it.
    var isSecure = false
    /// Told to a client that came over TLS.
    var transportSecurity: TransportSecurity?
    var tried = TriedEndpoints()
    var dials = 0
    var repeats = 0
    var interims = 0

    var method = RequestHead.Method.other
    var clientIsHTTP10 = false
    /// Whether another request may follow; becomes false when meshd decides so.
    var clientKeepsAlive = true
    /// The client said that none will.
    var clientAskedToClose = false
    var asksUpgrade = false
    /// The upgrade is one to a WebSocket.
    var asksWebSocket = false
    /// The handshake's key is one, so that it can be answered here.
    var hasWebSocketKey = false
    /// The request is a gRPC call: failures are told as gRPC tells them, and either side may be silent for long.
    var isGRPC = false
    /// When the caller gives up, as far as it said so.
    var callDeadline = UInt64.max
    var startedNanoseconds: UInt64 = 0

    /// The request as instances get it: head and, where it fits, body.
    var request = OutputBuffer()
    var requestBody = BodyDecoder(.none)
    var requestIsChunked = false
    /// Everything of the request lies in `request`: it can be sent again from there.
    var isReplayable = true
    /// The instance wants to know whose connection it is: a header stands in front of the request, and the connection
    /// serves no other exchange.
    var proxyVersion: ProxyVersion?
    /// All of the request has been sent to the present instance.
    var requestIsSent = false
    /// Bytes of the request have been sent to the present instance.
    var requestIsBegun = false
    /// The instance takes no more of the request; what it answers may still come.
    var requestIsBroken = false
    /// Until when the present instance has time for its head.
    var answerDue: UInt64 = 0

    var response = Response.awaited
    var responseBody = BodyDecoder(.none)
    var responseIsChunked = false
    var instanceKeepsAlive = false
    var status = 0
    var tunnelClientEnded = false
    var tunnelInstanceEnded = false
    /// Why it ended; `nil`: it has not, or as it should.
    var reason: EndReason?
    var times = ExchangeTimes()
    /// Heads and bodies, as they came from and went to the client.
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    var headBytesOut: UInt64 = 0
    /// Instances picked so far.
    var picks = 0
    var notes = ExchangeNotes()
    /// Whose request it is: the peer's, or the one a trusted proxy told of.
    var clientAddress = IPAddress.anyV4
    /// What to answer when no instance is left to try.
    var lastFailure = ErrorResponse.noInstance

    /// The next of the worker's spare ones, while it is one itself.
    var nextSpare: Unmanaged<Exchange>?

    /// Bytes moved for one side in one turn at the most; the rest waits for the next turn.
    static let turnBytes = 1 << 20

    init(_ worker: HTTPWorker) { self.worker = worker }

    deinit { notes.deallocate() }

    var client: ClientConnection? { clientReference?.takeUnretainedValue() }
    /// No client waits for it any more.
    var isOver: Bool { clientReference == nil }
    var loop: EventLoop { worker.loop }
    var buffers: BufferPool { worker.loop.buffers }

    // MARK: - Start

    /// Begins with the head that the worker's scratch holds; it took `headLength` bytes of the client's input.
    ///
    /// - Parameter began: when the first byte of the head was there.
    func start(_ client: ClientConnection, headLength: Int, began: UInt64) {
        clientReference = .passUnretained(client)
        let head = worker.requestHead
        worker.counters.requests += 1
        startedNanoseconds = loop.nowNanoseconds
        method = head.method
        clientIsHTTP10 = head.minorVersion == 0
        clientKeepsAlive = head.keepsAlive
        clientAskedToClose = !head.keepsAlive
        callDeadline = head.grpcTimeout == 0 ? .max : startedNanoseconds.addingWithSaturation(head.grpcTimeout)
        asksUpgrade = head.options.contains(.upgrade) && !clientIsHTTP10
        // What gRPC says of its failures is a success to who asked for a tunnel.
        isGRPC = head.options.contains(.grpc) && !asksUpgrade
        requestBody = BodyDecoder(head.framing)
        requestIsChunked = head.framing == .chunked
        let raw = client.input.raw
        if asksUpgrade { noteWebSocket(head, raw.baseAddress!) }
        if worker.accessLog != nil { beginNotes(head, raw.baseAddress!, headLength, began) }
        pool = -1
        let action: RouteAction?
        switch chooseRoute(client, head, raw.baseAddress!) {
        case .toPool(let found): action = found
        case .refused(let answer):
            noteIdentity(client, head, raw)
            client.input.consumeRaw(headLength)
            return refuse(answer)
        }
        if worker.accessLog != nil, pool >= 0 { notes.set(.service, worker.balancer.serviceName(pool)) }
        if let place = redirect(client, action) {
            noteIdentity(client, head, raw)
            let redirection = answer(client, redirectingTo: place, action, head, raw.baseAddress!)
            client.input.consumeRaw(headLength)
            return finish(redirection)
        }
        let isRendered = renderRequest(client, head, raw, action)
        client.input.consumeRaw(headLength)
        guard isRendered else { return refuse(request.buffer == nil ? .overloaded : ErrorResponse(.headTooLarge)) }
        takeEarlyBody(client)
        guard !isOver else { return }
        if requestBody.isFinished { client.input.releaseIfEmpty(buffers) }
        connect(client)
    }

    /// What goes to no instance has an id all the same, for the log and for the client. The head cannot be rendered for
    /// an instance any more.
    private func noteIdentity(_ client: ClientConnection, _ head: RequestHead, _ raw: UnsafeRawBufferPointer) {
        guard worker.keepsNotes else { return }
        _ = renderRequest(client, head, raw, nil)
        request.release(buffers)
    }

    private func renderRequest(
        _ client: ClientConnection, _ head: RequestHead, _ raw: UnsafeRawBufferPointer, _ action: RouteAction?
    ) -> Bool {
        guard let base = raw.baseAddress else { return false }
        clientAddress = client.peer.ip
        if client.isTrusted {
            clientAddress = ClientAddress.find(
                worker.trailers.fields, from: base, peer: client.peer.ip, worker.options.forwarding)
        }
        guard var writer = request.writer(buffers) else { return false }
        proxyVersion = worker.balancer.proxyVersion(pool)
        if let proxyVersion { writer.append(client.proxyHeader, proxyVersion) }
        let origin = RequestOrigin(
            peer: client.peer.ip, isTrusted: client.isTrusted, isSecure: client.isSecure,
            certificate: client.certificate, port: client.binding.port,
            fields: worker.options.forwarding.fields,
            generatesTraceParent: worker.options.forwarding.generatesTraceParent)
        let identity = writer.appendRequest(
            head, &worker.trailers.fields, from: base, origin, &worker.random, action)
        request.commit(writer)
        guard !writer.hasOverflowed else { return false }
        if worker.keepsNotes {
            notes.set(.requestID, identity.requestID)
            notes.set(.traceID, identity.traceID)
        }
        return true
    }

    /// What the client is told of its request's id; empty: nothing.
    var toldRequestID: UnsafeRawBufferPointer {
        worker.options.forwarding.tellsClientRequestID
            ? notes[.requestID] : UnsafeRawBufferPointer(start: nil, count: 0)
    }

    // MARK: - Answers made here

    /// Answers instead of an instance. Only before any byte of a response went out.
    func refuse(_ answer: ErrorResponse) {
        guard let client else { return }
        dropInstance()
        request.release(buffers)
        let options = ErrorResponse.Rendering(
            closes: closesAfterAnswer, isHead: method == .head, isGRPC: isGRPC, requestID: toldRequestID)
        let waiting = client.output.bytes.count
        guard let made = client.output.append(answer, options, buffers) else { return client.close() }
        let body = options.isHead || isGRPC ? 0 : made.answer.bodyLength
        headBytesOut &+= UInt64(max(client.output.bytes.count - waiting - body, 0))
        reason = made.answer.cause
        madeHere(isGRPC ? 200 : made.answer.status, closes: made.closes)
    }

    /// An unread body would be taken for the next request.
    var closesAfterAnswer: Bool { !clientKeepsAlive || worker.isDraining || !requestBody.isFinished }

    private func finish(_ redirection: Redirection) {
        switch redirection {
        case .answered(let status):
            headBytesOut &+= UInt64(client?.output.bytes.count ?? 0)
            madeHere(status, closes: closesAfterAnswer)
        case .refused(let answer): refuse(answer)
        }
    }

    /// Sends the answer that was rendered here.
    private func madeHere(_ status: Int, closes: Bool) {
        worker.counters.madeHere += 1
        self.status = status
        clientKeepsAlive = !closes
        responseBody = BodyDecoder(.none)
        response = .body
        if let client { pumpResponse(client, instance) }
    }

    // MARK: - End

    /// The answer is complete and handed to the kernel.
    func complete(_ client: ClientConnection) {
        // Also in a drain: a head that went out before it promised that another request may come.
        let keepAlive = clientKeepsAlive && requestBody.isFinished
        if let instance {
            if instanceKeepsAlive && requestIsSent && !requestIsBroken && proxyVersion == nil {
                self.instance = nil
                instance.rest()
            } else {
                dropInstance()
            }
        }
        let clientCloses = clientAskedToClose && requestBody.isFinished
        client.input.dropRun()
        settle()
        client.exchangeEnded(keepAlive: keepAlive, clientCloses: clientCloses)
    }

    /// The client's connection is closed; nobody waits for the answer.
    func abandon() {
        if status == 0 { worker.counters.clientAborts += 1 }
        reason = reason ?? (worker.isStopping ? .stopped : .clientAbort)
        // Closed in order each would keep a local port for a minute, and a client that only asks and leaves would leave
        // none to dial from.
        if reason != .ok { instance?.transport.resetOnClose() }
        dropInstance()
        settle()
    }

    /// Counts the exchange and goes back to the worker.
    private func settle() {
        if let endpoint { worker.balancer.ended(endpoint, response == .tunnel ? .tunnels : .exchanges) }
        if status > 0 {
            worker.counters.countResponse(status)
            worker.counters.countLatency(loop.nowNanoseconds &- startedNanoseconds)
        }
        if let log = worker.accessLog, let client { log.append(accessEntry(client), notes) }
        request.release(buffers)
        reset()
        worker.giveBack(self)
    }

    private func reset() {
        clientReference = nil
        instance = nil
        endpoint = nil
        (session, ticket, transportSecurity, isSecure) = (0, nil, nil, false)
        tried = TriedEndpoints()
        (dials, repeats, interims, status) = (0, 0, 0, 0)
        (isReplayable, requestIsSent, requestIsBegun, requestIsBroken) = (true, false, false, false)
        (response, responseIsChunked, instanceKeepsAlive) = (.awaited, false, false)
        (asksWebSocket, hasWebSocketKey, tunnelClientEnded, tunnelInstanceEnded) = (false, false, false, false)
        (reason, times, picks) = (nil, ExchangeTimes(), 0)
        (bytesIn, bytesOut, headBytesOut) = (0, 0, 0)
        if worker.keepsNotes { notes.clear() }
        proxyVersion = nil
    }

    /// Closes the instance's connection and forgets the pick.
    func dropInstance() {
        if let instance {
            self.instance = nil
            instance.close()
        }
    }

    // MARK: - Events of the client

    func clientReadable() {
        if response == .tunnel { return pumpTunnel() }
        // Between the end of the request and the end of the response nothing is read: the next request waits.
        pumpActiveRequest()
    }

    private func pumpActiveRequest() {
        guard !requestBody.isFinished, let client, let instance, instance.state == .active else { return }
        pumpRequest(client, instance)
    }

    func clientWritable() {
        if response == .tunnel { return pumpTunnel() }
        guard let client else { return }
        // Where the rest of the request is waited for, too, its time begins again.
        if requestBody.isFinished {
            loop.clearDeadline(client)
        } else {
            loop.setDeadline(client, after: worker.options.bodyTimeout)
        }
        if response == .body { pumpResponse(client, instance) }
    }

    func clientTimedOut() {
        worker.counters.timeouts += 1
        if response == .awaited, status == 0, client?.output.isEmpty == true {
            clientKeepsAlive = false
            refuse(.requestTimeout)
        } else {
            cutResponse(.clientTimeout)
        }
    }

    /// The client's connection was reset.
    func clientGone() { client?.close() }

    func resume() {
        if response == .tunnel { return pumpTunnel() }
        pumpActiveRequest()
        guard let client else { return }
        if response == .body {
            pumpResponse(client, instance)
        } else if let instance, instance.isReadable {
            instanceReadable(instance)
        }
    }

    /// Ends the client's connection, or a gRPC call, so that the part of an answer that it got cannot be taken for
    /// the whole.
    func cutResponse(_ cause: EndReason) {
        worker.counters.cutResponses += 1
        reason = reason ?? cause
        if !endCall(cause) { client?.reset() }
    }
}
