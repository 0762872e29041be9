import CNGHTTP2
import HTTPCodec
import MeshCore
import Reactor

/// A connection to an instance that speaks HTTP/2, shared by the exchanges of one worker: each has a stream.
final class HTTP2Client: HTTP2Connection {
    /// What the deadline is for.
    private enum Wait {
        case nothing, connect, output, idle
    }

    let endpoint: Endpoint
    /// Where it is found while it takes new streams.
    private let pool: HTTP2ClientPool
    /// How TLS was begun; `nil`: in clear.
    let tls: UpstreamTLS?
    /// Who was trusted then.
    let trust: TLSClientContext?
    private var handshake: TLSLayer?
    unowned(unsafe) var older: HTTP2Client?
    /// It is where new streams are looked for.
    var isShelved = false
    private(set) var isConnecting = true
    private var isShaking = false
    /// Streams that the instance takes at one time, as far as is known.
    var assumedLimit = 0
    private var awaited = Wait.nothing
    /// It is given no new streams.
    private var isGoingAway = false
    /// That is this side's wish, which the instance has not heard.
    private var isRetiring = false
    /// The instance has said what it allows.
    private var knowsSettings = false

    /// The header block under way.
    private var text: ResponseText?
    private var memory: Buffer?
    private var blockStream: HTTP2InstanceStream?
    private var blockOctets = 0

    init(
        _ transport: Transport, _ endpoint: Endpoint, _ tls: UpstreamTLS?, _ trust: TLSClientContext?,
        _ worker: HTTPWorker, _ context: HTTP2Context, _ pool: HTTP2ClientPool, _ session: HTTP2Session
    ) {
        self.endpoint = endpoint
        self.pool = pool
        (self.tls, self.trust) = (tls, trust)
        handshake = transport.layer as? TLSLayer
        super.init(transport, worker, context, session)
        isWritable = false
        worker.counters.instanceConnectionsOpened += 1
        worker.counters.instanceConnectionsOpen += 1
        start()
    }

