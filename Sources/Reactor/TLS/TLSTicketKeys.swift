import COpenSSL

/// One key of session tickets (RFC 5077 section 4): what names it, what encrypts, what authenticates.
public struct TLSTicketKey: Sendable, Equatable {
    static let nameBytes = 16
    static let secretBytes = 32
    /// Name, AES-256 key and HMAC-SHA-256 key.
    public static let bytes = nameBytes + 2 * secretBytes

    let octets: [UInt8]

    /// - Parameter octets: 16 of name, 32 for AES-256-CBC, 32 for HMAC-SHA-256; `nil` where there are not 80.
    public init?(_ octets: [UInt8]) {
        guard octets.count == Self.bytes else { return nil }
        self.octets = octets
    }

    /// A new key from OpenSSL's generator; `nil` where that has no entropy.
    public static func random() -> TLSTicketKey? {
        var octets = [UInt8](repeating: 0, count: bytes)
        return RAND_priv_bytes(&octets, Int32(octets.count)) == 1 ? TLSTicketKey(octets) : nil
    }
}

/// The ticket keys in force, immutable: the first makes tickets, every one is taken.
public final class TLSTicketKeys: Sendable {
    /// Keys kept.
    public static let limit = 3

    public let keys: [TLSTicketKey]

    public init(_ keys: [TLSTicketKey]) { self.keys = Array(keys.prefix(Self.limit)) }

    /// With a new key in front and the oldest gone; unchanged where no key can be made.
    public func rotated() -> TLSTicketKeys { TLSTicketKeys((TLSTicketKey.random().map { [$0] } ?? []) + keys) }

    /// Reads a key file: one to three lines of 80 octets in base64. `nil`: it is something else.
    public static func parse(_ file: [UInt8]) -> TLSTicketKeys? {
        let lines = file.split { $0 == 10 || $0 == 13 }
        guard (1...limit).contains(lines.count) else { return nil }
        var keys: [TLSTicketKey] = []
        for line in lines {
            guard let key = decode(line) else { return nil }
            keys.append(key)
        }
        return TLSTicketKeys(keys)
    }

    /// 80 octets are 108 characters, the last one `=`.
    private static func decode(_ line: ArraySlice<UInt8>) -> TLSTicketKey? {
        guard line.count == 108, line.last == UInt8(ascii: "="), line.dropLast().allSatisfy({ $0 != 0x3d }) else {
            return nil
        }
        var octets = [UInt8](repeating: 0, count: 81)
        guard EVP_DecodeBlock(&octets, Array(line), Int32(line.count)) == 81 else { return nil }
        return TLSTicketKey(Array(octets.dropLast()))
    }
}

// MARK: - OpenSSL's call

extension TLSTicketKeys {
    /// Looked up once: by name it costs a search each time.
    private nonisolated(unsafe) static let cipher = EVP_CIPHER_fetch(nil, "AES-256-CBC", nil)

    /// Sets up the cipher and the MAC of one ticket. As `SSL_CTX_set_tlsext_ticket_key_evp_cb` wants it: negative
    /// fails, 0 is an unknown key, 2 asks for a new ticket.
    static func setUp(
        _ ssl: OpaquePointer, _ name: UnsafeMutablePointer<UInt8>, _ iv: UnsafeMutablePointer<UInt8>,
        _ cipherContext: OpaquePointer, _ macContext: OpaquePointer, encrypts: Bool
    ) -> Int32 {
        guard let keys = TLSLayer.of(ssl)?.ticketKeys.keys, !keys.isEmpty else { return encrypts ? -1 : 0 }
        if encrypts {
            guard RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher)) == 1 else { return -1 }
            for index in 0..<TLSTicketKey.nameBytes { name[index] = keys[0].octets[index] }
            return keys[0].setUp(cipherContext, macContext, iv, cipher, encrypts: true) ? 1 : -1
        }
        guard let index = keys.firstIndex(where: { $0.isNamed(name) }) else { return 0 }
        guard keys[index].setUp(cipherContext, macContext, iv, cipher, encrypts: false) else { return -1 }
        // TLS 1.3 clients use a ticket once (RFC 8446 section C.4): each resumption brings the next one.
        return index == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2
    }
}

extension TLSTicketKey {
    fileprivate func isNamed(_ name: UnsafePointer<UInt8>) -> Bool {
        for index in 0..<Self.nameBytes where octets[index] != name[index] { return false }
        return true
    }

    fileprivate func setUp(
        _ cipherContext: OpaquePointer, _ macContext: OpaquePointer, _ iv: UnsafePointer<UInt8>,
        _ cipher: OpaquePointer?, encrypts: Bool
    ) -> Bool {
        octets.withUnsafeBufferPointer { all in
            guard let base = all.baseAddress else { return false }
            let secret = base + Self.nameBytes
            guard EVP_CipherInit_ex(cipherContext, cipher, nil, secret, iv, encrypts ? 1 : 0) == 1 else { return false }
            return meshd_set_mac_key(macContext, secret + Self.secretBytes, Self.secretBytes) == 1
        }
    }
}
