import CNGHTTP2
import HTTPCodec
import Reactor

/// A stream that a client has opened: its request reads as HTTP/1.1, and the HTTP/1.1 response that an exchange writes
/// goes out as header blocks and data.
final class HTTP2RequestStream: HTTP2Stream {
    private enum Phase {
        /// A head is expected, interim or final.
        case head
        case body
        case ended
    }

    private let worker: HTTPWorker
    private let client: ClientConnection
    private var phase = Phase.head
    private var body = BodyDecoder(.none)
    /// Octets of a decoded run that are still to be framed; they come first in what is sent next.
    private var owed = 0
    private var isCut = false
    private(set) var isHead = false
    private var fault: MessageError?
    private var isHeadComplete = false

    init(_ worker: HTTPWorker) {
        self.worker = worker
        client = ClientConnection(stream: worker)
    }

    override func recycle(_ connection: HTTP2Connection) {
        (phase, owed, isCut, isHead, fault, isHeadComplete) = (.head, 0, false, false, nil, false)
        body = BodyDecoder(.none)
        connection.context.giveBack(self)
    }

    /// Whether an engine will be attached with the next delivery.
    override var awaitsEngine: Bool { isHeadComplete && !isAttached }

    /// The request's head is whole.
    func headCompleted(_ text: inout RequestText, hasBody: Bool) {
        isChunked = text.finish(hasBody: hasBody)
        fault = text.fault
        isHead = text.isHead
        isHeadComplete = true
        commitText(fault == nil ? text.count : 0)
        connection?.wake(self, .readable)
    }

    override func deliver(_ news: Readiness) {
        if isAttached { return client.ready(news) }
        // Reset before anything was done for it.
        guard isLive, isHeadComplete, let server = connection as? HTTP2Server else { return }
        isHeadComplete = false
        isAttached = true
        client.open(self, of: server)
        if let fault { client.refuse(fault) } else { client.ready(news) }
    }

    // MARK: - Response

    override func send(_ bytes: UnsafeRawBufferPointer, more: Bool) -> IOResult {
        guard isLive, let connection, !connection.isBroken else { return .failed(SystemError.connectionReset) }
        guard connection.maySend(self) else { return .wouldBlock }
        var position = 0
        while position < bytes.count {
            switch phase {
            case .head:
                let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
                guard let length = submitHead(rest, connection) else { return misunderstood(connection) }
                position += length
            case .body:
                guard let reached = sendBody(bytes, from: position) else { return misunderstood(connection) }
                let isStuck = owed > 0 && reached < bytes.count
                position = reached
                if isStuck { return position == 0 ? .wouldBlock : .count(position) }
            case .ended: return misunderstood(connection)
            }
        }
        connection.scheduleTurnEnd()
        return .count(position)
    }

    /// What was sent is no HTTP/1.1: a fault of ours, which must not reach the client as an answer.
    private func misunderstood(_ connection: HTTP2Connection) -> IOResult {
        isCut = true
        return .failed(SystemError.connectionReset)
    }

    override func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, more: Bool) -> IOResult {
        let result = send(first, more: true)
        guard case .count(first.count) = result else { return result }
        guard case .count(let count) = send(second, more: more) else { return result }
        return .count(first.count + count)
    }

    /// One head as a header block; `nil` where it is none.
    private func submitHead(_ bytes: UnsafeRawBufferPointer, _ connection: HTTP2Connection) -> Int? {
        let context = connection.context
        var limits = worker.options.limits
        // Meshd has added fields of its own.
        limits.headBytes = BufferPool.smallCapacity
        limits.fields = FieldTable.maximum
        guard
            case .complete(let length) = context.responseHead.parse(
                bytes, toHead: isHead, limits: limits, fields: &context.fields),
            let base = bytes.baseAddress
        else { return nil }
        let head = context.responseHead
        context.vector.removeAll()
        context.vector.append(status: head.status)
        context.vector.append(context.fields, from: base)
        let count = context.vector.count
        if head.isInterim {
            let flags = UInt8(NGHTTP2_FLAG_NONE.rawValue)
            let fields = context.vector.fields
            return nghttp2_submit_headers(connection.session.handle, flags, id, nil, fields, count, nil) == 0
                ? length : nil
        }
        body = BodyDecoder(head.framing)
        var source = nghttp2_data_provider()
        source.read_callback = HTTP2Rules.dataSource
        let hasBody = !body.isFinished
        let result = withUnsafePointer(to: source) { source in
            nghttp2_submit_response(
                connection.session.handle, id, context.vector.fields, count, hasBody ? source : nil)
        }
        guard result == 0 else { return nil }
        phase = hasBody ? .body : .ended
        if !hasBody { setEndSent() }
        return length
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

    // MARK: - End

    override func resetOnClose() { isCut = true }

    /// The exchange is over. What it did not finish is reset: a response, so that the client cannot take a part for
    /// the whole; a request, because nobody reads the rest (RFC 9113 section 8.1).
    override func close() {
        guard isAttached else { return }
        isAttached = false
        if isLive, let connection {
            if phase != .ended || isCut {
                reset(connection, NGHTTP2_INTERNAL_ERROR)
            } else if !inputEnded {
                // Behind the response. What cannot go out now keeps the stream: what still comes on it is dropped.
                connection.produce()
                if endIsSent { reset(connection, NGHTTP2_NO_ERROR) }
            } else if endIsSent {
                letGo()
            }
        }
        recycleIfFree()
    }

    private func reset(_ connection: HTTP2Connection, _ code: nghttp2_error_code) {
        connection.session.reset(id, code)
        connection.context.counters.resetsSent += 1
        letGo()
        connection.scheduleTurnEnd()
    }
}
