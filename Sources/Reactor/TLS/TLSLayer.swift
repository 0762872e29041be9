import CLinux
import COpenSSL
import Glibc
import NetAddress

/// TLS over one socket. Made for a handshake, then handed to the engine inside a `Transport`; `close` ends both.
///
/// Reading ahead, a small message costs one `recv`; and because a short `recv` says that the kernel has no more, the
/// end of the bytes costs none. OpenSSL's error queue is empty between calls: whatever fails empties it.
public final class TLSLayer: TransportLayer {
    /// The most plain bytes of one record (RFC 8446 section 5.1).
    static let recordBytes = 16 << 10
    /// Reads that fill OpenSSL's buffer in one call that yields nothing: a peer that sends only records without data
    /// would else keep the loop for itself.
    private static let idleReads = 4

    public let socket: Socket
    let engine: TLSEngine
    /// Certificates by name, until the handshake is over.
    private(set) var table: TLSCertificateTable?
    private var ssl: OpaquePointer?
    /// The kernel has no more bytes, as far as is known.
    private var isDrained = false
    /// The peer's FIN has been read.
    private(set) var sawEnd = false
    var moreFollows = false
    /// Records that leave together; open between calls only while the socket is full.
    var gather = TLSGather()
    private var readsLeft = 0
    var ioError: Int32 = 0
    /// OpenSSL's number of what broke the connection; 0: nothing, or the peer left.
    private var breach: UInt = 0
    private var isEstablished = false
    var isBroken = false
    private var saidGoodbye = false
    /// close_notify could not be sent; `close` tries again.
    private var owesGoodbye = false
    private var resets = false
    private var sessionKey: UInt64?

    /// The server's side, on a connection that a listener accepted. `nil`: no memory, or no certificate at all.
    public convenience init?(accepted socket: Socket, _ table: TLSCertificateTable, _ engine: TLSEngine) {
        guard let context = table.fallback else { return nil }
        self.init(socket, context.pointer, engine)
        guard let ssl else { return nil }
        self.table = table
        SSL_set_accept_state(ssl)
    }

    /// The client's side, on a connection to a server.
    ///
    /// - Parameters:
    ///   - name: asked for, and looked for in the server's certificate.
    ///   - sessionKey: names the server among those whose sessions the engine keeps; `nil`: none is kept.
    ///   - http2: `h2` is asked for by ALPN, and nothing else.
    public convenience init?(
        to socket: Socket, _ context: TLSClientContext, name: String, sessionKey: UInt64?, http2: Bool = false,
        _ engine: TLSEngine
    ) {
        self.init(socket, context.pointer, engine)
        guard let ssl else { return nil }
        self.sessionKey = sessionKey
        SSL_set_connect_state(ssl)
        // A server name is never an address (RFC 6066 section 3); certificates hold both.
        let isNamed = IPAddress(name) != nil || meshd_set_host_name(ssl, name) == 1
        guard isNamed, !context.verifies || SSL_set1_host(ssl, name) == 1 else {
            ERR_clear_error()
            return nil
        }
        // SSL_set_alpn_protos tells success by 0.
        if http2, SSL_set_alpn_protos(ssl, [2, UInt8(ascii: "h"), UInt8(ascii: "2")], 3) != 0 {
            ERR_clear_error()
            return nil
        }
        if let sessionKey, let session = engine.sessions.session(sessionKey, context) { SSL_set_session(ssl, session) }
    }

    init?(_ socket: Socket, _ context: OpaquePointer, _ engine: TLSEngine) {
        self.socket = socket
        self.engine = engine
        super.init()
        guard let ssl = SSL_new(context), let bio = SocketBIO.make(self) else { return nil }
        self.ssl = ssl
        SSL_set_bio(ssl, bio, bio)
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        if let ssl { SSL_free(ssl) }
    }

