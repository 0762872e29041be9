import CLinux
import Glibc
public import NetAddress

/// How a datagram came, and so how its answer goes back.
public struct DatagramPath: Hashable, Sendable {
    public let peer: SocketAddress
    /// The address of ours that it was sent to; `nil` where the socket is bound to one address anyway.
    public let local: IPAddress?
    /// Interface of a link-local IPv6 peer; 0 lets the kernel's routes decide.
    public let interface: UInt32

    public init(peer: SocketAddress, local: IPAddress? = nil, interface: UInt32 = 0) {
        self.peer = peer
        self.local = local
        self.interface = interface
    }

    init(_ peer: SocketAddress, _ local: (address: IPAddress, interface: UInt32)?) {
        self.init(peer: peer, local: local?.address, interface: peer.ip.isLinkLocal ? local?.interface ?? 0 : 0)
    }
}

/// What `Socket.receiveDatagram` found.
public enum ReceivedDatagram {
    /// - Parameter isCut: the buffer was shorter than the datagram.
    case datagram(count: Int, path: DatagramPath, isCut: Bool)
    case wouldBlock
    /// The `errno` value.
    case failed(Int32)
}

/// A UDP service on one socket that answers from the address it was asked at, also when bound to all addresses.
extension Socket {
    /// A UDP socket bound to `address`. On an unspecified address the kernel is asked to say where each datagram was
    /// sent to (IP_PKTINFO; IPV6_RECVPKTINFO of RFC 3542 section 6.1, which tells of IPv4 in the mapped form).
    ///
    /// - Parameter shared: SO_REUSEPORT, one socket per worker; the kernel keeps a peer on one of them by hash.
    public static func datagramService(
        _ address: SocketAddress, shared: Bool = false, isVirtual: Bool = false
    ) throws(SystemError) -> Socket {
        let socket = try datagram(address, shared: shared, isVirtual: isVirtual)
        if address.ip.isUnspecified {
            if address.ip.isV4 {
                socket.set(Int32(IPPROTO_IP), IP_PKTINFO)
            } else {
                socket.set(Int32(IPPROTO_IPV6), IPV6_RECVPKTINFO)
            }
        }
        return socket
    }

    /// One datagram, its sender and the address it was sent to.
    @inline(never)
    public func receiveDatagram(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> ReceivedDatagram {
        var storage = sockaddr_storage()
        var control = DatagramControl()
        var flags: Int32 = 0
        var controlLength = 0
        let fd = descriptor
        var vector = iovec(iov_base: buffer, iov_len: capacity)
        let result = withUnsafeMutablePointer(to: &vector) { vector in
            withUnsafeMutablePointer(to: &storage) { storage in
                withUnsafeMutableBytes(of: &control) { control in
                    var message = msghdr()
                    message.msg_name = UnsafeMutableRawPointer(storage)
                    message.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
                    message.msg_iov = vector
                    message.msg_iovlen = 1
                    message.msg_control = control.baseAddress
                    message.msg_controllen = control.count
                    let result = retrying { recvmsg(fd, &message, 0) }
                    flags = message.msg_flags
                    controlLength = message.msg_controllen
                    return result
                }
            }
        }
        switch result {
        case .wouldBlock: return .wouldBlock
        case .failed(let code): return .failed(code)
        case .count(let count):
            guard let peer = SocketAddress(storage) else { return .failed(EAFNOSUPPORT) }
            let path = DatagramPath(peer, control.destination(length: controlLength))
            return .datagram(count: count, path: path, isCut: flags & Int32(MSG_TRUNC) != 0)
        }
    }

    /// Sends an answer back along `path`.
    @inline(never)
    public func sendDatagram(_ bytes: UnsafeRawPointer, _ count: Int, _ path: DatagramPath) -> IOResult {
        guard let local = path.local else { return send(bytes, count, to: path.peer) }
        let fd = descriptor
        var control = DatagramControl()
        let controlLength = control.setSource(local, interface: path.interface)
        var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes), iov_len: count)
        return withUnsafeMutablePointer(to: &vector) { vector in
            withUnsafeMutableBytes(of: &control) { control in
                path.peer.withSockaddr { address, length in
                    var message = msghdr()
                    message.msg_name = UnsafeMutableRawPointer(mutating: address)
                    message.msg_namelen = length
                    message.msg_iov = vector
                    message.msg_iovlen = 1
                    message.msg_control = control.baseAddress
                    message.msg_controllen = controlLength
                    return retrying { sendmsg(fd, &message, Int32(MSG_NOSIGNAL)) }
                }
            }
        }
    }
}

