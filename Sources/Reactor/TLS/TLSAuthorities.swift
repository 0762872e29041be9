import COpenSSL

/// A PEM bundle of certificate authorities.
final class TLSAuthorities {
    private let store: OpaquePointer
    private let certificates: [OpaquePointer]
    /// SHA-256 of the bundle.
    let digest: [UInt8]

    init(_ bundle: [UInt8]) throws(TLSError) {
        certificates = try PEM.certificates(bundle)
        guard !certificates.isEmpty else { throw TLSError("holds no certificate") }
        guard let store = X509_STORE_new() else { throw TLSError(TLSError.take()) }
        self.store = store
        for certificate in certificates { X509_STORE_add_cert(store, certificate) }
        digest = Self.digest(bundle)
        ERR_clear_error()
    }

    /// SHA-256.
    static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        _ = EVP_Digest(bytes, bytes.count, &digest, &length, EVP_sha256(), nil)
        return digest
    }

    deinit {
        X509_STORE_free(store)
        for certificate in certificates { X509_free(certificate) }
    }

    /// - Parameter asksClients: whether the authorities' names are told to clients, so that they know what to show.
    func trust(in context: OpaquePointer, asksClients: Bool) {
        SSL_CTX_set1_cert_store(context, store)
        guard asksClients else { return }
        for certificate in certificates { SSL_CTX_add_client_CA(context, certificate) }
    }
}
