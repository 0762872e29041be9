import COpenSSL

/// What is handed on of a client's certificate.
public struct TLSPeerCertificate: Sendable, Equatable {
    /// The subject's distinguished name as RFC 4514 text; ASCII without control characters.
    public let subject: String
    /// SHA-256 of the certificate, lower-case hexadecimal.
    public let fingerprint: String

    init(_ certificate: OpaquePointer) {
        subject = Self.text(X509_get_subject_name(certificate))
        fingerprint = Self.fingerprint(certificate)
    }

    private static func text(_ name: OpaquePointer?) -> String {
        guard let name, let bio = BIO_new(BIO_s_mem()) else { return "" }
        defer { BIO_free(bio) }
        guard X509_NAME_print_ex(bio, name, 0, meshd_name_flags) >= 0 else {
            ERR_clear_error()
            return ""
        }
        var bytes = [UInt8](repeating: 0, count: 4096)
        var count = 0
        guard BIO_read_ex(bio, &bytes, bytes.count, &count) == 1 else { return "" }
        // The flags escape all others already; a field's value must hold nothing else.
        let isPlain = bytes[..<count].allSatisfy { (0x20...0x7e).contains($0) }
        return isPlain ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }

    static func fingerprint(_ certificate: OpaquePointer) -> String {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        guard X509_digest(certificate, EVP_sha256(), &digest, &length) == 1 else { return "" }
        let digits = Array("0123456789abcdef")
        return String(digest[..<Int(length)].flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
