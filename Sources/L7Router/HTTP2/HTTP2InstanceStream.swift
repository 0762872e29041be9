import CNGHTTP2
import HTTPCodec
import Reactor

/// A stream to an instance: the HTTP/1.1 request that an exchange writes goes out as a header block and data, and the
/// instance's answer reads as HTTP/1.1.
final class HTTP2InstanceStream: HTTP2Stream {
    unowned(unsafe) var owner: InstanceConnection?
    /// Of the connection, where it could not be made.
    var failure: Int32 = 0
    private(set) var isHead = false
    private(set) var gotFinalHead = false
    /// A WebSocket is asked for: whether the instance takes any is known when its settings have come.
    var awaitsSettings = false
    /// It takes none.
    var isTunnelRefused = false
    /// It takes none on this connection: all its streams have gone to others.
    var isCrowdedOut = false
    /// What the client's key is to be answered with; `nil`: no WebSocket is asked for.
    private(set) var accept: WebSocketAccept?

    /// The instance's answer is none.
    var isMalformed = false

    /// Whether what came on the stream breaks the protocol.
    var isBroken: Bool {
        switch nghttp2_error_code(closeCode) {
        case NGHTTP2_PROTOCOL_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_FLOW_CONTROL_ERROR: !isPeerReset
        default: isMalformed
        }
    }

    /// Whether the instance has not begun to work on the request.
    var isRefused: Bool { closeCode == NGHTTP2_REFUSED_STREAM.rawValue }

    override func recycle(_ connection: HTTP2Connection) {
        owner = nil
        (failure, isHead, gotFinalHead, isMalformed) = (0, false, false, false)
        (awaitsSettings, isTunnelRefused, isCrowdedOut, accept) = (false, false, false, nil)
        connection.context.giveBack(self)
    }

    override func deliver(_ news: Readiness) {
        if isAttached { owner?.ready(news) }
    }

    func finalHeadCame(isChunked: Bool, isTunnel: Bool) {
        gotFinalHead = true
        self.isChunked = isChunked
        self.isTunnel = isTunnel
    }

    override func submitHead(_ bytes: UnsafeRawBufferPointer, _ connection: HTTP2Connection) -> Int? {
        let context = connection.context
        guard
            case .complete(let length) = context.requestHead.parse(
                bytes, limits: Self.ownLimits, fields: &context.fields),
            let base = bytes.baseAddress
        else { return nil }
        let head = context.requestHead
        isHead = head.method == .head
        if head.asksWebSocket(context.fields, in: base) {
            guard let key = context.fields.only(.secWebSocketKey, in: base) else { return nil }
            accept = WebSocketAccept(key: key)
        }
        fill(&context.vector, head, context.fields, from: base, connection)
        let hasBody = expectBody(accept == nil ? head.framing : .untilClose)
        var source = nghttp2_data_provider()
        source.read_callback = HTTP2Rules.dataSource
        let user = Unmanaged<HTTP2Stream>.passUnretained(self).toOpaque()
        let given = withUnsafePointer(to: source) { source in
            nghttp2_submit_request(
                connection.session.handle, nil, context.vector.fields, context.vector.count,
                hasBody ? source : nil, user)
        }
        guard given > 0 else { return nil }
        id = given
        (connection as? HTTP2Client)?.numbered(given)
        context.counters.upstreamStreams += 1
        return length
    }

    /// The fields of the header block. A WebSocket is an extended CONNECT (RFC 8441 section 4).
    private func fill(
        _ vector: inout FieldVector, _ head: RequestHead, _ fields: FieldTable, from base: UnsafeRawPointer,
        _ connection: HTTP2Connection
    ) {
        vector.removeAll()
        if accept == nil {
            vector.append(":method", head.methodRange.bytes(in: base))
        } else {
            vector.append(":method", "CONNECT")
            vector.append(":protocol", "websocket")
        }
        vector.append(":scheme", connection.transport.layer == nil ? "http" : "https")
        vector.append(":authority", head.authority.bytes(in: base))
        vector.append(":path", head.target.bytes(in: base))
        if accept != nil { fields.drop(.secWebSocketKey) }
        vector.append(fields, from: base, omitting: .host)
        if head.options.contains(.acceptsTrailers) { vector.append("te", "trailers") }
    }

    /// The exchange is over. An answer that nobody reads to its end is not wanted any more.
    override func close() {
        guard isAttached else { return }
        isAttached = false
        owner = nil
        if isLive, let connection {
            if id == 0 {
                // It never began.
                letGo()
            } else if !inputEnded || !isSaid {
                connection.session.reset(id, NGHTTP2_CANCEL)
                letGo()
                connection.scheduleTurnEnd()
            } else if endIsSent {
                letGo()
            }
        }
        recycleIfFree()
    }
}
