/// A range of addresses in CIDR form (RFC 4632), such as `127.96.0.0/16`.
public struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
    /// The first address of the range.
    public let base: IPAddress
    /// Fixed leading bits, counted within the family: 0...32 for IPv4, 0...128 for IPv6.
    public let prefixLength: Int

    /// Reads `ADDRESS/LENGTH`; `nil` where the text is something else or has bits set behind the prefix.
    public init?(_ text: some StringProtocol) {
        guard let slash = text.firstIndex(of: "/"), let base = IPAddress(text[..<slash]),
            let length = UInt16(digits: text[text.index(after: slash)...]), length <= (base.isV4 ? 32 : 128)
        else { return nil }
        self.init(base: base, prefixLength: Int(length))
    }

    /// `nil` where the prefix is longer than an address, or the base has bits set behind it.
    public init?(base: IPAddress, prefixLength: Int) {
        guard (0...(base.isV4 ? 32 : 128)).contains(prefixLength) else { return nil }
        self.base = base
        self.prefixLength = prefixLength
        guard masked(base) == base else { return nil }
    }

    /// Free bits behind the prefix.
    public var hostBits: Int { (base.isV4 ? 32 : 128) - prefixLength }

    public func contains(_ address: IPAddress) -> Bool {
        address.isV4 == base.isV4 && masked(address) == base
    }

    /// Whether every address of `other` is one of this range's.
    public func covers(_ other: IPNetwork) -> Bool { prefixLength <= other.prefixLength && contains(other.base) }

    /// The address at `offset` from the base; the offset wraps within the range.
    public func address(at offset: UInt64) -> IPAddress {
        let bounded = hostBits >= 64 ? offset : offset & ((1 << UInt64(hostBits)) - 1)
        return IPAddress(high: base.high, low: base.low | bounded)
    }

    private func masked(_ address: IPAddress) -> IPAddress {
        let free = UInt64(hostBits)
        if free >= 64 {
            return IPAddress(high: free >= 128 ? 0 : address.high & (UInt64.max << (free - 64)), low: 0)
        }
        return IPAddress(high: address.high, low: address.low & (UInt64.max << free))
    }

    public var description: String { "\(base)/\(prefixLength)" }
}
