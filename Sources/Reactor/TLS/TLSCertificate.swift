import CLinux
import COpenSSL
import Glibc

/// A certificate with its chain and private key, checked when it was read. Immutable.
public final class TLSCertificate: Sendable {
    nonisolated(unsafe) let leaf: OpaquePointer
    nonisolated(unsafe) let chain: [OpaquePointer]
    nonisolated(unsafe) let key: OpaquePointer
    /// DNS names of the subject alternative name, lower case; a wildcard as `*.company.com`.
    public let names: [String]
    /// Seconds since 1970.
    public let notAfter: Int64
    /// The kind of key: OpenSSL's number of RSA, EC, Ed25519.
    let keyKind: Int32
    /// SHA-256 in hexadecimal.
    public let fingerprint: String

    /// Reads a pair and checks that it can be served at `nowSeconds` (since 1970).
    ///
    /// - Parameter keyText: `nil`: the key is in `text`, too.
    /// - Throws: a reason without the file's name: unreadable, without a SAN, not yet valid, expired, key of another
    ///   certificate, encrypted key.
    public init(_ text: [UInt8], key keyText: [UInt8]?, nowSeconds: Int64) throws(TLSError) {
        let certificates = try PEM.certificates(text)
        guard let leaf = certificates.first else { throw TLSError("no certificate") }
        let key: OpaquePointer
        do throws(TLSError) {
            key = try PEM.privateKey(keyText ?? text)
        } catch {
            for certificate in certificates { X509_free(certificate) }
            throw error
        }
        self.leaf = leaf
        self.key = key
        chain = Array(certificates.dropFirst())
        (names, notAfter) = (Self.dnsNames(leaf), Self.seconds(X509_get0_notAfter(leaf)) ?? 0)
        keyKind = EVP_PKEY_get_base_id(key)
        fingerprint = TLSPeerCertificate.fingerprint(leaf)
        // From here on `deinit` frees.
        guard let begins = Self.seconds(X509_get0_notBefore(leaf)) else { throw TLSError("unreadable dates") }
        guard X509_check_private_key(leaf, key) == 1 else {
            ERR_clear_error()
            throw TLSError("the key belongs to another certificate")
        }
        guard begins <= nowSeconds else { throw TLSError("not valid yet") }
        guard notAfter > nowSeconds else { throw TLSError("expired") }
        guard Self.hasAlternativeName(leaf) else { throw TLSError("no subject alternative name (SAN)") }
    }

    deinit {
        X509_free(leaf)
        for link in chain { X509_free(link) }
        EVP_PKEY_free(key)
    }

    /// Reads a list of authorities only to see whether it can be used.
    public static func checkAuthorities(_ bundle: [UInt8]) throws(TLSError) { _ = try TLSAuthorities(bundle) }

    static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = tm()
        guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return Int64(timegm(&parts))
    }

    private static func hasAlternativeName(_ leaf: OpaquePointer) -> Bool {
        X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1) >= 0
    }

    private static func dnsNames(_ leaf: OpaquePointer) -> [String] {
        guard let list = X509_get_ext_d2i(leaf, NID_subject_alt_name, nil, nil) else { return [] }
        let names = OpaquePointer(list)
        defer { GENERAL_NAMES_free(names) }
        var found: [String] = []
        for index in 0..<meshd_name_count(names) {
            guard let text = meshd_dns_name(meshd_name_at(names, index)), let base = ASN1_STRING_get0_data(text) else {
                continue
            }
            let name = String(
                decoding: UnsafeBufferPointer(start: base, count: Int(ASN1_STRING_length(text))), as: UTF8.self)
            // What no server name can equal is not served: control characters, inner wildcards.
            let isPlain = name.utf8.allSatisfy { (0x21...0x7e).contains($0) }
            let isName = isPlain && !name.isEmpty && !name.dropFirst(name.hasPrefix("*.") ? 2 : 0).contains("*")
            if isName { found.append(name.lowercased()) }
        }
        return found
    }
}