    /// The layer that owns an `SSL`, within one of its callbacks.
    static func of(_ ssl: OpaquePointer) -> TLSLayer? {
        SSL_get_ex_data(ssl, 0).map { Unmanaged<TLSLayer>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Takes over a reference to a session of the server; `false`: it is not wanted.
    func keep(_ session: OpaquePointer) -> Bool {
        guard let sessionKey else { return false }
        engine.sessions.put(session, sessionKey)
        return true
    }

    /// Whether the handshake failed because of the server's certificate.
    public var isPeerDistrusted: Bool { ssl.map { SSL_get_verify_result($0) != Int(X509_V_OK) } ?? false }

    /// What is wrong with the server's certificate; `nil`: nothing, or it was not come to.
    public var distrust: String? {
        guard let ssl else { return nil }
        let result = SSL_get_verify_result(ssl)
        return result == Int(X509_V_OK) ? nil : X509_verify_cert_error_string(result).map { String(cString: $0) }
    }

    /// What broke the connection behind its handshake, such as the peer's alert; `nil`: nothing, or the peer left.
    public var breachReason: String? {
        breach == 0 ? nil : ERR_reason_error_string(breach).map { String(cString: $0) }
    }

    var ticketKeys: TLSTicketKeys { engine.ticketKeys }

    // MARK: - Handshake

    public enum Handshake {
        case done
        /// For the socket to become readable or writable.
        case waiting
        /// The peer left without a word.
        case closed
        case failed(reason: String)
    }

    /// Goes on with the handshake as far as it comes.
    public func shakeHands() -> Handshake {
        guard let ssl, !isBroken else { return .closed }
        isDrained = false
        readsLeft = .max
        moreFollows = false
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            isEstablished = true
            table = nil
            ERR_clear_error()
            return .done
        }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
            ERR_clear_error()
            return .waiting
        default:
            isBroken = true
            let reason = TLSError.take()
            return sawEnd || ioError != 0 ? .closed : .failed(reason: reason)
        }
    }

    /// Whether bytes may be there for which no event will come any more.
    public var mayHaveBytes: Bool {
        guard let ssl else { return false }
        return !isDrained || sawEnd || SSL_has_pending(ssl) != 0
    }

