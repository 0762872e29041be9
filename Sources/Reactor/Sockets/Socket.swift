import CLinux
import Glibc
public import NetAddress

/// A non-blocking socket: the descriptor and the calls made on it. The holder closes it, once.
public struct Socket: Sendable {
    public let descriptor: Int32

    public static let none = Socket(descriptor: -1)

    init(descriptor: Int32) { self.descriptor = descriptor }

    public var isOpen: Bool { descriptor >= 0 }

    // MARK: Bytes

    @inline(never)
    public func receive(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> IOResult {
        IOResult(countOrMinusError: meshd_recv(descriptor, buffer, capacity))
    }

    /// - Parameter more: the end of the stream, or more bytes, follow at once and may share the packet.
    @inline(never)
    public func send(_ bytes: UnsafeRawPointer, _ count: Int, more: Bool = false) -> IOResult {
        let flags = Int32(MSG_NOSIGNAL) | (more ? Int32(MSG_MORE) : 0)
        return IOResult(countOrMinusError: meshd_send(descriptor, bytes, count, flags))
    }

    /// Two ranges in one call.
    @inline(never)
    public func send(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, more: Bool = false
    ) -> IOResult {
        let fd = descriptor
        let flags = Int32(MSG_NOSIGNAL) | (more ? Int32(MSG_MORE) : 0)
        var parts = (
            iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count),
            iovec(iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count)
        )
        return withUnsafeMutablePointer(to: &parts) { pointer in
            pointer.withMemoryRebound(to: iovec.self, capacity: 2) { vectors in
                var message = msghdr()
                message.msg_iov = vectors
                message.msg_iovlen = 2
                return withUnsafePointer(to: &message) { header in
                    retrying { sendmsg(fd, header, flags) }
                }
            }
        }
    }

    /// Moves bytes between a socket and a pipe end inside the kernel.
    @inline(never)
    public static func splice(from: Int32, to: Int32, _ count: Int) -> IOResult {
        retrying { CLinux.splice(from, nil, to, nil, count, meshd_splice_move | meshd_splice_nonblock) }
    }

    /// The first bytes that wait, which stay there.
    public func peek(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> IOResult {
        let fd = descriptor
        return retrying { recv(fd, buffer, capacity, Int32(MSG_PEEK)) }
    }

    // MARK: Datagrams

    public func send(_ bytes: UnsafeRawPointer, _ count: Int, to peer: SocketAddress) -> IOResult {
        let fd = descriptor
        return peer.withSockaddr { address, length in
            retrying { sendto(fd, bytes, count, Int32(MSG_NOSIGNAL), address, length) }
        }
    }

    // MARK: Life

    public func close() {
        if descriptor >= 0 { _ = CLinux.close(descriptor) }
    }

    public func shutdownWrite() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Small sends do not wait for earlier ones to be acknowledged (RFC 9293, 3.7.4).
    public func setNoDelay() { set(Int32(IPPROTO_TCP), TCP_NODELAY) }

    /// Has the kernel ask a silent peer whether it still lives: after a minute, then every ten seconds. The third
    /// question without an answer ends the connection.
    public func keepAlive() {
        set(SOL_SOCKET, SO_KEEPALIVE)
        set(Int32(IPPROTO_TCP), TCP_KEEPIDLE, 60)
        set(Int32(IPPROTO_TCP), TCP_KEEPINTVL, 10)
        set(Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
    }

    /// Whether the peer's kernel has not answered four sendings in a row of the same bytes, or four questions whether
    /// it takes more: three seconds and longer, the longer the slower the network is. What a program does or does not
    /// makes no difference: its kernel answers for it.
    ///
    /// The kernel itself goes on for a quarter of an hour. TCP_USER_TIMEOUT would also end what waits for a slow
    /// reader.
    public var isUnanswered: Bool {
        guard let info else { return false }
        return info.tcpi_retransmits >= 4 || info.tcpi_probes >= 4
    }

    /// Connections that wait to be accepted; `nil`: it is no listening TCP socket, which alone can tell.
    ///
    /// Of such a socket `tcpi_unacked` counts them. Asking costs an eighth of an `accept` that finds nothing, for which
    /// the kernel first makes a socket and a file.
    var waitingConnections: Int? {
        guard let info, info.tcpi_state == UInt8(TCP_LISTEN) else { return nil }
        return Int(info.tcpi_unacked)
    }

    private var info: tcp_info? {
        var info = tcp_info()
        var length = socklen_t(MemoryLayout<tcp_info>.size)
        return getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &length) == 0 ? info : nil
    }

    /// Makes the coming `close` send a reset instead of an orderly end.
    public func resetOnClose() {
        var value = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }

    /// The pending error of a connect in progress, 0 when it succeeded.
    public func takeError() -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno
    }

    public func localAddress() -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        return result == 0 ? SocketAddress(storage) : nil
    }

    /// Whether a read would find the end of the stream, an error, or bytes, rather than nothing yet.
    public func hasPendingEnd() -> Bool {
        var byte: UInt8 = 0
        let fd = descriptor
        if case .wouldBlock = retrying({ recv(fd, &byte, 1, Int32(MSG_PEEK)) }) { return false }
        return true
    }

    func set(_ level: Int32, _ option: Int32, _ value: Int32 = 1) {
        var value = value
        _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
