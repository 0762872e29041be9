import COpenSSL

/// Reading PEM text (RFC 7468).
enum PEM {
    /// Certificates taken from one file at most.
    private static let limit = 1_000

    /// Every certificate of the text, in order; the caller frees them.
    static func certificates(_ text: [UInt8]) throws(TLSError) -> [OpaquePointer] {
        var found: [OpaquePointer] = []
        let end: UInt = withReader(text) { bio in
            while found.count < limit, let certificate = PEM_read_bio_X509(bio, nil, { _, _, _, _ in -1 }, nil) {
                found.append(certificate)
            }
            return ERR_peek_last_error()
        }
        // Running out of PEM blocks is the regular end.
        if UInt32(truncatingIfNeeded: end) & 0x7f_ffff != UInt32(PEM_R_NO_START_LINE) {
            for certificate in found { X509_free(certificate) }
            throw TLSError("broken certificate: \(TLSError.take())")
        }
        ERR_clear_error()
        return found
    }

    /// The first private key of the text; the caller frees it.
    static func privateKey(_ text: [UInt8]) throws(TLSError) -> OpaquePointer {
        let key = withReader(text) { PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in -1 }, nil) }
        if let key {
            ERR_clear_error()
            return key
        }
        let reason = TLSError.take()
        if text.contains("ENCRYPTED") { throw TLSError("the key is encrypted") }
        throw TLSError(text.contains("PRIVATE KEY-----") ? "broken key: \(reason)" : "no private key")
    }

    private static func withReader<R>(_ text: [UInt8], _ body: (OpaquePointer?) -> R) -> R {
        text.withUnsafeBytes { bytes in
            let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count))
            defer { BIO_free(bio) }
            return body(bio)
        }
    }
}

extension [UInt8] {
    fileprivate func contains(_ text: StaticString) -> Bool {
        withUnsafeBufferPointer { all in
            let count = text.utf8CodeUnitCount
            guard all.count >= count else { return false }
            for start in 0...(all.count - count) {
                var matched = 0
                while matched < count, all[start + matched] == text.utf8Start[matched] { matched += 1 }
                if matched == count { return true }
            }
            return false
        }
    }
}