    /// What the handshake agreed on by ALPN (RFC 7301).
    public var negotiatesHTTP2: Bool {
        guard let ssl else { return false }
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &length)
        guard length == 2, let name else { return false }
        return name[0] == UInt8(ascii: "h") && name[1] == UInt8(ascii: "2")
    }

    /// Whether the handshake was shortened by a ticket.
    public var isResumed: Bool { ssl.map { SSL_session_reused($0) != 0 } ?? false }

    /// The client's certificate, where it showed one that was verified.
    public var peerCertificate: TLSPeerCertificate? {
        guard let ssl, let certificate = SSL_get0_peer_certificate(ssl) else { return nil }
        return TLSPeerCertificate(certificate)
    }

    // MARK: - In

    override public func receive(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> IOResult {
        guard let ssl, !isBroken else { return .failed(ECONNRESET) }
        isDrained = false
        var filled = 0
        while filled < capacity {
            readsLeft = Self.idleReads
            var count = 0
            guard SSL_read_ex(ssl, buffer + filled, capacity - filled, &count) != 1 else {
                filled += count
                if isDrained, SSL_has_pending(ssl) == 0 { break }
                continue
            }
            switch trouble(ssl) {
            case .blocked: return filled > 0 ? .count(filled) : .wouldBlock
            case .ended: return filled > 0 ? postponed(filled) : .count(0)
            case .failed(let code): return filled > 0 ? postponed(filled) : .failed(code)
            }
        }
        return .count(filled)
    }

    /// The end came behind these bytes, but a short count says that only an event brings more: shutting down our side's
    /// reading makes one.
    private func postponed(_ filled: Int) -> IOResult {
        _ = shutdown(socket.descriptor, Int32(SHUT_RD))
        return .count(filled)
    }

    /// OpenSSL's `recv`.
    func fetch(_ buffer: UnsafeMutablePointer<CChar>, _ capacity: Int) -> IOResult {
        if isDrained { return .wouldBlock }
        guard readsLeft > 0 else {
            ioError = EPROTO
            return .failed(EPROTO)
        }
        readsLeft -= 1
        let result = socket.receive(buffer, capacity)
        switch result {
        case .count(let count):
            if count < capacity { isDrained = true }
            if count == 0 { sawEnd = true }
        case .wouldBlock: isDrained = true
        case .failed(let code): ioError = code
        }
        return result
    }

    // MARK: - Out

    override public func send(_ bytes: UnsafeRawBufferPointer, more: Bool) -> IOResult {
        guard !bytes.isEmpty else { return .count(0) }
        guard let ssl, !isBroken else { return .failed(EPIPE) }
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        if gather.isOpen { return resumeSending(bytes, none, more: more) }
        if bytes.count > Self.recordBytes, gather.open(engine.buffers) {
            return sendGathered(ssl, bytes, none, more: more)
        }
        return sendRecords(ssl, bytes, more: more)
    }

    /// A head and what fits behind it become one record.
    override public func send(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, more: Bool
    ) -> IOResult {
        guard let ssl, !isBroken else { return .failed(EPIPE) }
        if gather.isOpen { return resumeSending(first, second, more: more) }
        guard let head = first.baseAddress, !first.isEmpty else { return send(second, more: more) }
        guard let tail = second.baseAddress, !second.isEmpty else { return send(first, more: more) }
        guard first.count < Self.recordBytes else { return super.send(first, second, more: more) }
        let ofTail = min(second.count, Self.recordBytes - first.count)
        engine.scratch.copyMemory(from: head, byteCount: first.count)
        (engine.scratch + first.count).copyMemory(from: tail, byteCount: ofTail)
        let record = UnsafeRawBufferPointer(start: engine.scratch, count: first.count + ofTail)
        let rest = UnsafeRawBufferPointer(rebasing: second[ofTail...])
        if rest.isEmpty { return sendRecords(ssl, record, more: more) }
        if gather.open(engine.buffers) { return sendGathered(ssl, record, rest, more: more) }
        let result = sendRecords(ssl, record, more: true)
        guard case .count(let sent) = result, sent == record.count else { return result }
        return Self.adding(sent, to: sendRecords(ssl, rest, more: more))
    }

    /// OpenSSL's `send`.
    func put(_ bytes: UnsafePointer<CChar>, _ length: Int) -> IOResult {
        // What has been gathered goes first.
        if gather.isOpen { return gather.append(bytes, length) }
        // The client does not wait for its tickets: they share the packet of the first answer.
        let more = moreFollows || (!isEstablished && SSL_get_state(ssl) == TLS_ST_SW_SESSION_TICKET)
        let result = socket.send(bytes, length, more: more)
        if case .failed(let code) = result { ioError = code }
        return result
    }

    // MARK: - Failures

    enum Trouble {
        case blocked
        /// close_notify.
        case ended
        case failed(Int32)
    }

    /// Why a call did not succeed. A FIN without close_notify is a failure: what came before it may be cut.
    func trouble(_ ssl: OpaquePointer) -> Trouble {
        switch SSL_get_error(ssl, 0) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .blocked
        case SSL_ERROR_ZERO_RETURN: return .ended
        default:
            isBroken = true
            if ioError == 0, !sawEnd { breach = ERR_peek_error() }
            ERR_clear_error()
            return .failed(ioError != 0 ? ioError : sawEnd ? ECONNRESET : EPROTO)
        }
    }

    // MARK: - End

    override public func shutdownWrite() {
        sayGoodbye()
        if !owesGoodbye { socket.shutdownWrite() }
    }

    private func sayGoodbye() {
        // Behind records that did not leave whole it would promise what the client does not have.
        guard let ssl, isEstablished, !isBroken, !resets, !saidGoodbye, !gather.isOpen else { return }
        // FIN follows at once and shares the packet.
        moreFollows = true
        let result = SSL_shutdown(ssl)
        saidGoodbye = result >= 0
        owesGoodbye = result < 0 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_WRITE
        ERR_clear_error()
    }

    override public func resetOnClose() {
        resets = true
        socket.resetOnClose()
    }

    override public func close() {
        guard let ssl else { return }
        if isEstablished, !sawEnd, !resets, !saidGoodbye { shutdownWrite() }
        self.ssl = nil
        SSL_free(ssl)
        gather.close(engine.buffers)
        socket.close()
    }

    override public func hasPendingEnd() -> Bool {
        guard let ssl, !isBroken else { return true }
        return SSL_has_pending(ssl) != 0 || socket.hasPendingEnd()
    }
}
