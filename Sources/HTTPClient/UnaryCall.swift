internal import CNGHTTP2

/// One unary gRPC call as an HTTP/2 client session with a single stream: octets in, octets out, no I/O.
///
/// What the server sends is bounded: the message by `limitBytes`, everything else by nghttp2's own limits.
final class UnaryCall {
    enum Outcome: Equatable {
        /// The message, when `grpc-status` is 0.
        case message([UInt8])
        case httpStatus(Int)
        case grpcStatus(Int)
        case broken(String)
    }

    private var session: OpaquePointer?
    private let limit: Int
    private var request: [UInt8]
    private var sent = 0
    private var answer: [UInt8] = []
    private var httpStatus = 0
    private var grpcStatus: Int?
    private(set) var outcome: Outcome?

    /// `nil`: no memory.
    init?(authority: String, path: String, message: [UInt8], limitBytes: Int) {
        limit = limitBytes
        request = message
        var callbacks: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else { return nil }
        defer { nghttp2_session_callbacks_del(callbacks) }
        Self.set(callbacks)
        // Uncounted: the session is deleted with this object.
        let context = Unmanaged.passUnretained(self).toOpaque()
        guard nghttp2_session_client_new(&session, callbacks, context) == 0, let session else { return nil }
        guard nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil, 0) == 0,
            submit(session, authority, path) > 0
        else { return nil }
    }

    deinit { nghttp2_session_del(session) }

    // MARK: - Octets

    /// Takes what the server sent.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, outcome == nil else { return }
        let taken = nghttp2_session_mem_recv(session, base.assumingMemoryBound(to: UInt8.self), bytes.count)
        if taken < 0 { fail("HTTP/2: \(String(cString: nghttp2_strerror(Int32(taken))))") }
    }

    /// What is to be sent now.
    func output() -> [UInt8] {
        var collected: [UInt8] = []
        while true {
            var data: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &data)
            if count < 0 { fail("HTTP/2: \(String(cString: nghttp2_strerror(Int32(count))))") }
            guard count > 0, let data else { break }
            collected.append(contentsOf: UnsafeBufferPointer(start: data, count: count))
        }
        // nghttp2 answers what is not HTTP/2 with GOAWAY and then wants nothing more.
        if nghttp2_session_want_read(session) == 0 { fail("not HTTP/2, or broken") }
        return collected
    }

    /// The server will send no more.
    func streamEnded() { fail("closed before the answer") }

    private func fail(_ reason: String) { outcome = outcome ?? .broken(reason) }

    // MARK: - The request

    private func submit(_ session: OpaquePointer, _ authority: String, _ path: String) -> Int32 {
        let fields = [
            (":method", "POST"), (":scheme", "http"), (":authority", authority), (":path", path),
            ("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "meshd-probe"),
        ]
        // nghttp2 copies them.
        var text = fields.flatMap { Array($0.0.utf8) + Array($0.1.utf8) }
        return text.withUnsafeMutableBufferPointer { bytes in
            guard var next = bytes.baseAddress else { return -1 }
            let pairs = fields.map { name, value in
                defer { next += name.utf8.count + value.utf8.count }
                return nghttp2_nv(
                    name: next, value: next + name.utf8.count, namelen: name.utf8.count, valuelen: value.utf8.count,
                    flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
            }
            var provider = nghttp2_data_provider()
            provider.read_callback = { _, _, buffer, capacity, flags, _, context in
                guard let call = UnaryCall.of(context), let buffer, let flags else { return 0 }
                return call.read(into: buffer, capacity, flags)
            }
            return nghttp2_submit_request(session, nil, pairs, pairs.count, &provider, nil)
        }
    }

    private func read(into buffer: UnsafeMutablePointer<UInt8>, _ capacity: Int, _ flags: UnsafeMutablePointer<UInt32>)
        -> Int
    {
        let count = min(capacity, request.count - sent)
        request.withUnsafeBufferPointer { bytes in
            if let base = bytes.baseAddress { buffer.update(from: base + sent, count: count) }
        }
        sent += count
        if sent == request.count { flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue) }
        return count
    }

    // MARK: - The answer

    private static func of(_ context: UnsafeMutableRawPointer?) -> UnaryCall? {
        context.map { Unmanaged<UnaryCall>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func set(_ callbacks: OpaquePointer) {
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, _, name, nameSize, value, valueSize, _, context in
            let (name, value) = (
                UnsafeBufferPointer(start: name, count: nameSize), UnsafeBufferPointer(start: value, count: valueSize)
            )
            UnaryCall.of(context)?.field(name, value)
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, _, data, count, context in
            UnaryCall.of(context)?.data(UnsafeBufferPointer(start: data, count: count))
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, _, code, context in
            UnaryCall.of(context)?.closed(code)
            return 0
        }
    }

    private func field(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
        if name.elementsEqual(":status".utf8) { httpStatus = Self.number(value) ?? 0 }
        if name.elementsEqual("grpc-status".utf8) { grpcStatus = Self.number(value) ?? 2 }
    }

    /// Up to three digits.
    private static func number(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
        guard (1...3).contains(text.count), text.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return text.reduce(0) { $0 * 10 + Int($1) - 0x30 }
    }

    private func data(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard bytes.count <= limit - answer.count else { return fail("the answer is larger than \(limit) bytes") }
        answer.append(contentsOf: bytes)
    }

    private func closed(_ code: UInt32) {
        guard outcome == nil else { return }
        guard code == NGHTTP2_NO_ERROR.rawValue else {
            return fail("the stream was reset: \(String(cString: nghttp2_http2_strerror(code)))")
        }
        if httpStatus != 200 {
            outcome = .httpStatus(httpStatus)
        } else if let grpcStatus {
            outcome = grpcStatus == 0 ? .message(answer) : .grpcStatus(grpcStatus)
        } else {
            fail("no grpc-status")
        }
    }
}
