import COpenSSL
import Glibc

/// Until when a session may be resumed that a client's certificate has opened. A ticket carries the certificate but
/// not those that vouched for it, so that their common end goes with it.
struct TLSTicketLife: Equatable {
    /// Seconds since 1970; from then on a certificate of the chain has ended.
    let endSeconds: Int64

    static let byteCount = 8

    init(endSeconds: Int64) { self.endSeconds = endSeconds }

    /// Reads what `octets` made; `nil`: it is something else.
    init?(_ octets: UnsafeRawBufferPointer) {
        guard octets.count == Self.byteCount else { return nil }
        endSeconds = Int64(bigEndian: octets.loadUnaligned(as: Int64.self))
    }

    var octets: [UInt8] { withUnsafeBytes(of: endSeconds.bigEndian) { Array($0) } }

    /// Whether a ticket may be taken.
    ///
    /// - Parameters:
    ///   - life: what it says of the client's certificate; `nil`: nothing.
    ///   - hasCertificate: its session was opened by one.
    ///   - nowSeconds: since 1970.
    static func allows(_ life: TLSTicketLife?, hasCertificate: Bool, nowSeconds: Int64) -> Bool {
        guard hasCertificate else { return true }
        // Of a certificate that nothing is known of, the handshake has to judge.
        return life.map { nowSeconds < $0.endSeconds } ?? false
    }
}

// MARK: - OpenSSL's calls

extension TLSTicketLife {
    /// Has tickets of this context end with the certificates that opened their sessions.
    static func watch(_ context: OpaquePointer) {
        _ = SSL_CTX_set_session_ticket_cb(
            context,
            { ssl, _ in
                if let ssl { TLSTicketLife.write(ssl) }
                return 1
            },
            { _, session, _, _, status, _ in TLSTicketLife.judge(session, status) }, nil)
    }

    /// A ticket is about to be made. That of a resumed session goes on with what the first one said.
    private static func write(_ ssl: OpaquePointer) {
        guard SSL_session_reused(ssl) == 0, let chain = SSL_get0_verified_chain(ssl) else { return }
        let ends = (0..<meshd_certificate_count(chain)).map { index in
            // What cannot be read has ended.
            TLSCertificate.seconds(X509_get0_notAfter(meshd_certificate_at(chain, index))) ?? 0
        }
        guard let end = ends.min() else { return }
        let octets = TLSTicketLife(endSeconds: end).octets
        _ = SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), octets, octets.count)
    }

    /// What comes of a ticket that was, or was not, decrypted with this result.
    private static func judge(_ session: OpaquePointer?, _ status: SSL_TICKET_STATUS) -> SSL_TICKET_RETURN {
        guard status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW, let session else {
            return SSL_TICKET_RETURN_IGNORE_RENEW
        }
        let now = Int64(WallClock.nowNanoseconds() / 1_000_000_000)
        let hasCertificate = SSL_SESSION_get0_peer(session) != nil
        guard allows(life(session), hasCertificate: hasCertificate, nowSeconds: now) else {
            return SSL_TICKET_RETURN_IGNORE_RENEW
        }
        return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW
    }

    private static func life(_ session: OpaquePointer) -> TLSTicketLife? {
        var start: UnsafeMutableRawPointer?
        var count = 0
        guard SSL_SESSION_get0_ticket_appdata(session, &start, &count) == 1 else { return nil }
        return TLSTicketLife(UnsafeRawBufferPointer(start: start, count: count))
    }
}
