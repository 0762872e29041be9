/// The versions of the PROXY protocol (HAProxy's proxy-protocol.txt): one line of text, or a binary header.
public enum ProxyVersion: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case v1 = 1
    case v2 = 2
}

/// The header in front of a relayed connection's bytes, which says whose connection it is.
public enum ProxyHeader: Hashable, Sendable {
    /// The sender speaks for itself (LOCAL), or names what is no pair of IP addresses and TCP ports (UNKNOWN, UNSPEC,
    /// UNIX): the connection's own addresses hold.
    case local
    case proxied(source: SocketAddress, destination: SocketAddress)

    /// Bytes of the longest header that `write` makes: section 2.1 of the protocol.
    public static let longestWritten = 107

    static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

    /// Writes the header and returns its length, at most `longestWritten`.
    ///
    /// A destination of the other family than the source's is not told: its place holds the unspecified address.
    public func write(_ version: ProxyVersion, to memory: UnsafeMutableRawBufferPointer) -> Int {
        guard memory.count >= Self.longestWritten else { return 0 }
        return version == .v1 ? writeText(memory) : writeBinary(memory)
    }

    /// The header as bytes of its own.
    public func bytes(_ version: ProxyVersion) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.longestWritten) { memory, count in
            count = write(version, to: UnsafeMutableRawBufferPointer(memory))
        }
    }

    private var pair: (source: SocketAddress, destination: SocketAddress)? {
        guard case .proxied(let source, let destination) = self else { return nil }
        if source.ip.isV4 == destination.ip.isV4 { return (source, destination) }
        return (source, SocketAddress(source.ip.isV4 ? .anyV4 : .anyV6, 0))
    }

    private func writeText(_ memory: UnsafeMutableRawBufferPointer) -> Int {
        var text = "PROXY UNKNOWN\r\n"
        if let (source, destination) = pair {
            let family = source.ip.isV4 ? "TCP4" : "TCP6"
            text = "PROXY \(family) \(source.ip) \(destination.ip) \(source.port) \(destination.port)\r\n"
        }
        memory.copyBytes(from: text.utf8)
        return text.utf8.count
    }

    private func writeBinary(_ memory: UnsafeMutableRawBufferPointer) -> Int {
        memory.copyBytes(from: Self.signature)
        guard let (source, destination) = pair else {
            memory.storeBytes(of: UInt32(0x2000_0000).bigEndian, toByteOffset: 12, as: UInt32.self)
            return 16
        }
        let isV4 = source.ip.isV4
        let length = isV4 ? 12 : 36
        // Version 2, command PROXY; family and STREAM; the length of what follows.
        let word = 0x2100_0000 | UInt32(isV4 ? 0x11 : 0x21) << 16 | UInt32(length)
        memory.storeBytes(of: word.bigEndian, toByteOffset: 12, as: UInt32.self)
        var offset = 16
        for ip in [source.ip, destination.ip] {
            if isV4 {
                memory.storeBytes(of: ip.v4Bits.bigEndian, toByteOffset: offset, as: UInt32.self)
                offset += 4
            } else {
                memory.storeBytes(of: ip.high.bigEndian, toByteOffset: offset, as: UInt64.self)
                memory.storeBytes(of: ip.low.bigEndian, toByteOffset: offset + 8, as: UInt64.self)
                offset += 16
            }
        }
        memory.storeBytes(of: source.port.bigEndian, toByteOffset: offset, as: UInt16.self)
        memory.storeBytes(of: destination.port.bigEndian, toByteOffset: offset + 2, as: UInt16.self)
        return offset + 4
    }
}
