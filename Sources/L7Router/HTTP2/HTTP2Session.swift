import CNGHTTP2
import Reactor

/// An nghttp2 session: frames, header compression, stream states and flow control (RFC 9113, RFC 7541). Memory in,
/// memory out; the owner hears of what came through the callbacks and frees the session once.
struct HTTP2Session {
    let handle: OpaquePointer

    /// nghttp2's memory is short where this is `nil`.
    static func server(_ rules: HTTP2Rules) -> HTTP2Session? {
        var handle: OpaquePointer?
        guard nghttp2_session_server_new2(&handle, rules.callbacks, nil, rules.options) == 0 else { return nil }
        return handle.map { HTTP2Session(handle: $0) }
    }

    /// The same for the side that opens streams.
    static func client(_ rules: HTTP2Rules) -> HTTP2Session? {
        var handle: OpaquePointer?
        guard nghttp2_session_client_new2(&handle, rules.callbacks, nil, rules.options) == 0 else { return nil }
        return handle.map { HTTP2Session(handle: $0) }
    }

    static func setting(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
        nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(clamping: value))
    }

    /// Says what this side allows.
    ///
    /// - Parameter window: octets that all streams together may have on their way.
    func begin(_ settings: [nghttp2_settings_entry], window: Int) {
        let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        _ = nghttp2_submit_settings(handle, none, settings, settings.count)
        _ = nghttp2_session_set_local_window_size(handle, none, 0, Int32(clamping: window))
    }

    /// Streams that the peer takes at one time.
    var peerStreamLimit: Int {
        Int(nghttp2_session_get_remote_settings(handle, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    /// Whether the peer takes extended CONNECT (RFC 8441 section 3).
    var peerTakesTunnels: Bool {
        nghttp2_session_get_remote_settings(handle, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
    }

    /// Who hears of what comes.
    func setOwner(_ owner: HTTP2Connection) {
        nghttp2_session_set_user_data(handle, Unmanaged.passUnretained(owner).toOpaque())
    }

    func free() { nghttp2_session_del(handle) }

    // MARK: Bytes

    enum Received {
        case all
        /// A head in too many CONTINUATION frames; nothing more can be received.
        case flooded
        /// The session is beyond repair.
        case failed
    }

    func receive(_ bytes: UnsafeRawPointer, _ count: Int) -> Received {
        switch nghttp2_session_mem_recv(handle, bytes.assumingMemoryBound(to: UInt8.self), count) {
        case count: .all
        case Int(NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue): .flooded
        default: .failed
        }
    }

    /// The next bytes to send, valid until the next call: empty when there are none, `nil` beyond repair.
    func nextBytes() -> UnsafeRawBufferPointer? {
        var start: UnsafePointer<UInt8>?
        let count = nghttp2_session_mem_send(handle, &start)
        return count < 0 ? nil : UnsafeRawBufferPointer(start: start, count: count)
    }

    /// Whether anything can still come or go.
    var isAlive: Bool { nghttp2_session_want_read(handle) != 0 || nghttp2_session_want_write(handle) != 0 }
    /// Frames that wait to be sent.
    var queuedFrames: Int { nghttp2_session_get_outbound_queue_size(handle) }

    // MARK: Streams

    func stream(_ id: Int32) -> HTTP2Stream? {
        guard let user = nghttp2_session_get_stream_user_data(handle, id) else { return nil }
        return Unmanaged<HTTP2Stream>.fromOpaque(user).takeUnretainedValue()
    }

    func setStream(_ id: Int32, _ stream: HTTP2Stream?) {
        let user = stream.map { Unmanaged.passUnretained($0).toOpaque() }
        _ = nghttp2_session_set_stream_user_data(handle, id, user)
    }

    /// Octets the peer still takes: of one stream, and of all together.
    func window(_ id: Int32) -> Int { Int(nghttp2_session_get_stream_remote_window_size(handle, id)) }
    var window: Int { Int(nghttp2_session_get_remote_window_size(handle)) }

    /// Lets the peer send as much again.
    func consume(_ id: Int32, _ count: Int) { _ = nghttp2_session_consume(handle, id, count) }
    func consumeConnection(_ count: Int) { _ = nghttp2_session_consume_connection(handle, count) }

    func resumeData(_ id: Int32) { _ = nghttp2_session_resume_data(handle, id) }

    func reset(_ id: Int32, _ code: nghttp2_error_code) {
        _ = nghttp2_submit_rst_stream(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code.rawValue)
    }

    // MARK: Connection

    /// Announces that no new streams are wanted; those on their way are still taken.
    func announceEnd() {
        _ = nghttp2_submit_shutdown_notice(handle)
        _ = nghttp2_submit_ping(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
    }

    /// Takes no new streams; those begun may finish.
    func goAway() {
        let last = nghttp2_session_get_last_proc_stream_id(handle)
        _ = nghttp2_submit_goaway(
            handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, NGHTTP2_NO_ERROR.rawValue, nil, 0)
    }

    /// Ends everything with this code.
    func terminate(_ code: nghttp2_error_code) { _ = nghttp2_session_terminate_session(handle, code.rawValue) }
}
