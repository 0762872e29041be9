import COpenSSL

/// OpenSSL's context for connections to servers that are trusted by one bundle of authorities. Immutable once made; any
/// thread may make connections from it.
public final class TLSClientContext: Sendable {
    nonisolated(unsafe) let pointer: OpaquePointer
    let verifies: Bool
    /// What sessions are marked with that are begun from here: who was trusted, and whether it mattered.
    private let mark: [UInt8]

    /// - Parameters:
    ///   - authorities: PEM; `nil`: the system's.
    ///   - verifies: whether the server's certificate and name are looked at.
    ///   - identity: shown to servers that ask for a certificate.
    public init(authorities: [UInt8]?, verifies: Bool, identity: TLSIdentity? = nil) throws(TLSError) {
        self.verifies = verifies
        mark = TLSAuthorities.digest((authorities ?? []) + [verifies ? 1 : 0, authorities == nil ? 1 : 0])
        pointer = try TLSContext.make(TLS_client_method())
        // From here on `deinit` frees.
        try TLSContext.check(
            Int(SSL_CTX_set_session_id_context(pointer, mark, UInt32(mark.count))), "session context")
        try TLSContext.check(Int(meshd_ctx_set_min_version(pointer, TLS1_2_VERSION)), "version")
        if let authorities {
            try TLSAuthorities(authorities).trust(in: pointer, asksClients: false)
        } else {
            try TLSContext.check(Int(SSL_CTX_set_default_verify_paths(pointer)), "the system's authorities")
        }
        SSL_CTX_set_verify(pointer, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
        _ = meshd_ctx_set_cache_mode(pointer, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
        SSL_CTX_sess_set_new_cb(pointer) { ssl, session in
            guard let ssl, let session, let layer = TLSLayer.of(ssl) else { return 0 }
            return layer.keep(session) ? 1 : 0
        }
        try identity?.use(in: pointer)
    }

    deinit { SSL_CTX_free(pointer) }

    /// Whether a session was begun under the same authorities. One that is taken up again is not verified anew, so that
    /// under others it would pass whom they do not vouch for.
    func vouches(for session: OpaquePointer) -> Bool {
        var length: UInt32 = 0
        guard let bytes = SSL_SESSION_get0_id_context(session, &length) else { return false }
        guard UnsafeBufferPointer(start: bytes, count: Int(length)).elementsEqual(mark) else { return false }
        // Nor is its certificate looked at again.
        guard verifies, let certificate = SSL_SESSION_get0_peer(session) else { return true }
        return X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0
    }
}

/// A certificate and its key, for servers that ask who their client is.
public struct TLSIdentity: Sendable {
    private let text: [UInt8]
    private let keyText: [UInt8]?
    private let nowSeconds: Int64

    /// - Parameters:
    ///   - text: PEM: the certificate, then its chain.
    ///   - keyText: PEM; `nil`: the key is in `text`, too.
    ///   - nowSeconds: since 1970; a certificate that has ended by then is refused.
    public init(_ text: [UInt8], key keyText: [UInt8]?, nowSeconds: Int64) {
        self.text = text
        self.keyText = keyText
        self.nowSeconds = nowSeconds
    }

    fileprivate func use(in context: OpaquePointer) throws(TLSError) {
        let certificates = try PEM.certificates(text)
        defer { for certificate in certificates { X509_free(certificate) } }
        guard let leaf = certificates.first else { throw TLSError("no certificate") }
        let key = try PEM.privateKey(keyText ?? text)
        defer { EVP_PKEY_free(key) }
        guard X509_check_private_key(leaf, key) == 1 else {
            ERR_clear_error()
            throw TLSError("the key belongs to another certificate")
        }
        guard let end = TLSCertificate.seconds(X509_get0_notAfter(leaf)), end > nowSeconds else {
            throw TLSError("expired")
        }
        try TLSContext.check(Int(SSL_CTX_use_certificate(context, leaf)), nil)
        try TLSContext.check(Int(SSL_CTX_use_PrivateKey(context, key)), nil)
        for link in certificates.dropFirst() { try TLSContext.check(meshd_ctx_add_chain(context, link), nil) }
    }
}

/// Sessions of servers that may be taken up again: the newest of each.
struct TLSSessionShelf: ~Copyable {
    private static let limit = 4_096
    private var sessions: [UInt64: OpaquePointer] = [:]

    /// Takes over the reference.
    mutating func put(_ session: OpaquePointer, _ key: UInt64) {
        if sessions.count >= Self.limit, sessions[key] == nil { clear() }
        if let old = sessions.updateValue(session, forKey: key) { SSL_SESSION_free(old) }
    }

    /// The server's newest session; one that `context` does not vouch for is dropped.
    mutating func session(_ key: UInt64, _ context: TLSClientContext) -> OpaquePointer? {
        guard let session = sessions[key] else { return nil }
        if context.vouches(for: session) { return session }
        sessions[key] = nil
        SSL_SESSION_free(session)
        return nil
    }

    mutating func clear() {
        for session in sessions.values { SSL_SESSION_free(session) }
        sessions.removeAll(keepingCapacity: true)
    }

    deinit {
        for session in sessions.values { SSL_SESSION_free(session) }
    }
}