    private func start() {
        let options = worker.options
        let http2 = options.http2
        let entries = [
            HTTP2Session.setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
            HTTP2Session.setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, http2.streamWindowBytes),
            HTTP2Session.setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.limits.headBytes),
        ]
        // Room for all streams at once: a client that takes nothing must not hold up others.
        session.begin(entries, window: http2.streamWindowBytes * http2.upstreamStreams)
    }

    // MARK: - Streams

    /// Whether another stream may begin at once.
    var hasRoom: Bool { openStreams < streamLimit }

    private var streamLimit: Int { min(assumedLimit, worker.options.http2.upstreamStreams) }

    /// Whether it can be used at all.
    var takesStreams: Bool { isOpen && !isBroken && !isLingering && !isGoingAway }

    /// From here on a connection takes no new streams. Numbers are odd and end at 2^31 - 1 (RFC 9113 section 5.1.1);
    /// what waits for its number still finds one.
    private static let lastNumber: Int32 = .max - (1 << 16)

    /// A stream has got its number.
    func numbered(_ id: Int32) {
        if id >= Self.lastNumber, !isGoingAway { retire() }
    }

    /// Whether an idle connection has ended meanwhile, though no event has told so yet; or has something else to say,
    /// which is not worth the risk. Costs a system call.
    var isStale: Bool { openStreams == 0 && !isConnecting && transport.hasPendingEnd() }

    // MARK: - Connecting

    override func ready(_ readiness: Readiness) {
        guard isConnecting else { return super.ready(readiness) }
        guard isOpen, isShaking || !readiness.isDisjoint(with: [.writable, .error, .hangup]) else { return }
        if !isShaking, !readiness.isDisjoint(with: [.error, .hangup]) {
            let code = transport.socket.takeError()
            return failConnecting(code == 0 ? SystemError.connectionReset : code)
        }
        guard let handshake else { return connected(readiness) }
        isShaking = true
        switch handshake.shakeHands() {
        case .waiting: break
        case .closed: failConnecting(SystemError.connectionReset)
        case .failed(let reason):
            Log.debug("TLS handshake with an instance failed", ["instance": "\(endpoint.address)", "reason": reason])
            failConnecting(handshake.isPeerDistrusted ? SystemError.distrusted : SystemError.brokenProtocol)
        case .done:
            guard handshake.negotiatesHTTP2 else { return failConnecting(SystemError.brokenProtocol) }
            connected(handshake.mayHaveBytes ? [.writable, .readable] : .writable)
        }
    }

    private func connected(_ readiness: Readiness) {
        isConnecting = false
        handshake = nil
        awaited = .nothing
        forEachStream { if ($0 as? HTTP2InstanceStream)?.awaitsSettings != true { wake($0, .writable) } }
        super.ready(readiness.union(.writable))
        scheduleTurnEnd()
    }

    private func failConnecting(_ code: Int32) {
        forEachStream { ($0 as? HTTP2InstanceStream)?.failure = code }
        close()
    }

    // MARK: - Frames

    override func headersBegan(_ id: Int32, _ category: nghttp2_headers_category) {
        // Of one that was given up nothing more is told.
        dropBlock()
        blockOctets = 0
        blockStream = session.stream(id) as? HTTP2InstanceStream
        guard let stream = blockStream, !stream.gotFinalHead else { return }
        guard let buffer = loop.buffers.leaseSmall() else { return session.reset(id, NGHTTP2_ENHANCE_YOUR_CALM) }
        memory = buffer
        text = ResponseText(
            buffer.base, capacity: buffer.capacity, limits: worker.options.limits, accept: stream.accept)
    }

    override func fieldReceived(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        guard let stream = blockStream, stream.isLive else { return true }
        blockOctets += name.count + value.count + 32
        if blockOctets > worker.options.http2.headFloodBytes { return false }
        if stream.gotFinalHead { return stream.appendTrailer(name, value, loop.buffers) }
        text?.append(name, value)
        return true
    }

    override func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        let endsStream = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue: headersEnded(endsStream)
        case NGHTTP2_DATA.rawValue:
            guard endsStream, let stream = session.stream(header.stream_id) else { return }
            stream.endInput()
            wake(stream, .readable)
        case NGHTTP2_RST_STREAM.rawValue: session.stream(header.stream_id)?.isPeerReset = true
        case NGHTTP2_WINDOW_UPDATE.rawValue: windowOpened(header.stream_id)
        case NGHTTP2_SETTINGS.rawValue:
            pool.learned(self, streamLimit: session.peerStreamLimit)
            if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { settingsCame() }
            windowsChanged()
        case NGHTTP2_GOAWAY.rawValue:
            isGoingAway = true
            pool.remove(self)
        default: break
        }
    }

    override func frameRefused(_ frame: UnsafePointer<nghttp2_frame>) { dropBlock() }

    private func headersEnded(_ endsStream: Bool) {
        defer { dropBlock() }
        guard let stream = blockStream, stream.isLive else { return }
        // Nothing but data belongs into a tunnel (RFC 9113 section 8.5).
        guard !stream.isTunnel else { return session.reset(stream.id, NGHTTP2_PROTOCOL_ERROR) }
        guard var text, let memory else {
            if endsStream { stream.endInput() }
            return wake(stream, .readable)
        }
        let isFinal = text.status >= 200
        let isChunked = text.finish(hasBody: !endsStream, toHead: stream.isHead)
        guard text.fault == nil, stream.appendText(memory.base, text.count, loop.buffers) else {
            // What is no response to anybody. Where it ended the stream, too, nothing else would tell the engine.
            stream.isMalformed = true
            session.reset(stream.id, NGHTTP2_PROTOCOL_ERROR)
            return wake(stream, .error)
        }
        if endsStream { stream.endInput() }
        if isFinal { stream.finalHeadCame(isChunked: isChunked, isTunnel: text.isTunnel) }
        wake(stream, .readable)
    }

    private func dropBlock() {
        if let memory { loop.buffers.giveBack(memory) }
        (memory, text, blockStream) = (nil, nil, nil)
    }

    /// A request that waited for its turn is out: so may its body.
    override func headersSent(_ id: Int32) {
        if let stream = session.stream(id), stream.isWindowBlocked { unblock(stream) }
    }

    // MARK: - WebSockets

    /// A stream for a WebSocket begins when the instance has said that it takes them (RFC 8441 section 3): the engine
    /// hears of it then, as of a connection that was made or was not.
    func awaitSettings(_ stream: HTTP2InstanceStream) {
        stream.awaitsSettings = true
        if knowsSettings { decide(stream) }
    }

    /// A tunnel never waits for a stream, for none may ever be free: those that the first settings leave no room for
    /// go elsewhere.
    private func settingsCame() {
        knowsSettings = true
        var room = streamLimit
        forEachStream { if ($0 as? HTTP2InstanceStream)?.awaitsSettings != true { room -= 1 } }
        forEachStream {
            guard let stream = $0 as? HTTP2InstanceStream, stream.awaitsSettings else { return }
            stream.isCrowdedOut = room <= 0
            room -= 1
            decide(stream)
        }
    }

    private func decide(_ stream: HTTP2InstanceStream) {
        stream.awaitsSettings = false
        stream.isTunnelRefused = !session.peerTakesTunnels
        wake(stream, stream.isTunnelRefused || stream.isCrowdedOut ? .error : .writable)
    }

    // MARK: - Time

    override func armDeadline() {
        guard !isLingering else { return }
        let wanted: Wait =
            if isConnecting { .connect } else if !isWritable { .output } else if openStreams == 0 { .idle } else {
                .nothing
            }
        guard wanted != awaited else { return }
        awaited = wanted
        switch wanted {
        case .nothing: loop.clearDeadline(self)
        case .connect: loop.setDeadline(self, after: worker.options.connectTimeout)
        case .output: loop.setDeadline(self, after: worker.options.bodyTimeout)
        case .idle: loop.setDeadline(self, after: worker.options.instanceIdleTimeout)
        }
    }

    override func outputBlocked() {
        awaited = .nothing
        armDeadline()
    }

    override func deadlineReached() {
        guard isOpen else { return }
        let reached = awaited
        awaited = .nothing
        if isLingering { return close() }
        switch reached {
        case .connect: failConnecting(SystemError.timedOut)
        case .output: close()
        case .idle: retire()
        case .nothing: break
        }
    }

    // MARK: - End

    /// Takes no new streams; those under way may finish.
    func retire() {
        guard isOpen else { return }
        (isGoingAway, isRetiring) = (true, true)
        pool.remove(self)
        if isConnecting, openStreams == 0 { return close() }
        scheduleTurnEnd()
    }

    /// Behind the last stream: some programs take GOAWAY for the end of all of them.
    override func inputTaken() {
        guard isRetiring, openStreams == 0, !isConnecting, !isBroken else { return }
        isRetiring = false
        session.goAway()
    }

    override func leaving() { pool.remove(self) }

    override func ended() {
        dropBlock()
        worker.counters.instanceConnectionsOpen -= 1
    }
}
