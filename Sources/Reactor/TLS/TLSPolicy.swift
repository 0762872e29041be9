import COpenSSL

/// What the TLS listeners of a node agree to.
public struct TLSPolicy: Sendable {
    public enum Version: Sendable {
        case tls12, tls13
    }

    public enum ClientCertificates: Sendable {
        case none
        /// Asked for; one that is shown must be good.
        case optional
        case required
    }

    public var minimum = Version.tls12
    /// OpenSSL's cipher list for TLS 1.2.
    public var ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20"
    /// Cipher suites of TLS 1.3.
    public var suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    /// Groups of the key exchange, the preferred one first.
    public var groups = "X25519:P-256:P-384"
    /// Whether ALPN offers `h2` before `http/1.1`.
    public var offersHTTP2 = false
    public var clientCertificates = ClientCertificates.none
    /// PEM bundle of the authorities whose clients are taken.
    public var clientAuthorities: [UInt8] = []
    /// How long a ticket is taken, in seconds.
    public var ticketSeconds = 86_400

    public init() {}
}

/// OpenSSL's context of one set of certificates, immutable once made; any thread may make connections from it.
public final class TLSServerContext: Sendable {
    nonisolated(unsafe) let pointer: OpaquePointer
    private let certificates: [TLSCertificate]

    func holds(_ certificate: TLSCertificate) -> Bool { certificates.contains { $0 === certificate } }

    /// - Parameter certificates: at most one of each kind of key; with none the context can only choose another one.
    /// - Throws: what OpenSSL does not take: a list of the policy, or a certificate whose key is too weak.
    public init(_ policy: TLSPolicy, _ certificates: [TLSCertificate]) throws(TLSError) {
        self.certificates = certificates
        pointer = try TLSContext.make(TLS_server_method())
        // From here on `deinit` frees.
        try apply(policy)
        for certificate in certificates { try use(certificate) }
    }

    deinit { SSL_CTX_free(pointer) }

    private func apply(_ policy: TLSPolicy) throws(TLSError) {
        let version = policy.minimum == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION
        try TLSContext.check(Int(meshd_ctx_set_min_version(pointer, version)), "version")
        try TLSContext.check(Int(SSL_CTX_set_cipher_list(pointer, policy.ciphers)), "ciphers \(policy.ciphers)")
        try TLSContext.check(Int(SSL_CTX_set_ciphersuites(pointer, policy.suites)), "cipher suites \(policy.suites)")
        try TLSContext.check(meshd_ctx_set_groups(pointer, policy.groups), "groups \(policy.groups)")
        // A client that opens several connections may show one ticket several times; each costs the server work.
        SSL_CTX_set_num_tickets(pointer, 1)
        SSL_CTX_set_timeout(pointer, policy.ticketSeconds)
        _ = meshd_ctx_set_name_callback(
            pointer, { ssl, _, _ in ssl.map { TLSServerContext.chooseByName($0) } ?? SSL_TLSEXT_ERR_NOACK }, nil)
        _ = meshd_ctx_set_ticket_callback(pointer) { ssl, name, iv, cipher, mac, encrypts in
            guard let ssl, let name, let iv, let cipher, let mac else { return -1 }
            return TLSTicketKeys.setUp(ssl, name, iv, cipher, mac, encrypts: encrypts == 1)
        }
        if policy.offersHTTP2 {
            SSL_CTX_set_alpn_select_cb(
                pointer,
                { _, chosen, length, offered, offeredLength, _ in
                    TLSServerContext.chooseProtocol(chosen, length, offered, offeredLength, http2: true)
                }, nil)
        } else {
            SSL_CTX_set_alpn_select_cb(
                pointer,
                { _, chosen, length, offered, offeredLength, _ in
                    TLSServerContext.chooseProtocol(chosen, length, offered, offeredLength, http2: false)
                }, nil)
        }
        try askForCertificates(policy)
    }

    private func use(_ certificate: TLSCertificate) throws(TLSError) {
        try TLSContext.check(Int(SSL_CTX_use_certificate(pointer, certificate.leaf)), nil)
        try TLSContext.check(Int(SSL_CTX_use_PrivateKey(pointer, certificate.key)), nil)
        for link in certificate.chain { try TLSContext.check(meshd_ctx_add_chain(pointer, link), nil) }
    }

    // MARK: - Clients' certificates

    private func askForCertificates(_ policy: TLSPolicy) throws(TLSError) {
        guard policy.clientCertificates != .none else { return }
        let authorities = try TLSAuthorities(policy.clientAuthorities)
        authorities.trust(in: pointer, asksClients: true)
        let demand = policy.clientCertificates == .required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | demand, nil)
        // A ticket carries what was verified: it must not outlive the authorities that it was verified against.
        let identity = authorities.digest
        try TLSContext.check(
            Int(SSL_CTX_set_session_id_context(pointer, identity, UInt32(identity.count))), "session context")
        TLSTicketLife.watch(pointer)
    }

    // MARK: - Calls from OpenSSL

    private static func chooseByName(_ ssl: OpaquePointer) -> Int32 {
        guard let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), let table = TLSLayer.of(ssl)?.table else {
            return SSL_TLSEXT_ERR_NOACK
        }
        if let context = table.context(for: String(cString: name)), context !== table.fallback {
            SSL_set_SSL_CTX(ssl, context.pointer)
        }
        return SSL_TLSEXT_ERR_OK
    }

    /// RFC 7301 section 3.2: the server's preference; no common protocol ends the handshake.
    private static func chooseProtocol(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ chosenLength: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?, _ length: UInt32, http2: Bool
    ) -> Int32 {
        guard let chosen, let chosenLength, let offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        let offer = UnsafeBufferPointer(start: offered, count: Int(length))
        var position = 0
        var http1: Int?
        while position < offer.count, position + 1 + Int(offer[position]) <= offer.count {
            let name = offer[(position + 1)..<(position + 1 + Int(offer[position]))]
            if http2, name.elementsEqual("h2".utf8) {
                (chosen.pointee, chosenLength.pointee) = (offered + position + 1, 2)
                return SSL_TLSEXT_ERR_OK
            }
            if name.elementsEqual("http/1.1".utf8) { http1 = position + 1 }
            position += 1 + name.count
        }
        guard let http1 else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        (chosen.pointee, chosenLength.pointee) = (offered + http1, 8)
        return SSL_TLSEXT_ERR_OK
    }
}

/// What every context has, a server's or a client's.
enum TLSContext {
    static func make(_ method: OpaquePointer?) throws(TLSError) -> OpaquePointer {
        // Threads may still free connections while the process ends.
        OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
        guard let pointer = SSL_CTX_new(method) else { throw TLSError(TLSError.take()) }
        SSL_CTX_set_options(pointer, meshd_ssl_options)
        _ = meshd_ctx_set_mode(pointer, Int(meshd_ssl_modes))
        _ = meshd_ctx_set_read_ahead(pointer, 1)
        // Sessions live in tickets alone: a cache would be a lock between the workers.
        _ = meshd_ctx_set_cache_mode(pointer, Int(SSL_SESS_CACHE_OFF))
        return pointer
    }

    static func check(_ result: Int, _ what: String?) throws(TLSError) {
        guard result != 1 else { return }
        let reason = TLSError.take()
        throw TLSError(what.map { "\($0): \(reason)" } ?? reason)
    }
}
