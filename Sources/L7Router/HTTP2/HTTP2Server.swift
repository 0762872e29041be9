import CNGHTTP2
import HTTPCodec
import MeshCore
import NetAddress
import Reactor

/// A client's HTTP/2 connection.
///
/// Each stream is served like an HTTP/1.1 connection of its own; what is here concerns all of them: settings, limits
/// on what costs us more than the client, and the ends: idle, drained, or thrown out.
final class HTTP2Server: HTTP2Connection {
    private enum Ending {
        case none
        /// The client knows that the end is near; what it had already sent still counts.
        case announced
        /// New streams are refused; the last one ends the connection.
        case final
    }

    /// What the deadline is for.
    private enum Wait: Equatable {
        case nothing, output, head, idle, announced
    }

    /// What the client did that one connection may not do.
    private enum Offence {
        case rapidReset, frameFlood, headFlood
    }

    /// With where the client connected to: its streams have no socket of their own to ask.
    let origin: ConnectionOrigin
    let binding: PortBinding
    let isTrusted: Bool
    let isSecure: Bool
    /// Lines for instances that tell of the client's certificate; empty: it showed none.
    let certificate: [UInt8]
    unowned(unsafe) var previous: HTTP2Server?
    unowned(unsafe) var next: HTTP2Server?

    /// The header block under way.
    private(set) var text: RequestText?
    private(set) var blockStream: HTTP2RequestStream?
    private(set) var isTrailerBlock = false
    private var blockOctets = 0
    private(set) var blockBegan: UInt64 = 0

    /// Of the frame under way.
    private var frameType: UInt8 = 0

    private var ending = Ending.none
    /// The connection ends for something that the client did.
    private(set) var hasRefusedClient = false
    private var awaited = Wait.nothing
    private var offence: Offence?
    private var resets: FrameBudget
    private var controls: FrameBudget
    private var windowUpdates: FrameBudget

    init(
        _ transport: Transport, _ origin: ConnectionOrigin, _ binding: PortBinding, isSecure: Bool,
        certificate: [UInt8],
        _ worker: HTTPWorker, _ context: HTTP2Context, _ session: HTTP2Session
    ) {
        let destination = origin.destination ?? transport.socket.localAddress()
        self.origin = ConnectionOrigin(origin.source, destination: destination)
        self.binding = binding
        self.isSecure = isSecure
        self.certificate = certificate
        isTrusted = worker.options.forwarding.trusts(origin.source.ip)
        let now = worker.loop.nowNanoseconds
        let options = worker.options.http2
        resets = FrameBudget(perSecond: options.resetsPerSecond, nowNanoseconds: now)
        controls = FrameBudget(perSecond: options.controlFramesPerSecond, nowNanoseconds: now)
        windowUpdates = FrameBudget(perSecond: options.controlFramesPerSecond, nowNanoseconds: now)
        super.init(transport, worker, context, session)
        context.insert(self)
        context.counters.connections += 1
        context.counters.connectionsOpen += 1
    }

