/// Numbers of the DNS message format (RFC 1035 section 4.1, RFC 6891 section 6.1).
enum Wire {
    static let headerLength = 12
    static let maxMessage = 65_535
    static let maxName = 255
    static let maxLabel = 63
    /// What a client without EDNS takes over UDP (RFC 1035 section 4.2.1).
    static let plainPayload = 512
    /// What we offer and send at most over UDP: fits an IPv6 packet of 1,280 bytes, so it is never in fragments.
    static let ednsPayload = 1232
    /// The OPT record that we send: root name, fixed part, no options.
    static let optLength = 11

    enum Flag {
        static let response: UInt16 = 0x8000
        static let opcodeMask: UInt16 = 0x7800
        static let authoritative: UInt16 = 0x0400
        static let truncated: UInt16 = 0x0200
        static let recursionDesired: UInt16 = 0x0100
        static let recursionAvailable: UInt16 = 0x0080
        static let checkingDisabled: UInt16 = 0x0010
    }

    enum RecordType {
        static let a: UInt16 = 1
        static let soa: UInt16 = 6
        static let aaaa: UInt16 = 28
        static let opt: UInt16 = 41
        static let ixfr: UInt16 = 251
        static let axfr: UInt16 = 252
        static let any: UInt16 = 255
    }

    enum Class {
        static let internet: UInt16 = 1
        static let any: UInt16 = 255
    }
}

/// Outcome of a query; above 15 the upper bits travel in the OPT record (RFC 6891 section 6.1.3).
struct Rcode: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt16

    static let noError = Rcode(rawValue: 0)
    static let formatError = Rcode(rawValue: 1)
    static let serverFailure = Rcode(rawValue: 2)
    static let noSuchName = Rcode(rawValue: 3)
    static let notImplemented = Rcode(rawValue: 4)
    static let refused = Rcode(rawValue: 5)
    static let badVersion = Rcode(rawValue: 16)
}

extension Span<UInt8> {
    /// The big-endian number at `offset`; `nil` where the message ends before it does.
    func u16(at offset: Int) -> UInt16? {
        guard offset >= 0, offset <= count - 2 else { return nil }
        return UInt16(self[offset]) << 8 | UInt16(self[offset + 1])
    }
}
