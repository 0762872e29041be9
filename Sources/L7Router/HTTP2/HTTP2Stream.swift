import CNGHTTP2
import HTTPCodec
import Reactor

/// One stream of an HTTP/2 connection, which the engine above takes for an HTTP/1.1 connection of its own.
///
/// What the peer sends waits in a queue that its flow-control window bounds, and is rendered as HTTP/1.1 when the
/// engine reads. What the engine sends is framed from the engine's own buffer: a stream holds none of it, and takes no
/// more than both windows and the connection's output have room for.
///
/// Three hold a stream: nghttp2 (`isLive`), the engine (`isAttached`), and the connection's queues. Let go by all, it
/// serves another request.
class HTTP2Stream: TransportLayer {
    /// Held from `begin` until the stream is free again: the engine may still read after the connection's end.
    final unowned(unsafe) var connection: HTTP2Connection?
    final var id: Int32 = 0
    final unowned(unsafe) var previous: HTTP2Stream?
    final unowned(unsafe) var next: HTTP2Stream?

    /// nghttp2 knows it.
    final var isLive = false
    /// The engine has it.
    final var isAttached = false
    /// The connection will tell it `news`.
    final var isWoken = false
    final var news: Readiness = []
    /// It waits for room that all streams share.
    final var isWaiting = false
    /// It waits for its own window.
    final var isWindowBlocked = false

    /// What came: first the head as text, then the body.
    private var inbox = BlockQueue()
    private var textCount = 0
    private var trailers = BlockQueue()
    /// The body has no length of its own: it is rendered in chunks.
    final var isChunked = false
    /// A WebSocket (RFC 8441): the bytes of either side end with END_STREAM alone.
    final var isTunnel = false
    final private(set) var inputEnded = false
    private var endIsGiven = false

    /// How far the message that the engine sends has come.
    enum Phase {
        /// A head is expected, interim or final.
        case head
        case body
        case ended
    }

    final var phase = Phase.head
    final var body = BodyDecoder(.none)
    /// Octets of a decoded run that are still to be framed; they come first in what is sent next.
    final var owed = 0
    /// The run being framed; empty outside `push`.
    final var source = UnsafeRawBufferPointer(start: nil, count: 0)
    final var sourceEnds = false
    final var hasTrailers = false
    final var isDeferred = false
    /// END_STREAM, or what comes before trailers, has been framed.
    final var endIsSent = false
    /// What the engine sent was no message, or it wants the peer to know that it is none.
    final var isCut = false
    /// Why nghttp2's stream ended.
    final private(set) var closeCode: UInt32 = 0
    /// The peer reset it.
    final var isPeerReset = false

    final var loop: EventLoop? { connection?.loop }

    // MARK: - Life

    /// Becomes one of the connection's streams. nghttp2's stream and this one know each other until `closed` or
    /// `letGo`.
    ///
    /// - Parameter id: of a stream that the peer has opened; 0: it is opened with the first bytes that are sent.
    final func begin(_ connection: HTTP2Connection, _ id: Int32) {
        self.connection = Unmanaged.passRetained(connection).takeUnretainedValue()
        self.id = id
        isLive = true
        connection.insert(self)
        if id != 0 { connection.session.setStream(id, self) }
    }

    /// nghttp2's stream is gone.
    final func closed(_ code: UInt32) {
        isLive = false
        closeCode = code
        connection?.remove(self)
        if code != NGHTTP2_NO_ERROR.rawValue { connection?.streamReset() }
        guard isAttached else {
            if !isPeerReset { neverServed() }
            // A flood of these must not hold memory until the end of what came with it.
            dropInput()
            return recycleIfFree()
        }
        // Where both sides have said everything nobody needs to hear of it.
        if code != NGHTTP2_NO_ERROR.rawValue || !endIsSent { connection?.wake(self, .error) }
    }

    /// Forgets nghttp2's stream, which goes on without us.
    final func letGo() {
        guard isLive else { return }
        isLive = false
        if id != 0 { connection?.session.setStream(id, nil) }
        connection?.remove(self)
    }

    /// Back to where streams wait to be used again, once nobody holds this one.
    final func recycleIfFree() {
        guard !isLive, !isAttached, !isWoken, !isWaiting, let connection else { return }
        dropInput()
        self.connection = nil
        clear()
        recycle(connection)
        Unmanaged.passUnretained(connection).release()
    }

    private func dropInput() {
        guard let connection else { return }
        let leftover = inbox.count - textCount
        // What nobody took still counts against the window of all.
        if leftover > 0 { connection.consumedForConnection(leftover) }
        textCount = 0
        inbox.release(connection.loop.buffers)
        trailers.release(connection.loop.buffers)
    }

    private func clear() {
        textCount = 0
        news = []
        (isChunked, isTunnel, inputEnded, endIsGiven) = (false, false, false, false)
        (sourceEnds, hasTrailers, isDeferred, endIsSent, isWindowBlocked) = (false, false, false, false, false)
        (phase, owed, isCut, closeCode, isPeerReset, id) = (.head, 0, false, 0, false, 0)
        body = BodyDecoder(.none)
    }

    /// Overridden: resets what it adds and gives itself back.
    func recycle(_ connection: HTTP2Connection) {}

    /// Overridden: whether an engine will be attached with the next delivery.
    var awaitsEngine: Bool { false }

