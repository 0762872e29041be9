public import NetAddress

/// Hashes of addresses that every node computes alike: its picks by hash agree with those of the others, whatever the
/// version. The values must therefore never change. Nothing here withstands someone who looks for collisions.
public enum AddressHash {
    /// Of a client: the port does not count, so that all connections of one host meet.
    public static func of(_ ip: IPAddress) -> UInt64 {
        mixed(mixed(ip.high &+ 0x9e37_79b9_7f4a_7c15) ^ ip.low)
    }

    /// Of an instance's port.
    public static func of(_ address: SocketAddress) -> UInt64 {
        mixed(of(address.ip) &+ UInt64(address.port) &* 0x9e37_79b9_7f4a_7c15)
    }

    /// A bijection that lets every bit of the input change half of the output's.
    @inline(__always)
    static func mixed(_ value: UInt64) -> UInt64 {
        var bits = value
        bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
        return bits ^ bits >> 31
    }
}
