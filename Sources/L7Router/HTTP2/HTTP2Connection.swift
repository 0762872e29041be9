import CNGHTTP2
import Reactor

/// A connection that speaks HTTP/2, of either side: reads, hands bytes to nghttp2 and frames to the transport, and
/// tells streams what happened.
///
/// What nghttp2 tells is only noted while it runs; streams hear of it afterwards (`deliver`), so that nothing enters
/// nghttp2 twice. Frames are gathered and go out at the end of the loop's turn, or when the output is full. A
/// connection is only ever closed from the loop's own calls: what fails below a stream's `send` sets `isBroken`.
class HTTP2Connection: Handler {
    static let frameHeaderBytes = 9
    /// Bytes read in one turn at the most; the rest waits for the next.
    private static let turnBytes = 256 << 10
    /// A client that lets this many frames wait is not read from.
    private static let queuedFramesLimit = 1024
    /// Room below which nghttp2 is not asked for more frames.
    private static let leastRoom = 512

    final let worker: HTTPWorker
    final let context: HTTP2Context
    final let loop: EventLoop
    final private(set) var transport: Transport
    final let session: HTTP2Session
    final var output = HTTP2Output()
    /// Octets of frames. Exchanges count what they send for themselves.
    private var octetsSent: UInt64 = 0
    final var isReadable = false
    final var isWritable = true
    final var sawPeerClose = false
    /// Beyond repair: it is closed at the end of the turn.
    final private(set) var isBroken = false
    /// Nothing is said any more; the peer's end is waited for.
    final private(set) var isLingering = false
    private var discarded = 0

    final private(set) var openStreams = 0
    private unowned(unsafe) var newest: HTTP2Stream?
    /// Streams with news, and streams that wait for shared room, oldest first.
    private var woken: [Unmanaged<HTTP2Stream>] = []
    private var waiting: [Unmanaged<HTTP2Stream>] = []
    private var isDelivering = false
    /// The stream whose turn it is among the waiting ones.
    private unowned(unsafe) var served: HTTP2Stream?

    init(_ transport: Transport, _ worker: HTTPWorker, _ context: HTTP2Context, _ session: HTTP2Session) {
        self.worker = worker
        self.context = context
        loop = worker.loop
        self.transport = transport
        self.session = session
        super.init()
        session.setOwner(self)
    }

    final var isOpen: Bool { transport.isOpen }

    // MARK: - Events