    /// Overridden: hands a head to nghttp2 as a header block. Returns its length, `nil` where it is none.
    func submitHead(_ bytes: UnsafeRawBufferPointer, _ connection: HTTP2Connection) -> Int? { nil }

    /// Overridden: the stream has ended without an engine, and not because the peer reset it.
    func neverServed() {}

    /// The text of a head that nobody has read yet.
    final var unreadHead: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: inbox.front.prefix(textCount)) }

    /// Overridden: passes `news` on to the engine.
    func deliver(_ news: Readiness) {}

    // MARK: - What the peer sends

    /// Memory for the text of a head.
    final func openText(_ buffers: BufferPool) -> UnsafeMutableRawPointer? {
        inbox.isEmpty ? inbox.open(buffers) : nil
    }

    final func commitText(_ count: Int) {
        inbox.commit(count)
        textCount = count
    }

    /// More text, behind text that may not have been read yet. `false`: no buffer could be had.
    final func appendText(_ bytes: UnsafeRawPointer, _ count: Int, _ buffers: BufferPool) -> Bool {
        textCount += count
        return inbox.append(bytes, count, buffers)
    }

    /// `false`: no buffer could be had.
    final func append(_ bytes: UnsafeRawPointer, _ count: Int, _ buffers: BufferPool) -> Bool {
        inbox.append(bytes, count, buffers)
    }

    /// Takes a trailer field. `false`: it cannot be one, or there are too many.
    final func appendTrailer(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ buffers: BufferPool
    ) -> Bool {
        let size = name.count + value.count + 4
        guard trailers.count + size <= BodyDecoder.trailerLimitBytes else { return false }
        return withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { line in
            var writer = HeadWriter(line.baseAddress!, capacity: size)
            guard writer.appendLine(name, value) == nil else { return false }
            return trailers.append(line.baseAddress!, writer.count, buffers)
        }
    }

    final func endInput() { inputEnded = true }

    override final func receive(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> IOResult {
        guard let connection else { return .failed(SystemError.connectionReset) }
        let buffers = connection.loop.buffers
        var written = 0
        if textCount > 0 {
            written = inbox.read(into: buffer, min(textCount, capacity), buffers)
            textCount -= written
        }
        if textCount == 0, !inbox.isEmpty { written += readBody(buffer + written, capacity - written, connection) }
        let isDrained = inbox.isEmpty
        // The end of a tunnel is a read of its own: nothing else tells of it.
        if isDrained, inputEnded, !endIsGiven, !isTunnel || written == 0 {
            written += giveEnd(buffer + written, capacity - written, buffers)
        }
        // A short read promises that there is no more.
        if written < capacity, !isDrained || inputEnded && !endIsGiven { connection.wake(self, .readable) }
        if written > 0 || endIsGiven { return .count(written) }
        // Nothing answers what could not be sent.
        return (isLive || inputEnded) && !isCut ? .wouldBlock : .failed(SystemError.connectionReset)
    }

    private func readBody(_ target: UnsafeMutableRawPointer, _ space: Int, _ connection: HTTP2Connection) -> Int {
        let buffers = connection.loop.buffers
        var count = min(inbox.count, space)
        guard isChunked else {
            count = inbox.read(into: target, count, buffers)
            connection.consumed(self, count)
            return count
        }
        count = min(inbox.count, space - ChunkFrame.headroom - 2)
        guard count > 0 else { return 0 }
        var writer = HeadWriter(target, capacity: space)
        writer.append(hex: UInt64(count), digits: (67 - count.leadingZeroBitCount) / 4)
        writer.append("\r\n")
        let start = writer.count
        count = inbox.read(into: target + start, count, buffers)
        var end = HeadWriter(target, capacity: space, count: start + count)
        end.append("\r\n")
        connection.consumed(self, count)
        return end.count
    }

    private func giveEnd(_ target: UnsafeMutableRawPointer, _ space: Int, _ buffers: BufferPool) -> Int {
        guard isChunked else {
            endIsGiven = true
            return 0
        }
        guard space >= trailers.count + 5 else { return 0 }
        var writer = HeadWriter(target, capacity: space)
        writer.append("0\r\n")
        let count = trailers.read(into: target + writer.count, trailers.count, buffers)
        writer = HeadWriter(target, capacity: space, count: writer.count + count)
        writer.append("\r\n")
        endIsGiven = true
        return writer.count
    }

    override final func hasPendingEnd() -> Bool { !isLive || !inbox.isEmpty || inputEnded }

    // MARK: - What the engine sends

    override final func send(_ bytes: UnsafeRawBufferPointer, more: Bool) -> IOResult { sendMessage(bytes) }

    override final func send(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, more: Bool
    ) -> IOResult {
        let result = sendMessage(first)
        guard case .count(first.count) = result, case .count(let count) = sendMessage(second) else { return result }
        return .count(first.count + count)
    }

    /// Ends this side of a tunnel; every other message has an end of its own.
    override final func shutdownWrite() {
        guard isLive, isTunnel, phase == .body else { return }
        phase = .ended
        _ = push(UnsafeRawBufferPointer(start: nil, count: 0), ends: true)
        connection?.scheduleTurnEnd()
    }

    override final func resetOnClose() { isCut = true }
}
