import CNGHTTP2
import HTTPCodec
import Reactor

/// A stream that a client has opened: its request reads as HTTP/1.1, and the HTTP/1.1 response that an exchange writes
/// goes out as header blocks and data.
final class HTTP2RequestStream: HTTP2Stream {
    private let worker: HTTPWorker
    private let client: ClientConnection
    private(set) var isHead = false
    private var fault: MessageError?
    private var isHeadComplete = false
    /// What an instance that speaks HTTP/1.1 has to answer to this side's key.
    private(set) var accept: WebSocketAccept?
    /// What the access log is to say of a head that is at fault.
    private var notes: ExchangeNotes?

    init(_ worker: HTTPWorker) {
        self.worker = worker
        client = ClientConnection(stream: worker)
    }

    override func recycle(_ connection: HTTP2Connection) {
        (isHead, fault, isHeadComplete, accept) = (false, nil, false, nil)
        dropNotes()
        connection.context.giveBack(self)
    }

    /// Whether an engine will be attached with the next delivery.
    override var awaitsEngine: Bool { isHeadComplete && !isAttached }

    /// The request's head is whole.
    func headCompleted(_ text: inout RequestText, hasBody: Bool) {
        isChunked = text.finish(hasBody: hasBody) {
            let key = WebSocketKey(worker.random.next(), worker.random.next())
            accept = key.accept
            return key
        }
        fault = text.fault
        if fault != nil, worker.accessLog != nil {
            var notes = ExchangeNotes()
            notes.setRequest(text)
            self.notes = notes
        }
        isTunnel = text.isTunnel && fault == nil
        isHead = text.isHead
        isHeadComplete = true
        commitText(fault == nil ? text.count : 0)
        connection?.wake(self, .readable)
    }

    override func deliver(_ news: Readiness) {
        if isAttached {
            if news.contains(.error) { client.exchange?.reason = client.exchange?.reason ?? endReason }
            return client.ready(news)
        }
        // Reset before anything was done for it.
        guard isLive, isHeadComplete, let server = connection as? HTTP2Server else { return }
        isHeadComplete = false
        isAttached = true
        client.open(self, of: server)
        guard let fault else { return client.ready(news) }
        client.refuse(fault, notes ?? ExchangeNotes())
        dropNotes()
    }

    override func neverServed() {
        guard isHeadComplete, let server = connection as? HTTP2Server else { return }
        server.count(head: unreadHead, notes)
    }

    private func dropNotes() {
        notes?.deallocate()
        notes = nil
    }

    /// Why the stream ended before its time, where this side did not take something; `nil`: the client left.
    private var endReason: EndReason? {
        if (connection as? HTTP2Server)?.hasRefusedClient == true { return .requestError }
        guard closeCode != NGHTTP2_NO_ERROR.rawValue, !isPeerReset else { return nil }
        return closeCode == NGHTTP2_ENHANCE_YOUR_CALM.rawValue ? .internalResponse : .requestError
    }

    // MARK: - Response

    /// One head as a header block; `nil` where it is none.
    override func submitHead(_ bytes: UnsafeRawBufferPointer, _ connection: HTTP2Connection) -> Int? {
        let context = connection.context
        guard
            case .complete(let length) = context.responseHead.parse(
                bytes, toHead: isHead, limits: Self.ownLimits, fields: &context.fields),
            let base = bytes.baseAddress
        else { return nil }
        let head = context.responseHead
        context.vector.removeAll()
        // Where HTTP/1.1 switches protocols the stream is simply a success (RFC 8441 section 5).
        let opensTunnel = head.status == 101
        context.vector.append(status: opensTunnel ? 200 : head.status)
        context.vector.append(context.fields, from: base, omitting: opensTunnel ? .secWebSocketAccept : nil)
        let count = context.vector.count
        if head.isInterim {
            let flags = UInt8(NGHTTP2_FLAG_NONE.rawValue)
            let fields = context.vector.fields
            return nghttp2_submit_headers(connection.session.handle, flags, id, nil, fields, count, nil) == 0
                ? length : nil
        }
        isTunnel = opensTunnel
        let hasBody = expectBody(opensTunnel ? .untilClose : head.framing)
        var source = nghttp2_data_provider()
        source.read_callback = HTTP2Rules.dataSource
        let result = withUnsafePointer(to: source) { source in
            nghttp2_submit_response(
                connection.session.handle, id, context.vector.fields, count, hasBody ? source : nil)
        }
        return result == 0 ? length : nil
    }

    // MARK: - End

    /// The exchange is over. What it did not finish is reset: a response, so that the client cannot take a part for
    /// the whole; a request, because nobody reads the rest (RFC 9113 section 8.1).
    override func close() {
        guard isAttached else { return }
        isAttached = false
        if isLive, let connection {
            if !isSaid {
                reset(connection, isTunnel ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR)
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