    override func ready(_ readiness: Readiness) {
        guard isOpen else { return }
        if readiness.contains(.error) { return close() }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup]) { isReadable = true }
        if !readiness.isDisjoint(with: [.peerClosed, .hangup]) { sawPeerClose = true }
        if readiness.contains(.writable), !isWritable {
            isWritable = true
            scheduleTurnEnd()
        }
        readInput()
    }

    override final func resume() {
        guard isOpen else { return }
        // Streams may still wait, too.
        scheduleTurnEnd()
        readInput()
    }

    override final func turnEnds() {
        guard isOpen else { return }
        deliver()
        produce()
        // Faults of the peer show when they are answered, too.
        inputTaken()
        produce()
        flush()
        serveWaiting()
        settle()
    }

    /// What the end of a turn leaves to decide.
    private func settle() {
        if isBroken { return close() }
        if isLingering { return }
        output.releaseIfEmpty(loop.buffers)
        if output.isEmpty, !session.isAlive { return linger() }
        armDeadline()
        // Reading stopped while too much waited.
        if isReadable, isWritable { loop.requeue(self) }
    }

    /// Overridden: sets the deadline that the state asks for.
    func armDeadline() {}

    // MARK: - Input

    private func readInput() {
        var budget = Self.turnBytes
        while isOpen, isReadable, !isBroken {
            if !isWritable, session.queuedFrames > Self.queuedFramesLimit { return }
            guard budget > 0 else { return loop.requeue(self) }
            switch transport.receive(context.scratch, HTTP2Context.scratchBytes) {
            case .count(0): return peerEnded()
            case .count(let count):
                budget -= count
                if count < HTTP2Context.scratchBytes, !sawPeerClose { isReadable = false }
                guard !isLingering else {
                    discarded += count
                    if discarded > Self.lingerBytes { return close() }
                    continue
                }
                take(UnsafeRawBufferPointer(start: context.scratch, count: count))
            case .wouldBlock: isReadable = false
            case .failed: return close()
            }
        }
    }

    /// The peer ends the connection: whatever streams are open end with it.
    private func peerEnded() {
        isReadable = false
        close()
    }

    /// Hands received bytes to nghttp2, then tells streams what came of them.
    final func take(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        switch session.receive(start, bytes.count) {
        case .all: break
        case .flooded: headFlooded()
        case .failed: receivingFailed()
        }
        inputTaken()
        deliver()
        scheduleTurnEnd()
    }

    private func receivingFailed() {
        context.counters.protocolErrors += 1
        readingEnded()
        fail()
    }

    /// Overridden: the peer spreads a head over too many frames.
    func headFlooded() { receivingFailed() }

    /// Overridden: looks at what was noted while nghttp2 ran.
    func inputTaken() {}

    // MARK: - What nghttp2 tells

    func frameBegan(_ header: nghttp2_frame_hd) {}
    func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {}
    /// Overridden: the frame breaks the protocol; its stream is reset, or the connection ends.
    func frameRefused(_ frame: UnsafePointer<nghttp2_frame>) {}
    func headersBegan(_ id: Int32, _ category: nghttp2_headers_category) {}
    /// `false`: the stream is to be reset.
    func fieldReceived(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool { true }

    /// Overridden: a header block has gone out.
    func headersSent(_ id: Int32) {}

    final func dataReceived(_ id: Int32, _ bytes: UnsafeRawPointer, _ count: Int) {
        guard let stream = session.stream(id), stream.isAttached || stream.awaitsEngine else {
            session.consume(id, count)
            return
        }
        if stream.append(bytes, count, loop.buffers) {
            wake(stream, .readable)
        } else {
            session.reset(id, NGHTTP2_ENHANCE_YOUR_CALM)
        }
    }

    // MARK: - Streams

    /// The stream is held until it is removed: nghttp2, which knows its address, holds nothing.
    final func insert(_ stream: HTTP2Stream) {
        _ = Unmanaged.passRetained(stream)
        stream.previous = nil
        stream.next = newest
        newest?.previous = stream
        newest = stream
        openStreams += 1
        streamsChanged(by: 1)
    }

    final func remove(_ stream: HTTP2Stream) {
        if let previous = stream.previous { previous.next = stream.next } else { newest = stream.next }
        stream.next?.previous = stream.previous
        stream.previous = nil
        stream.next = nil
        openStreams -= 1
        streamsChanged(by: -1)
        scheduleTurnEnd()
        Unmanaged.passUnretained(stream).release()
    }

    /// Overridden: counts.
    func streamsChanged(by count: Int) {}

    final func forEachStream(_ body: (HTTP2Stream) -> Void) {
        var next = newest
        while let stream = next {
            next = stream.next
            body(stream)
        }
    }

    /// Tells the stream when nothing else runs.
    final func wake(_ stream: HTTP2Stream, _ news: Readiness) {
        stream.news.formUnion(news)
        guard !stream.isWoken else { return }
        stream.isWoken = true
        woken.append(.passRetained(stream))
        scheduleTurnEnd()
    }

    private func deliver() {
        guard !isDelivering else { return }
        isDelivering = true
        var index = 0
        while index < woken.count {
            let stream = woken[index].takeRetainedValue()
            index += 1
            stream.isWoken = false
            let news = stream.news
            stream.news = []
            stream.deliver(news)
            stream.recycleIfFree()
        }
        woken.removeAll(keepingCapacity: true)
        isDelivering = false
    }

    /// Lets the stream hear when there is room for all again.
    final func wait(_ stream: HTTP2Stream) {
        guard !stream.isWaiting else { return }
        stream.isWaiting = true
        waiting.append(.passRetained(stream))
    }

    /// Whether the stream may frame data now, or has to wait behind others.
    final func maySend(_ stream: HTTP2Stream) -> Bool {
        guard !waiting.isEmpty, served !== stream else { return true }
        wait(stream)
        return false
    }

    /// Those that waited go on, one after another: who is stopped again waits behind the others.
    private func serveWaiting() {
        guard !waiting.isEmpty, isWritable, session.window > 0 else { return }
        var left = waiting.count
        while left > 0, isWritable, session.window > 0, !isBroken {
            left -= 1
            let stream = waiting.removeFirst().takeRetainedValue()
            stream.isWaiting = false
            served = stream
            stream.deliver(.writable)
            served = nil
            stream.recycleIfFree()
        }
        produce()
        flush()
        if !waiting.isEmpty, isWritable, session.window > 0 { loop.requeue(self) }
    }

    /// The peer has opened a window: of one stream, or, for 0, of all.
    final func windowOpened(_ id: Int32) {
        scheduleTurnEnd()
        if id != 0, let stream = session.stream(id), stream.isWindowBlocked { unblock(stream) }
    }

    /// The peer has changed what every stream's window begins with.
    final func windowsChanged() {
        forEachStream { if $0.isWindowBlocked { unblock($0) } }
    }

    final func unblock(_ stream: HTTP2Stream) {
        stream.isWindowBlocked = false
        wake(stream, .writable)
    }

    // MARK: - Output

    final func room() -> Int { output.room(loop.buffers) }

    final func append(_ bytes: UnsafeRawPointer, _ count: Int) -> Bool { output.append(bytes, count, loop.buffers) }

    /// Gathers what nghttp2 has to say until there is no more, or no room.
    final func produce() {
        guard !isBroken else { return }
        while true {
            guard room() >= Self.leastRoom || makeRoom() else { return }
            guard let bytes = session.nextBytes() else { return fail() }
            guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
            guard append(start, bytes.count) else { return fail() }
        }
    }

    /// Empties the output for more. `false`: the transport takes no more.
    final func makeRoom() -> Bool {
        output.expectMuch()
        flush()
        guard isWritable, !isBroken else { return false }
        guard room() > Self.leastRoom else {
            fail()
            return false
        }
        return true
    }

    final func flush() {
        guard isWritable, !isBroken else { return }
        switch output.flush(transport, loop.buffers, &octetsSent) {
        case .done: break
        case .blocked:
            isWritable = false
            outputBlocked()
        case .failed: fail()
        }
    }

    /// Overridden: the peer has to take something before more can be said.
    func outputBlocked() {}

    final func scheduleTurnEnd() { loop.finishTurn(with: self) }

    /// Overridden: a DATA frame went out.
    func dataSent() {}

    /// Overridden: a stream was reset, by the peer or for a fault of the peer.
    func streamReset() {}

    final func consumed(_ stream: HTTP2Stream, _ count: Int) {
        guard isOpen, count > 0 else { return }
        session.consume(stream.id, count)
        scheduleTurnEnd()
    }

    final func consumedForConnection(_ count: Int) {
        guard isOpen else { return }
        session.consumeConnection(count)
        scheduleTurnEnd()
    }

    // MARK: - End

    final func fail() {
        isBroken = true
        scheduleTurnEnd()
    }

    private static let lingerNanoseconds: UInt64 = 2_000_000_000
    private static let lingerBytes = 1 << 20

    /// Overridden: no stream may begin here any more.
    func leaving() {}

    /// Overridden: nothing more is read, which was this side's decision.
    func readingEnded() {}

    /// Everything is said: ends this side and waits a little for the other, so that no reset destroys what was said.
    private func linger() {
        leaving()
        readingEnded()
        abandonStreams()
        isLingering = true
        transport.shutdownWrite()
        output.release(loop.buffers)
        loop.setDeadline(self, after: Self.lingerNanoseconds)
        if sawPeerClose { close() }
    }

    private func abandonStreams() {
        while let stream = newest {
            stream.letGo()
            if stream.isAttached { stream.deliver(.error) }
            stream.recycleIfFree()
        }
    }

    /// Ends the connection at once.
    final func close() {
        guard isOpen else { return }
        isBroken = true
        leaving()
        abandonStreams()
        for stream in woken {
            let stream = stream.takeRetainedValue()
            stream.isWoken = false
            stream.recycleIfFree()
        }
        woken = []
        for stream in waiting {
            let stream = stream.takeRetainedValue()
            stream.isWaiting = false
            stream.recycleIfFree()
        }
        waiting = []
        loop.detach(self)
        transport.close()
        transport = .none
        output.release(loop.buffers)
        session.free()
        ended()
    }

    /// Overridden: the connection is closed.
    func ended() {}
}
