import CLinux
import Glibc
public import NetAddress

/// A listening socket on a loop: accepts a bounded burst a turn, so that a flood of connections starves nobody.
///
/// Out of descriptors or above the owner's limit it stops accepting; connections wait in the kernel's queue. It tries
/// again after `retryNanoseconds`, or when the owner calls `resume` because something was closed. It never spins.
public final class TCPListener: Handler {
    /// Connections accepted in one turn.
    private static let burst = 64
    private static let retryNanoseconds: UInt64 = 100_000_000

    private let loop: EventLoop
    private var socket: Socket
    private var canAccept = false
    /// Before this no failure is told again, and new arrivals start no attempt.
    private var quietUntil: UInt64 = 0
    private let mayAccept: () -> Bool
    private let accepted: (Socket, SocketAddress?) -> Void
    private let refused: (SystemError) -> Void

    /// - Parameters:
    ///   - mayAccept: asked before each accept; `false` leaves connections in the kernel's queue.
    ///   - refused: told when accepting fails, at most once per `retryNanoseconds`.
    public init(
        _ socket: Socket, on loop: EventLoop, mayAccept: @escaping () -> Bool = { true },
        refused: @escaping (SystemError) -> Void = { _ in }, accepted: @escaping (Socket, SocketAddress?) -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.socket = socket
        self.mayAccept = mayAccept
        self.refused = refused
        self.accepted = accepted
        super.init()
        try loop.attach(self, socket)
    }

    public var localAddress: SocketAddress? { socket.localAddress() }

    override public func ready(_ readiness: Readiness) {
        canAccept = true
        // Each arrival is told, also while there is no descriptor to take it with.
        if loop.nowNanoseconds >= quietUntil { accept() }
    }

    override public func resume() { accept() }

    override public func deadlineReached() { accept() }

    private func accept() {
        guard canAccept, socket.isOpen else { return }
        for _ in 0..<Self.burst {
            guard mayAccept() else { return loop.setDeadline(self, after: Self.retryNanoseconds) }
            switch socket.accept() {
            case .connection(let peer, let address): accepted(peer, address)
            case .none:
                canAccept = false
                return
            case .failed(let code):
                return failed(SystemError("accept", code))
            }
            guard socket.isOpen else { return }
        }
        loop.requeue(self)
    }

    private func failed(_ error: SystemError) {
        if loop.nowNanoseconds >= quietUntil {
            quietUntil = loop.nowNanoseconds &+ Self.retryNanoseconds
            refused(error)
        }
        loop.setDeadline(self, at: quietUntil)
    }

    /// Takes what the kernel has already accepted, then closes: a client that has connected is not reset.
    public func finish() {
        guard socket.isOpen else { return }
        for _ in 0..<4096 where socket.isOpen {
            guard mayAccept(), case .connection(let peer, let address) = socket.accept() else { break }
            accepted(peer, address)
        }
        loop.detach(self)
        socket.close()
        socket = .none
    }
}
