internal import Glibc
public import NetAddress
internal import Reactor

/// A server on loopback with a thread of its own, which does to each connection what a test's script says.
///
/// Connections are served one after another in the order they came; each is closed behind its script.
public final class ScriptedServer: Sendable {
    public let address: SocketAddress
    private let listener: Int32

    /// - Parameter script: called on the server's thread with the connection and its number, from 0.
    public init(_ script: @escaping @Sendable (ServerConnection, Int) -> Void) throws {
        let socket = try BoundSocket()
        guard listen(socket.descriptor, 1024) == 0 else { throw SystemError("listen", errno) }
        listener = socket.descriptor
        address = socket.address
        let listener = listener
        _ = try WorkerThread(name: "scripted") {
            var index = 0
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { break }
                script(ServerConnection(descriptor: descriptor), index)
                close(descriptor)
                index += 1
            }
            close(listener)
        }
    }

    /// Takes no more connections. The thread ends with the script it is in.
    public func stop() { _ = shutdown(listener, Int32(SHUT_RDWR)) }

    deinit { stop() }
}

/// A TCP socket bound to a free loopback port: held without listening, every connection to it is refused.
public struct BoundSocket: Sendable {
    public let descriptor: Int32
    public let address: SocketAddress

    public init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("socket", errno) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fd = descriptor
        let isBound = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, length) == 0 && getsockname(fd, $0, &length) == 0
            }
        }
        guard isBound else { throw SystemError("bind", errno) }
        address = SocketAddress(.loopbackV4, UInt16(bigEndian: name.sin_port))
    }

    public func release() { close(descriptor) }
}

/// The server's side of one connection, blocking.
public struct ServerConnection {
    let descriptor: Int32

    /// Everything up to the empty line behind a request's head, and what came with it.
    public func readHead() -> String {
        var bytes: [UInt8] = []
        while !bytes.contains(sequence: [13, 10, 13, 10]) {
            guard let more = read() else { break }
            bytes += more
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What has come; `nil` at the end of the stream.
    public func read() -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count > 0 ? Array(bytes[..<count]) : nil
    }

    public func send(_ text: String) { send(Array(text.utf8)) }

    /// Stops where the client is gone.
    public func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    /// One octet a segment.
    public func sendByteByByte(_ text: String) {
        var on: Int32 = 1
        _ = setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        for byte in text.utf8 { send([byte]) }
    }

    /// Says nothing until the client has closed.
    public func waitForClose() {
        while read() != nil {}
    }
}

extension [UInt8] {
    fileprivate func contains(sequence: [UInt8]) -> Bool {
        guard count >= sequence.count else { return false }
        return (0...count - sequence.count).contains { self[$0..<$0 + sequence.count].elementsEqual(sequence) }
    }
}

/// How many of this process's descriptors are connected to `address`: what a client under test has not closed.
public func openConnections(to address: SocketAddress) -> Int {
    (0..<4096).count { descriptor in
        var name = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(Int32(descriptor), $0, &length) }
        }
        return result == 0 && Int32(name.sin_family) == AF_INET && UInt16(bigEndian: name.sin_port) == address.port
    }
}
