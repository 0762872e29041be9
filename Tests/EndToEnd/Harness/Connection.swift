import CLinux
import Glibc

/// Why reading stopped before what was asked for was there.
enum ReadError: Error, Equatable {
    case end, reset, timedOut
    case malformed(String)
}

/// A blocking socket with deadlines and a buffer for reading. Belongs to one thread.
final class Connection {
    let fd: Int32
    private var buffer: [UInt8] = []
    private var start = 0
    private var isOpen = true

    init(adopting fd: Int32, deadline seconds: Double = 10) {
        self.fd = fd
        setDeadline(seconds)
    }

    /// Connects to an IPv4 or IPv6 address.
    ///
    /// - Parameter source: an own address to connect from.
    static func open(
        _ port: UInt16, _ address: String = "127.0.0.1", from source: String? = nil, deadline: Double = 10,
        receiveBuffer: Int32? = nil
    ) throws -> Connection {
        let family = address.contains(":") ? AF_INET6 : AF_INET
        let fd = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw Failure("socket: errno \(errno)") }
        let connection = Connection(adopting: fd, deadline: deadline)
        if let receiveBuffer { setOption(fd, SOL_SOCKET, SO_RCVBUF, receiveBuffer) }
        setOption(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        if let source, withAddress(source, 0, { bind(fd, $0, $1) }) != 0 { throw Failure("bind: errno \(errno)") }
        let result = withAddress(address, port) { connect(fd, $0, $1) }
        guard result == 0 else { throw Failure("connect to \(address):\(port): errno \(errno)") }
        return connection
    }

    /// A UDP socket that hears nobody but this address.
    static func openDatagrams(
        _ port: UInt16, _ address: String = "127.0.0.1", from source: String? = nil, deadline: Double = 10
    ) throws -> Connection {
        let family = address.contains(":") ? AF_INET6 : AF_INET
        let fd = socket(family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw Failure("socket: errno \(errno)") }
        let connection = Connection(adopting: fd, deadline: deadline)
        if let source, withAddress(source, 0, { bind(fd, $0, $1) }) != 0 { throw Failure("bind: errno \(errno)") }
        let result = withAddress(address, port) { connect(fd, $0, $1) }
        guard result == 0 else { throw Failure("connect to \(address):\(port): errno \(errno)") }
        return connection
    }

    func setDeadline(_ seconds: Double) {
        let whole = Int(seconds)
        var time = timeval(tv_sec: whole, tv_usec: Int((seconds - Double(whole)) * 1e6))
        let size = socklen_t(MemoryLayout<timeval>.size)
        _ = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, size)
        _ = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, size)
    }

    // MARK: - Writing

    /// Sends everything, or throws.
    func send(_ bytes: [UInt8]) throws {
        guard sendAsFarAsTaken(bytes) == bytes.count else { throw Failure("send: errno \(errno)") }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Sends until the peer takes no more; returns how much it took.
    @discardableResult
    func sendAsFarAsTaken(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return 0 }
            var sent = 0
            while sent < raw.count {
                let count = CLinux.send(fd, base + sent, raw.count - sent, Int32(MSG_NOSIGNAL))
                if count > 0 { sent += count } else if errno != EINTR { break }
            }
            return sent
        }
    }

    func closeWrite() { _ = shutdown(fd, Int32(SHUT_WR)) }

    func close() {
        guard isOpen else { return }
        isOpen = false
        _ = CLinux.close(fd)
    }

    /// The coming `close` sends RST.
    func prepareReset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    // MARK: - Reading

    var buffered: Int { buffer.count - start }

    /// Waits for at least one more byte.
    func fill() throws(ReadError) {
        if start > 0, start == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            start = 0
        }
        let capacity = 262_144
        let count = withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 16) { space -> Int in
            var count = -1
            repeat { count = recv(fd, space.baseAddress, capacity, 0) } while count < 0 && errno == EINTR
            if count > 0 { buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: space[..<count])) }
            return count
        }
        if count > 0 { return }
        if count == 0 { throw .end }
        throw errno == EAGAIN ? .timedOut : .reset
    }

    func readExactly(_ count: Int) throws(ReadError) -> [UInt8] {
        while buffered < count { try fill() }
        let result = Array(buffer[start..<start + count])
        start += count
        return result
    }

    /// What is there now, at least one byte, at most `limit`.
    func readSome(_ limit: Int = .max) throws(ReadError) -> [UInt8] {
        if buffered == 0 { try fill() }
        return try readExactly(min(buffered, limit))
    }

    /// A line without its CRLF. Anything but CRLF at its end, and a CR or NUL within, is malformed.
    func readLine(limit: Int = 1 << 20) throws(ReadError) -> [UInt8] {
        var scanned = 0
        while true {
            if let length = lineLength(from: scanned) {
                let line = try readExactly(length)
                guard line.count >= 2, line[line.count - 2] == 13 else { throw .malformed("line ends with a bare LF") }
                let text = Array(line.dropLast(2))
                guard !text.contains(13), !text.contains(0) else { throw .malformed("CR or NUL within a line") }
                return text
            }
            scanned = buffered
            guard scanned < limit else { throw .malformed("line too long") }
            try fill()
        }
    }

    private func lineLength(from offset: Int) -> Int? {
        buffer.withUnsafeBytes { raw in
            guard let base = raw.baseAddress, start + offset < raw.count else { return nil }
            guard let found = memchr(base + start + offset, 10, raw.count - start - offset) else { return nil }
            return UnsafeRawPointer(found) - (base + start) + 1
        }
    }

    /// Everything until the peer closes.
    func readToEnd() throws(ReadError) -> [UInt8] {
        do {
            while true { try fill() }
        } catch {
            guard error == .end else { throw error }
            return try readExactly(buffered)
        }
    }

    /// Whether the peer closed (FIN or RST) with nothing unread before it.
    func isClosedByPeer(within seconds: Double = 10) -> Bool {
        guard buffered == 0 else { return false }
        setDeadline(seconds)
        do {
            try fill()
            return false
        } catch {
            return error == .end || error == .reset
        }
    }

    deinit { close() }
}

func setOption(_ fd: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
    var value = value
    _ = setsockopt(fd, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
}

/// The address in the form of its own family.
func withAddress<R>(_ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    guard address.contains(":") else { return withIPv4(address, port, body) }
    var storage = sockaddr_in6()
    storage.sin6_family = sa_family_t(AF_INET6)
    storage.sin6_port = port.bigEndian
    _ = inet_pton(AF_INET6, address, &storage.sin6_addr)
    return withUnsafePointer(to: &storage) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
    }
}

func withIPv4<R>(_ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var storage = sockaddr_in()
    storage.sin_family = sa_family_t(AF_INET)
    storage.sin_port = port.bigEndian
    storage.sin_addr.s_addr = inet_addr(address)
    return withUnsafePointer(to: &storage) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
}
