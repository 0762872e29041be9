import CLinux
import Glibc
import Synchronization

/// Ports that nothing listens on, below the ranges that meshd and the kernel choose from; none is given twice.
enum FreePort {
    private static let next = Atomic<Int>(Int(getpid()) * 37 % 16_000)

    static func take() -> UInt16 {
        for _ in 0..<16_000 {
            let port = UInt16(14_000 + next.add(1, ordering: .relaxed).newValue % 16_000)
            if let fd = try? bound(to: port) {
                close(fd)
                return port
            }
        }
        fatalError("no free port on loopback")
    }

    /// A bound socket that does not listen: a child being started may hold a copy of it for a moment, which would keep
    /// others from a port that listens, not from this one.
    private static func bound(to port: UInt16) throws -> Int32 {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw Failure("socket: errno \(errno)") }
        setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        guard withIPv4("127.0.0.1", port, { bind(fd, $0, $1) }) == 0 else {
            let code = errno
            close(fd)
            throw Failure("bind to \(port): errno \(code)")
        }
        return fd
    }

    /// A listening socket on 127.0.0.1.
    static func listen(on port: UInt16, backlog: Int32 = 1024) throws -> Int32 {
        try awaited(within: 5, "port \(port) can be listened on") {
            guard let fd = try? bound(to: port) else { return nil }
            if CLinux.listen(fd, backlog) == 0 { return fd }
            close(fd)
            return nil
        }
    }
}

/// A TCP server in the test process, one thread a connection. `stop` and `start` play death and return on one port.
final class TCPInstance: Sendable {
    typealias Serve = @Sendable (Connection) -> Void

    let port: UInt16
    private let core: AcceptCore

    var address: String { "127.0.0.1:\(port)" }
    var acceptedCount: Int { core.accepted.value }

    init(port: UInt16 = FreePort.take(), serve: @escaping Serve) throws {
        self.port = port
        core = AcceptCore(port: port, serve: serve)
        try core.start()
    }

    func start() throws { try core.start() }

    /// As if the process died: the port refuses, every connection is closed.
    func stop() { core.stop() }

    /// Closes the connections, keeps listening.
    func closeConnections() { core.closeConnections() }

    var openConnections: Int { core.openConnections }

    deinit { core.stop() }
}

private final class AcceptCore: Sendable {
    private struct State {
        var listener: Int32 = -1
        var connections: Set<Int32> = []
    }

    let accepted = Counter()
    private let port: UInt16
    private let serve: TCPInstance.Serve
    private let state = Mutex(State())

    init(port: UInt16, serve: @escaping TCPInstance.Serve) {
        self.port = port
        self.serve = serve
    }

    var openConnections: Int { state.withLock { $0.connections.count } }

    func start() throws {
        let fd = try FreePort.listen(on: port)
        state.withLock { $0.listener = fd }
        startThread { [self] in acceptLoop(fd) }
    }

    private func acceptLoop(_ listener: Int32) {
        while true {
            let fd = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
            if fd < 0 {
                if errno == EINTR || errno == ECONNABORTED { continue }
                break
            }
            let isCurrent = state.withLock {
                if $0.listener == listener { $0.connections.insert(fd) }
                return $0.listener == listener
            }
            guard isCurrent else {
                close(fd)
                break
            }
            accepted.add()
            setOption(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            startThread { [self] in run(fd) }
        }
        close(listener)
        state.withLock { if $0.listener == listener { $0.listener = -1 } }
    }

    private func run(_ fd: Int32) {
        let connection = Connection(adopting: fd, deadline: 60)
        serve(connection)
        // The entry leaves before the descriptor, so that nobody shuts down a later one of the same number.
        state.withLock { _ = $0.connections.remove(fd) }
        connection.close()
    }

    func closeConnections() {
        state.withLock { for fd in $0.connections { _ = shutdown(fd, Int32(SHUT_RDWR)) } }
    }

    func stop() {
        let listener = state.withLock { $0.listener }
        guard listener >= 0 else { return }
        // Wakes the accepting thread, which closes the listener.
        state.withLock { if $0.listener == listener { _ = shutdown(listener, Int32(SHUT_RDWR)) } }
        let deadline = monotonicSeconds() + 5
        while state.withLock({ $0.listener == listener }), monotonicSeconds() < deadline { usleep(1000) }
        closeConnections()
    }
}
