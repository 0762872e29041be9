import CLinux
import Glibc
import NetAddress

/// `NetAddress` values in the kernel's form.
extension SocketAddress {
    func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        if ip.isV4 {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = ip.v4Bits.bigEndian
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &address.sin6_addr) {
            $0.storeBytes(of: ip.high.bigEndian, toByteOffset: 0, as: UInt64.self)
            $0.storeBytes(of: ip.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }

    /// `nil` for a family other than IPv4 and IPv6.
    init?(_ storage: borrowing sockaddr_storage) {
        self.init(copying: storage)
    }

    private init?(copying storage: sockaddr_storage) {
        let parsed = withUnsafeBytes(of: storage) { raw -> SocketAddress? in
            let port = UInt16(bigEndian: raw.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            switch Int32(raw.loadUnaligned(as: sa_family_t.self)) {
            case AF_INET:
                return SocketAddress(
                    IPAddress(v4: UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self))), port)
            case AF_INET6:
                let high = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                let low = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                return SocketAddress(IPAddress(high: high, low: low), port)
            default:
                return nil
            }
        }
        guard let parsed else { return nil }
        self = parsed
    }
}
