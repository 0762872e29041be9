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
    final private(set) var inputEnded = false
    private var endIsGiven = false

    /// The run being framed; empty outside `push`.
    private var source = UnsafeRawBufferPointer(start: nil, count: 0)
    private var sourceEnds = false
    private var hasTrailers = false
    private var isDeferred = false
    /// END_STREAM, or what comes before trailers, has been framed.
    final private(set) var endIsSent = false

    final var loop: EventLoop? { connection?.loop }

    // MARK: - Life

    /// Begins to serve `id`. nghttp2's stream and this one know each other until `closed` or `letGo`.
    final func begin(_ connection: HTTP2Connection, _ id: Int32) {
        self.connection = connection
        self.id = id
        isLive = true
        connection.insert(self)
        connection.session.setStream(id, self)
    }

    /// nghttp2's stream is gone.
    final func closed(_ code: UInt32) {
        isLive = false
        connection?.remove(self)
        if code != NGHTTP2_NO_ERROR.rawValue { connection?.streamReset() }
        guard isAttached else {
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
        connection?.session.setStream(id, nil)
        connection?.remove(self)
    }

    /// Back to where streams wait to be used again, once nobody holds this one.
    final func recycleIfFree() {
        guard !isLive, !isAttached, !isWoken, !isWaiting, let connection else { return }
        dropInput()
        self.connection = nil
        clear()
        recycle(connection)
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
        (isChunked, inputEnded, endIsGiven) = (false, false, false)
        (sourceEnds, hasTrailers, isDeferred, endIsSent, isWindowBlocked) = (false, false, false, false, false)
    }

    /// Overridden: resets what it adds and gives itself back.
    func recycle(_ connection: HTTP2Connection) {}

    /// Overridden: whether an engine will be attached with the next delivery.
    var awaitsEngine: Bool { false }

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
        if isDrained, inputEnded, !endIsGiven { written += giveEnd(buffer + written, capacity - written, buffers) }
        // A short read promises that there is no more.
        if written < capacity, !isDrained || inputEnded && !endIsGiven { connection.wake(self, .readable) }
        if written > 0 || endIsGiven { return .count(written) }
        return isLive || inputEnded ? .wouldBlock : .failed(SystemError.connectionReset)
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
        writer.append(hexadecimal: UInt64(count))
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

    /// Frames as much of `bytes` as there is room for, and returns how much that was. Where it is not all, the engine
    /// hears of room later.
    ///
    /// - Parameters:
    ///   - ends: nothing follows these bytes.
    ///   - trailers: a header block follows them.
    final func push(_ bytes: UnsafeRawBufferPointer, ends: Bool, trailers: Bool = false) -> Int {
        guard let connection else { return 0 }
        source = bytes
        sourceEnds = ends
        hasTrailers = trailers
        var left = Int.max
        while true {
            if isDeferred {
                isDeferred = false
                connection.session.resumeData(id)
            }
            connection.produce()
            if source.isEmpty || connection.isBroken || !isLive { break }
            if connection.session.window(id) <= 0 {
                isWindowBlocked = true
                break
            }
            guard connection.session.window > 0, source.count < left || isDeferred, connection.makeRoom() else {
                connection.wait(self)
                break
            }
            left = source.count
        }
        let taken = bytes.count - source.count
        if !source.isEmpty { sourceEnds = false }
        source = UnsafeRawBufferPointer(start: nil, count: 0)
        return taken
    }

    /// nghttp2 asks what the next DATA frame may hold.
    final func offerData(_ limit: Int, _ flags: inout UInt32) -> Int {
        var count = 0
        if !source.isEmpty {
            count = min(limit, source.count, (connection?.room() ?? 0) - HTTP2Connection.frameHeaderBytes)
            guard count > 0 else { return setDeferred() }
            flags |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        } else if !sourceEnds {
            return setDeferred()
        }
        if sourceEnds, count == source.count {
            flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
            if hasTrailers { flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
            endIsSent = true
        }
        return count
    }

    private func setDeferred() -> Int {
        isDeferred = true
        return HTTP2Rules.deferred
    }

    /// Writes a DATA frame into the connection's output.
    final func writeData(frameHeader: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        guard let connection, count <= source.count, let start = source.baseAddress else { return false }
        guard connection.append(frameHeader, HTTP2Connection.frameHeaderBytes), connection.append(start, count) else {
            return false
        }
        source = UnsafeRawBufferPointer(rebasing: source[count...])
        connection.dataSent()
        return true
    }

    /// END_STREAM went out with a header block.
    final func setEndSent() { endIsSent = true }
}

extension HeadWriter {
    mutating func append(hexadecimal value: UInt64) {
        var shift = max(0, (67 - value.leadingZeroBitCount) / 4 * 4 - 4)
        while true {
            let digit = UInt8(value >> UInt64(shift) & 15)
            append(byte: digit < 10 ? digit + 48 : digit + 87)
            if shift == 0 { return }
            shift -= 4
        }
    }
}
