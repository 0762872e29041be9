import CLinux
import Glibc
public import NetAddress

extension Socket {
    private static func make(_ family: Int32, _ kind: __socket_type) throws(SystemError) -> Socket {
        let flags = Int32(kind.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let fd = socket(family, flags, 0)
        guard fd >= 0 else { throw SystemError("socket", errno) }
        return Socket(descriptor: fd)
    }

    private static func family(_ ip: IPAddress) -> Int32 { ip.isV4 ? AF_INET : AF_INET6 }

    /// A listening TCP socket. Accepted sockets inherit no-delay and keepalive from it, which saves the calls.
    ///
    /// - Parameters:
    ///   - shared: SO_REUSEPORT, one socket per worker on the same address.
    ///   - isVirtual: the address is local by a route, not by an interface, which IPv6 wants to be told.
    public static func listen(
        _ address: SocketAddress, shared: Bool, isVirtual: Bool = false, backlog: Int32 = 4096
    ) throws(SystemError) -> Socket {
        let socket = try make(family(address.ip), SOCK_STREAM)
        socket.set(SOL_SOCKET, SO_REUSEADDR)
        if shared { socket.set(SOL_SOCKET, meshd_so_reuseport) }
        socket.restrictFamily(address.ip)
        if isVirtual { socket.allowVirtual(address.ip) }
        socket.set(Int32(IPPROTO_TCP), TCP_NODELAY)
        socket.keepAlive()
        try socket.bind(address)
        guard CLinux.listen(socket.descriptor, backlog) == 0 else { throw socket.closing("listen") }
        return socket
    }

    /// A listening stream socket that this process was started with, made ready for a loop.
    ///
    /// - Throws: `ENOTSOCK`, or `EINVAL` where it is a socket that does not listen for streams.
    public static func adoptListener(_ descriptor: Int32) throws(SystemError) -> Socket {
        func option(_ name: Int32) throws(SystemError) -> Int32 {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            guard getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 else {
                throw SystemError("getsockopt", errno)
            }
            return value
        }
        guard try option(SO_TYPE) == Int32(SOCK_STREAM.rawValue), try option(SO_ACCEPTCONN) != 0 else {
            throw SystemError("listen", EINVAL)
        }
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0,
            fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0
        else { throw SystemError("fcntl", errno) }
        let socket = Socket(descriptor: descriptor)
        if socket.localAddress() != nil {
            socket.set(Int32(IPPROTO_TCP), TCP_NODELAY)
            socket.keepAlive()
        }
        return socket
    }

    /// Another descriptor of the same socket, for another loop to close.
    public func duplicate() throws(SystemError) -> Socket {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw SystemError("fcntl", errno) }
        return Socket(descriptor: copy)
    }

    /// Fails where another program already listens on `address`, also one that shares its ports.
    public static func checkFree(_ address: SocketAddress, isVirtual: Bool = false) throws(SystemError) {
        let socket = try make(family(address.ip), SOCK_STREAM)
        socket.set(SOL_SOCKET, SO_REUSEADDR)
        socket.restrictFamily(address.ip)
        if isVirtual { socket.allowVirtual(address.ip) }
        try socket.bind(address)
        socket.close()
    }

    /// A local route is enough for bind(2) of IPv4, for IPv6 an interface must have the address.
    private func allowVirtual(_ ip: IPAddress) {
        if !ip.isV4 { set(Int32(IPPROTO_IPV6), meshd_ipv6_freebind) }
    }

    /// Whether this machine has IPv6 addresses to listen on.
    public static var hasIPv6: Bool {
        (try? checkFree(SocketAddress(IPAddress(high: 0, low: 1), 0))) != nil
    }