/// Room for control messages, aligned as the kernel wants them: 16 bytes of header, then the data.
struct DatagramControl {
    private static let headerLength = MemoryLayout<cmsghdr>.size
    private static let v4Length = 12
    private static let v6Length = 20

    private var words: InlineArray<16, UInt64> = .init(repeating: 0)

    /// The address that a received datagram was sent to, if the first messages within `length` say so.
    func destination(length: Int) -> (address: IPAddress, interface: UInt32)? {
        withUnsafeBytes(of: words) { raw in
            Self.destination(UnsafeRawBufferPointer(rebasing: raw[..<min(length, raw.count)]))
        }
    }

    /// The same of messages that lie elsewhere.
    static func destination(_ raw: UnsafeRawBufferPointer) -> (address: IPAddress, interface: UInt32)? {
        var offset = 0
        while offset + headerLength <= raw.count {
            let header = raw.loadUnaligned(fromByteOffset: offset, as: cmsghdr.self)
            let size = Int(truncatingIfNeeded: header.cmsg_len)
            guard size >= headerLength, size <= raw.count - offset else { return nil }
            let data = UnsafeRawBufferPointer(rebasing: raw[(offset + headerLength)..<(offset + size)])
            if let found = destination(header, data) { return found }
            offset += (size + 7) & ~7
        }
        return nil
    }

    private static func destination(
        _ header: cmsghdr, _ data: UnsafeRawBufferPointer
    ) -> (address: IPAddress, interface: UInt32)? {
        if header.cmsg_level == Int32(IPPROTO_IP), header.cmsg_type == IP_PKTINFO, data.count >= v4Length {
            // struct in_pktinfo: interface, our address, the address in the header. The two differ for a broadcast.
            let bits = UInt32(bigEndian: data.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            return (IPAddress(v4: bits), data.loadUnaligned(as: UInt32.self))
        }
        if header.cmsg_level == Int32(IPPROTO_IPV6), header.cmsg_type == IPV6_PKTINFO, data.count >= v6Length {
            let high = UInt64(bigEndian: data.loadUnaligned(as: UInt64.self))
            // A multicast group is no source address.
            guard high >> 56 != 0xff else { return nil }
            let low = UInt64(bigEndian: data.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            return (IPAddress(high: high, low: low), data.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
        }
        return nil
    }

    /// Names the source of a datagram to send; returns the bytes in use.
    mutating func setSource(_ address: IPAddress, interface: UInt32) -> Int {
        let length = address.isV4 ? Self.v4Length : Self.v6Length
        var header = cmsghdr()
        header.cmsg_len = numericCast(Self.headerLength + length)
        header.cmsg_level = Int32(address.isV4 ? IPPROTO_IP : IPPROTO_IPV6)
        header.cmsg_type = address.isV4 ? IP_PKTINFO : IPV6_PKTINFO
        withUnsafeMutableBytes(of: &words) { raw in
            raw.storeBytes(of: header, as: cmsghdr.self)
            let data = Self.headerLength
            if address.isV4 {
                raw.storeBytes(of: interface, toByteOffset: data, as: UInt32.self)
                raw.storeBytes(of: address.v4Bits.bigEndian, toByteOffset: data + 4, as: UInt32.self)
            } else {
                raw.storeBytes(of: address.high.bigEndian, toByteOffset: data, as: UInt64.self)
                raw.storeBytes(of: address.low.bigEndian, toByteOffset: data + 8, as: UInt64.self)
                raw.storeBytes(of: interface, toByteOffset: data + 16, as: UInt32.self)
            }
        }
        return (Self.headerLength + length + 7) & ~7
    }
}

extension IPAddress {
    /// fe80::/10, meaningful only together with an interface (RFC 4291 section 2.5.6).
    var isLinkLocal: Bool { high >> 54 == 0xfe80 >> 6 }
}
