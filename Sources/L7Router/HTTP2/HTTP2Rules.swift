import CNGHTTP2

/// What all sessions of one worker have in common: which calls nghttp2 makes, and what it leaves to us. Every call
/// only notes what happened; streams hear of it when nghttp2 has returned.
struct HTTP2Rules {
    let callbacks: OpaquePointer
    let options: OpaquePointer

    /// `nil`: out of memory.
    init?() {
        var made: (callbacks: OpaquePointer?, options: OpaquePointer?)
        guard nghttp2_session_callbacks_new(&made.callbacks) == 0, nghttp2_option_new(&made.options) == 0,
            let callbacks = made.callbacks, let options = made.options
        else { return nil }
        self.callbacks = callbacks
        self.options = options
        setOptions()
        setFrameCalls()
        setFieldCalls()
        setDataCalls()
        setRequestCalls()
    }

    /// Frees both; the holder calls it once, after the last session.
    func free() {
        nghttp2_session_callbacks_del(callbacks)
        nghttp2_option_del(options)
    }

    private func setOptions() {
        // A window opens when an exchange has taken the bytes, not when they have come.
        nghttp2_option_set_no_auto_window_update(options, 1)
        nghttp2_option_set_no_closed_streams(options, 1)
        // Pings, settings and resets are counted here, with a setting and a metric; this is above what they allow and
        // one read can hold.
        nghttp2_option_set_max_outbound_ack(options, 10_000)
        nghttp2_option_set_stream_reset_rate_limit(options, UInt64.max, UInt64.max)
    }

    private func setFrameCalls() {
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { _, header, user in
            guard let header else { return 0 }
            return HTTP2Rules.with(user) { $0.frameBegan(header.pointee) }
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            guard let frame else { return 0 }
            return HTTP2Rules.with(user) { $0.frameReceived(frame) }
        }
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) { _, frame, _, user in
            HTTP2Rules.with(user) { connection in
                connection.context.counters.protocolErrors += 1
                if let frame { connection.frameRefused(frame) }
            }
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { session, id, code, user in
            guard let own = nghttp2_session_get_stream_user_data(session, id) else { return 0 }
            // Held here: it is let go of while it hears of its end.
            let stream = Unmanaged<HTTP2Stream>.fromOpaque(own).takeUnretainedValue()
            stream.closed(code)
            return 0
        }
    }

    private func setFieldCalls() {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
            guard let frame else { return 0 }
            return HTTP2Rules.with(user) { $0.headersBegan(frame.pointee.hd.stream_id, frame.pointee.headers.cat) }
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, _, name, nameCount, value, valueCount, _, user in
            let name = UnsafeRawBufferPointer(start: name, count: nameCount)
            let value = UnsafeRawBufferPointer(start: value, count: valueCount)
            var result: Int32 = 0
            _ = HTTP2Rules.with(user) { result = $0.fieldReceived(name, value) ? 0 : HTTP2Rules.resetStream }
            return result
        }
        // Left alone, nghttp2 would leave such a field out and go on: a request is refused as a whole instead.
        nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) { _, _, _, _, _, _, _, user in
            _ = HTTP2Rules.with(user) { $0.context.counters.protocolErrors += 1 }
            return HTTP2Rules.resetStream
        }
    }

    /// Requests that nghttp2 keeps until the peer takes another stream. Of those that it will not send any more it
    /// tells as of streams that were refused.
    private func setRequestCalls() {
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
            guard let frame, UInt32(frame.pointee.hd.type) == NGHTTP2_HEADERS.rawValue else { return 0 }
            return HTTP2Rules.with(user) { $0.headersSent(frame.pointee.hd.stream_id) }
        }
    }

    private func setDataCalls() {
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, bytes, count, user in
            guard let bytes else { return 0 }
            return HTTP2Rules.with(user) { $0.dataReceived(id, UnsafeRawPointer(bytes), count) }
        }
        nghttp2_session_callbacks_set_send_data_callback(callbacks) { session, frame, header, count, _, user in
            guard let frame, let header,
                let own = nghttp2_session_get_stream_user_data(session, frame.pointee.hd.stream_id)
            else { return HTTP2Rules.resetStream }
            var isWritten = false
            Unmanaged<HTTP2Stream>.fromOpaque(own)._withUnsafeGuaranteedRef { stream in
                isWritten = stream.writeData(frameHeader: header, count)
            }
            return isWritten ? 0 : Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
    }

    private static var resetStream: Int32 { NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue }

    @inline(__always)
    private static func with(_ user: UnsafeMutableRawPointer?, _ body: (HTTP2Connection) -> Void) -> Int32 {
        guard let user else { return 0 }
        Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef(body)
        return 0
    }

    /// Where DATA frames come from: the stream's run of the moment.
    static var dataSource: nghttp2_data_source_read_callback {
        { session, id, _, limit, flags, _, _ in
            guard let flags else { return 0 }
            guard let own = nghttp2_session_get_stream_user_data(session, id) else {
                flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
                return 0
            }
            var count = 0
            Unmanaged<HTTP2Stream>.fromOpaque(own)._withUnsafeGuaranteedRef {
                count = $0.offerData(limit, &flags.pointee)
            }
            return count
        }
    }

    static var deferred: Int { Int(NGHTTP2_ERR_DEFERRED.rawValue) }
}