    /// Says what this side allows, and takes what the client has already sent. The loop has the connection.
    func start(_ received: UnsafeRawBufferPointer) {
        let options = worker.options
        let entries = [
            HTTP2Session.setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.http2.concurrentStreams),
            HTTP2Session.setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.http2.streamWindowBytes),
            HTTP2Session.setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.limits.headBytes),
            // Priorities of RFC 7540 are a tree that clients can grow; nobody uses them any more.
            HTTP2Session.setting(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
            HTTP2Session.setting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1),
        ]
        session.begin(entries, window: options.http2.connectionWindowBytes)
        take(received)
        // Also where nothing has come yet: this side's settings go out, and the client's time runs.
        scheduleTurnEnd()
        if worker.isDraining { drain() }
    }

    // MARK: - Frames

    override func frameBegan(_ header: nghttp2_frame_hd) {
        frameType = header.type
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue, NGHTTP2_CONTINUATION.rawValue: break
        case NGHTTP2_DATA.rawValue:
            guard header.length == 0, header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) == 0 else { break }
            charge(&controls, .frameFlood)
        case NGHTTP2_RST_STREAM.rawValue: charge(&resets, .rapidReset)
        case NGHTTP2_WINDOW_UPDATE.rawValue: charge(&windowUpdates, .frameFlood)
        // Ping, settings, priorities. Frames of unknown types are skipped unseen; they cost no more than their bytes.
        default: charge(&controls, .frameFlood)
        }
    }

    private func charge(_ budget: inout FrameBudget, _ offence: Offence) {
        if !budget.take(nowNanoseconds: loop.nowNanoseconds), self.offence == nil { self.offence = offence }
    }

    /// The client has to answer it with window updates.
    override func dataSent() { windowUpdates.give(events: 4) }

    override func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        let endsStream = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue: headersEnded(endsStream)
        case NGHTTP2_DATA.rawValue:
            // Nothing but padding is as empty as nothing.
            if !endsStream, header.length > 0, header.length == frame.pointee.data.padlen {
                charge(&controls, .frameFlood)
            }
            guard endsStream, let stream = session.stream(header.stream_id) else { return }
            stream.endInput()
            wake(stream, .readable)
        case NGHTTP2_RST_STREAM.rawValue:
            context.counters.resetsReceived += 1
            session.stream(header.stream_id)?.isPeerReset = true
        case NGHTTP2_WINDOW_UPDATE.rawValue: windowOpened(header.stream_id)
        case NGHTTP2_SETTINGS.rawValue: windowsChanged()
        case NGHTTP2_PING.rawValue:
            let isAnswer = header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0
            // The client has had time to hear of the end.
            if isAnswer, ending == .announced { endFinally() }
        default: break
        }
    }

    /// Resets that a client provokes cost as much as its own, which are counted as frames.
    override func streamReset() {
        if UInt32(frameType) != NGHTTP2_RST_STREAM.rawValue { charge(&resets, .rapidReset) }
    }

    override func headersBegan(_ id: Int32, _ category: nghttp2_headers_category) {
        blockOctets = 0
        blockBegan = loop.nowNanoseconds
        if category == NGHTTP2_HCAT_REQUEST {
            isTrailerBlock = false
            let stream = context.takeRequestStream(worker)
            stream.begin(self, id)
            context.counters.streams += 1
            blockStream = stream
            guard let memory = stream.openText(loop.buffers) else {
                refuseHead(.internalResponse)
                return session.reset(id, NGHTTP2_REFUSED_STREAM)
            }
            text = RequestText(memory, capacity: BlockQueue.blockBytes, limits: worker.options.limits)
        } else {
            isTrailerBlock = true
            blockStream = session.stream(id) as? HTTP2RequestStream
            text = nil
        }
        armDeadline()
    }

    override func fieldReceived(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        blockOctets += name.count + value.count + 32
        // A head that is somewhat too large gets an answer; one that means to be a burden does not.
        if blockOctets > worker.options.http2.headFloodBytes {
            offence = offence ?? .headFlood
            refuseHead(.requestError)
            return false
        }
        guard blockStream?.isLive ?? true else { return true }
        if isTrailerBlock {
            guard let blockStream, !blockStream.appendTrailer(name, value, loop.buffers) else { return true }
            dropBlock()
            return false
        }
        text?.append(name, value)
        return true
    }

    override func frameRefused(_ frame: UnsafePointer<nghttp2_frame>) { note(refused: frame) }

    func dropBlock() {
        text = nil
        blockStream = nil
    }

    private func headersEnded(_ endsStream: Bool) {
        defer { dropBlock() }
        guard let stream = blockStream, stream.isLive else { return }
        if isTrailerBlock {
            // Nothing but data belongs into a tunnel (RFC 9113 section 8.5).
            guard !stream.isTunnel else { return session.reset(stream.id, NGHTTP2_PROTOCOL_ERROR) }
            stream.endInput()
            return wake(stream, .readable)
        }
        if endsStream { stream.endInput() }
        guard var text else { return }
        stream.headCompleted(&text, hasBody: !endsStream)
    }

    // MARK: - Offences

    override func headFlooded() {
        guard !hasRefusedClient else { return }
        context.counters.protocolErrors += 1
        refuseHead(.requestError)
        offence = .headFlood
    }

    override func inputTaken() {
        guard let offence, !isBroken else { return }
        self.offence = nil
        hasRefusedClient = true
        switch offence {
        case .rapidReset: context.counters.rapidResets += 1
        case .frameFlood: context.counters.frameFloods += 1
        case .headFlood: context.counters.headFloods += 1
        }
        session.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
    }

    // MARK: - Time

    override func armDeadline() {
        guard !isLingering else { return }
        let wanted: Wait =
            if !isWritable { .output } else if blockStream != nil { .head } else if ending == .announced {
                .announced
            } else if openStreams == 0 { .idle } else { .nothing }
        // A head's time is for the whole of it, and so is that of the client's answer.
        guard wanted != awaited else { return }
        awaited = wanted
        let options = worker.options
        switch wanted {
        case .nothing: loop.clearDeadline(self)
        case .output: loop.setDeadline(self, after: options.bodyTimeout)
        case .head: loop.setDeadline(self, after: options.headTimeout)
        case .idle: loop.setDeadline(self, after: options.idleTimeout)
        case .announced: loop.setDeadline(self, after: Self.announceNanoseconds)
        }
    }

    /// Some of the output has gone: its time begins again.
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
        case .output:
            context.counters.timeouts += 1
            close()
        case .head:
            context.counters.timeouts += 1
            refuseHead(.clientTimeout)
            session.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
        case .idle: session.terminate(NGHTTP2_NO_ERROR)
        case .announced: endFinally()
        case .nothing: break
        }
        scheduleTurnEnd()
    }

    // MARK: - End

    /// How long a client that answers no ping may go on sending requests that it may think wanted.
    private static let announceNanoseconds: UInt64 = 1_000_000_000

    /// Ends in order: the client first hears that it should send nothing new, then up to where it was heard
    /// (RFC 9113 section 6.8).
    func drain() {
        guard isOpen, ending == .none, !isLingering else { return }
        ending = .announced
        session.announceEnd()
        scheduleTurnEnd()
    }

    private func endFinally() {
        ending = .final
        session.goAway()
        scheduleTurnEnd()
    }

    /// Unless it was asked for, the end is for something that the client did.
    override func readingEnded() {
        if ending == .none, openStreams > 0 { hasRefusedClient = true }
        refuseHead(.requestError)
    }

    override func streamsChanged(by count: Int) {
        if count > 0 { context.counters.streamsOpen += 1 } else { context.counters.streamsOpen -= 1 }
    }

    override func ended() {
        context.counters.connectionsOpen -= 1
        context.remove(self)
        worker.clientClosed()
    }
}
