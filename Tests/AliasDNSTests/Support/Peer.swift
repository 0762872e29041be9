import Glibc
import NetAddress

/// A blocking socket at the test's end; every call gives up after five seconds. Addresses are IPv4.
final class Peer {
    let descriptor: Int32

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    private static func open(_ kind: __socket_type) -> Peer { Peer(socket(AF_INET, Int32(kind.rawValue), 0)) }

    static func datagram(to address: SocketAddress) -> Peer {
        let peer = open(SOCK_DGRAM)
        _ = withAddress(address) { connect(peer.descriptor, $0, $1) }
        return peer
    }

    static func stream(to address: SocketAddress, receiveBuffer: Int32 = 0) -> Peer {
        let peer = open(SOCK_STREAM)
        var size = receiveBuffer
        if size > 0 { setsockopt(peer.descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
        _ = withAddress(address) { connect(peer.descriptor, $0, $1) }
        return peer
    }

    /// Bound to a port of the kernel's choice on 127.0.0.1.
    static func datagramUpstream(port: UInt16 = 0) -> Peer {
        let peer = open(SOCK_DGRAM)
        _ = withAddress(SocketAddress(.loopbackV4, port)) { bind(peer.descriptor, $0, $1) }
        return peer
    }

    static func streamUpstream(port: UInt16) -> Peer? {
        let peer = open(SOCK_STREAM)
        guard withAddress(SocketAddress(.loopbackV4, port), { bind(peer.descriptor, $0, $1) }) == 0 else { return nil }
        listen(peer.descriptor, 8)
        return peer
    }

    /// UDP and TCP on one port.
    static func upstreamPair() -> (datagrams: Peer, streams: Peer)? {
        for _ in 0..<16 {
            let datagrams = datagramUpstream()
            if let streams = streamUpstream(port: datagrams.address.port) { return (datagrams, streams) }
        }
        return nil
    }

    func acceptOne() -> Peer? {
        let accepted = accept(descriptor, nil, nil)
        return accepted < 0 ? nil : Peer(accepted)
    }

    var address: SocketAddress {
        var storage = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        return Self.value(storage)
    }

    // MARK: Bytes

    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let start = sent
            let count = bytes.withUnsafeBytes { rest in
                Glibc.send(descriptor, rest.baseAddress! + start, rest.count - start, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// One `recv`; empty at the end of the stream, `nil` when nothing came in time or the connection was reset.
    func read(_ capacity: Int = 65_536) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: capacity)
        let count = recv(descriptor, &bytes, capacity, 0)
        return count < 0 ? nil : Array(bytes[..<count])
    }

    func readExactly(_ count: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let more = read(count - bytes.count), !more.isEmpty else { return nil }
            bytes += more
        }
        return bytes
    }

    /// One message behind its two bytes of length.
    func readFrame() -> [UInt8]? {
        guard let length = readExactly(2) else { return nil }
        return readExactly(Int(length[0]) << 8 | Int(length[1]))
    }

    /// Whether the other end has closed or reset; bytes that come before are skipped.
    func isClosedByPeer() -> Bool {
        while true {
            var byte: UInt8 = 0
            let count = recv(descriptor, &byte, 1, 0)
            if count > 0 { continue }
            return count == 0 || errno == ECONNRESET
        }
    }

    func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// A datagram and where it came from.
    func receive() -> (bytes: [UInt8], from: SocketAddress)? {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        var storage = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let count = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, &bytes, bytes.count, 0, $0, &length)
            }
        }
        return count < 0 ? nil : (Array(bytes[..<count]), Self.value(storage))
    }

    func send(_ bytes: [UInt8], to address: SocketAddress) {
        _ = Self.withAddress(address) { pointer, length in
            Int32(truncatingIfNeeded: sendto(descriptor, bytes, bytes.count, 0, pointer, length))
        }
    }

    // MARK: Addresses

    private static func value(_ storage: sockaddr_in) -> SocketAddress {
        SocketAddress(IPAddress(v4: UInt32(bigEndian: storage.sin_addr.s_addr)), UInt16(bigEndian: storage.sin_port))
    }

    private static func withAddress(
        _ address: SocketAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var storage = sockaddr_in()
        storage.sin_family = sa_family_t(AF_INET)
        storage.sin_port = address.port.bigEndian
        storage.sin_addr.s_addr = address.ip.v4Bits.bigEndian
        return withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}
