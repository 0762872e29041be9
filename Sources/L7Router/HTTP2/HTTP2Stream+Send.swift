import CNGHTTP2
import HTTPCodec
import Reactor

// What the engine sends: HTTP/1.1 taken apart again, and framed from the engine's own buffer.

extension HTTP2Stream {
    /// Limits of heads that were rendered here.
    static var ownLimits: MessageLimits {
        MessageLimits(
            targetBytes: BufferPool.smallCapacity, fields: FieldTable.maximum, headBytes: BufferPool.smallCapacity)
    }

    /// Whether the engine's message has been handed to nghttp2 as a whole, as it should be.
    var isSaid: Bool { phase == .ended && !isCut }

    /// Takes a prefix of what the engine sends.
    func sendMessage(_ bytes: UnsafeRawBufferPointer) -> IOResult {
        guard isLive, let connection, !connection.isBroken else { return .failed(SystemError.connectionReset) }
        // A head takes no part of a window: it need not wait behind bodies that do.
        if phase == .head, !connection.isWritable, !connection.maySend(self) { return .wouldBlock }
        // However far it comes, what was framed goes out.
        connection.scheduleTurnEnd()
        var position = 0
        while position < bytes.count {
            switch phase {
            case .head:
                let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
                guard let length = submitHead(rest, connection) else { return misunderstood() }
                position += length
            case .body:
                guard let reached = sendBody(bytes, from: position) else { return misunderstood() }
                position = reached
                if owed > 0, reached < bytes.count { return position == 0 ? .wouldBlock : .count(position) }
            case .ended: return misunderstood()
            }
        }
        return .count(position)
    }

    /// What was sent is no HTTP/1.1: a fault of ours, which must not reach the peer as a message.
    private func misunderstood() -> IOResult {
        isCut = true
        return .failed(SystemError.connectionReset)
    }

    /// A head has been read whose body is framed like this. Returns whether there is one.
    func expectBody(_ framing: Framing) -> Bool {
        body = BodyDecoder(framing)
        phase = body.isFinished ? .ended : .body
        if body.isFinished { endIsSent = true }
        return !body.isFinished
    }

    /// Frames what it can of one piece of the body; returns how far it came, `nil` for a fault.
    private func sendBody(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var position = start
        if owed == 0 {
            let step = body.decodeRun(bytes, from: position)
            guard step.error == nil else { return nil }
            guard step.dataCount > 0 else {
                if step.isFinished {
                    guard sendEnd(bytes, step.trailers) else { return nil }
                } else if step.consumed == position {
                    return nil
                }
                return step.consumed
            }
            position = step.dataStart
            owed = step.dataCount
        }
        let count = min(owed, bytes.count - position)
        guard connection?.maySend(self) ?? false else { return position }
        let ends = body.isFinished && count == owed
        let taken = push(UnsafeRawBufferPointer(rebasing: bytes[position..<position + count]), ends: ends)
        owed -= taken
        if ends, taken == count { phase = .ended }
        return position + taken
    }

    /// The end of a chunked body.
    private func sendEnd(_ bytes: UnsafeRawBufferPointer, _ section: ByteRange) -> Bool {
        phase = .ended
        guard let connection, !section.isEmpty, let base = bytes.baseAddress else {
            _ = push(UnsafeRawBufferPointer(start: nil, count: 0), ends: true)
            return true
        }
        let context = connection.context
        guard context.fields.parseTrailers(section, from: base) else { return false }
        _ = push(UnsafeRawBufferPointer(start: nil, count: 0), ends: true, trailers: true)
        context.vector.removeAll()
        context.vector.append(context.fields, from: base)
        return nghttp2_submit_trailer(
            connection.session.handle, id, context.vector.fields, context.vector.count) == 0
    }

    /// Frames as much of `bytes` as there is room for, and returns how much that was. Where it is not all, the engine
    /// hears of room later.
    ///
    /// - Parameters:
    ///   - ends: nothing follows these bytes.
    ///   - trailers: a header block follows them.
    func push(_ bytes: UnsafeRawBufferPointer, ends: Bool, trailers: Bool = false) -> Int {
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
    func offerData(_ limit: Int, _ flags: inout UInt32) -> Int {
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
    func writeData(frameHeader: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        guard let connection, count <= source.count, let start = source.baseAddress else { return false }
        guard connection.append(frameHeader, HTTP2Connection.frameHeaderBytes), connection.append(start, count) else {
            return false
        }
        source = UnsafeRawBufferPointer(rebasing: source[count...])
        connection.dataSent()
        return true
    }
}