    /// `::` takes IPv4, too; any other IPv6 address only its own family.
    private func restrictFamily(_ ip: IPAddress) {
        if !ip.isV4 { set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, ip == .anyV6 ? 0 : 1) }
    }

    /// A UDP socket bound to `address`, `::` taking IPv4, too; unbound when `nil` (IPv4).
    public static func datagram(_ address: SocketAddress?, shared: Bool = false, isVirtual: Bool = false)
        throws(SystemError) -> Socket
    {
        let socket = try make(address.map { family($0.ip) } ?? AF_INET, SOCK_DGRAM)
        if let address {
            if shared { socket.set(SOL_SOCKET, meshd_so_reuseport) }
            socket.restrictFamily(address.ip)
            if isVirtual { socket.allowVirtual(address.ip) }
            try socket.bind(address)
        }
        return socket
    }

    /// A UDP socket that talks to `peer` only.
    public static func datagram(connectedTo peer: SocketAddress) throws(SystemError) -> Socket {
        let socket = try make(family(peer.ip), SOCK_DGRAM)
        try socket.connect(peer)
        return socket
    }

    /// Begins a TCP connection; writability says it is decided, `takeError` how. Keepalive is for `keepAlive` to set,
    /// once the connection has lived long enough to need it.
    ///
    /// - Parameter noDelay: from the start; otherwise it is for `setNoDelay` before the second send: nothing delays the
    ///   first one, and a connection that needs no more has saved a call.
    public static func dial(_ address: SocketAddress, noDelay: Bool = true) throws(SystemError) -> Socket {
        let socket = try make(family(address.ip), SOCK_STREAM)
        if noDelay { socket.setNoDelay() }
        try socket.connect(address)
        return socket
    }

    private func connect(_ address: SocketAddress) throws(SystemError) {
        let code: Int32 = address.withSockaddr { pointer, length in
            CLinux.connect(descriptor, pointer, length) == 0 ? 0 : errno
        }
        guard code == 0 || code == EINPROGRESS || code == EINTR else { throw closing("connect", code) }
    }

    private func bind(_ address: SocketAddress) throws(SystemError) {
        let code: Int32 = address.withSockaddr { pointer, length in
            CLinux.bind(descriptor, pointer, length) == 0 ? 0 : errno
        }
        guard code == 0 else { throw closing("bind", code) }
    }

    private func closing(_ call: String, _ code: Int32 = errno) -> SystemError {
        close()
        return SystemError(call, code)
    }

    /// One pending connection of a listening socket and the peer's address (`nil` on a UNIX socket).
    public enum Accepted {
        case connection(Socket, SocketAddress?)
        case none
        case failed(Int32)
    }

    @inline(never)
    public func accept() -> Accepted {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let fd = descriptor
        let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        while true {
            let result = withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    retrying { Int(accept4(fd, address, &length, flags)) }
                }
            }
            switch result {
            case .count(let accepted): return .connection(Socket(descriptor: Int32(accepted)), SocketAddress(storage))
            case .wouldBlock: return .none
            case .failed(ECONNABORTED), .failed(EPROTO): continue
            case .failed(let code): return .failed(code)
            }
        }
    }
}

// MARK: - UNIX sockets

extension Socket {
    /// A listening UNIX socket. A socket at `path` that nobody listens on is replaced; any other file stands.
    public static func listen(unixPath path: String) throws(SystemError) -> Socket {
        var status = stat()
        if lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK, isStale(path) else { throw SystemError("bind", EADDRINUSE) }
            _ = unlink(path)
        }
        let socket = try make(AF_UNIX, SOCK_STREAM)
        guard try socket.withUnixAddress(path, { CLinux.bind(socket.descriptor, $0, $1) }) == 0 else {
            throw socket.closing("bind")
        }
        guard CLinux.listen(socket.descriptor, 128) == 0 else { throw socket.closing("listen") }
        return socket
    }

    /// A refusal is the only proof: a full queue, for one, is the sign of a listener.
    private static func isStale(_ path: String) -> Bool {
        do throws(SystemError) {
            try dial(unixPath: path).close()
            return false
        } catch {
            return error.code == ECONNREFUSED
        }
    }

    public static func dial(unixPath path: String) throws(SystemError) -> Socket {
        let socket = try make(AF_UNIX, SOCK_STREAM)
        guard try socket.withUnixAddress(path, { CLinux.connect(socket.descriptor, $0, $1) }) == 0 else {
            throw socket.closing("connect")
        }
        return socket
    }

    private func withUnixAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(SystemError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < capacity else { throw closing("bind", ENAMETOOLONG) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}
