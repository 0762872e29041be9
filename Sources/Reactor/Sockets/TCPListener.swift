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
    private let isSharedSocket: Bool
    /// A shared socket's arrivals are for the other loops, this one being full.
    private var isAside = false
    private let steppedAside: () -> Void
    private var socket: Socket
    private var canAccept = false
    /// Before this no failure is told again, and new arrivals start no attempt.
    private var quietUntil: UInt64 = 0
    private let mayAccept: () -> Bool
    private let accepted: (Socket, SocketAddress?) -> Void
    private let refused: (SystemError) -> Void

    /// - Parameters:
    ///   - isSharedSocket: other loops, and the process that opened it, hold descriptors of the same socket: of a new
    ///     connection one loop is told, in turn, and `finish` leaves what waits to who comes after.
    ///   - steppedAside: told when this loop leaves a shared socket to the others for a while. One of them must `look`,
    ///     for this loop alone may have been told of what waits.
    ///   - mayAccept: asked before each accept; `false` leaves connections in the kernel's queue.
    ///   - refused: told when accepting fails, at most once per `retryNanoseconds`.
    public init(
        _ socket: Socket, on loop: EventLoop, isSharedSocket: Bool = false,
        steppedAside: @escaping () -> Void = {}, mayAccept: @escaping () -> Bool = { true },
        refused: @escaping (SystemError) -> Void = { _ in }, accepted: @escaping (Socket, SocketAddress?) -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.isSharedSocket = isSharedSocket
        self.steppedAside = steppedAside
        self.socket = socket
        self.mayAccept = mayAccept
        self.refused = refused
        self.accepted = accepted
        super.init()
        if isSharedSocket {
            try loop.attach(self, descriptor: socket.descriptor, events: EventLoop.arrivalsOfSharedSocket)
        } else {
            try loop.attach(self, socket)
        }
    }

    public var localAddress: SocketAddress? { socket.localAddress() }

    override public func ready(_ readiness: Readiness) {
        canAccept = true
        // Each arrival is told, also while there is no descriptor to take it with.
        if loop.nowNanoseconds >= quietUntil { accept() }
    }

    override public func resume() { accept() }

    override public func deadlineReached() {
        comeBack()
        accept()
    }

    /// Accepts what waits at a shared socket, told of it or not.
    public func look() {
        guard !isAside, loop.nowNanoseconds >= quietUntil else { return }
        canAccept = true
        accept()
    }

    private func accept() {
        guard canAccept, socket.isOpen else { return }
        // Whatever comes behind these is told by an event of its own.
        let waiting = socket.waitingConnections ?? .max
        for index in 0..<Self.burst {
            guard index < waiting else { return noneLeft(index) }
            guard mayAccept() else {
                stepAside()
                return loop.setDeadline(self, after: Self.retryNanoseconds)
            }
            switch socket.accept() {
            case .connection(let peer, let address): accepted(peer, address)
            case .none: return noneLeft(index)
            case .failed(let code):
                stepAside()
                return failed(SystemError("accept", code))
            }
            guard socket.isOpen else { return }
        }
        loop.requeue(self)
    }

    private func noneLeft(_ taken: Int) {
        canAccept = false
        if taken > 0 { goToTheEnd() }
    }

    private func failed(_ error: SystemError) {
        if loop.nowNanoseconds >= quietUntil {
            quietUntil = loop.nowNanoseconds &+ Self.retryNanoseconds
            refused(error)
        }
        loop.setDeadline(self, at: quietUntil)
    }

    // MARK: - Shared sockets

    /// The kernel wakes the loop that has waited longest: without a new place after each arrival it would be this one
    /// again and again.
    private func goToTheEnd() {
        guard isSharedSocket, socket.isOpen else { return }
        loop.stopHearing(socket.descriptor)
        isAside = true
        comeBack()
    }

    private func stepAside() {
        guard isSharedSocket, !isAside else { return }
        isAside = true
        loop.stopHearing(socket.descriptor)
        steppedAside()
    }

    private func comeBack() {
        guard isAside, socket.isOpen else { return }
        do throws(SystemError) {
            try loop.hearAgain(self, socket.descriptor, events: EventLoop.arrivalsOfSharedSocket)
            isAside = false
            canAccept = true
        } catch {
            failed(error)
        }
    }

    /// Takes what the kernel has already accepted, then closes: a client that has connected is not reset. What waits at
    /// a shared socket goes on waiting for whoever listens there next.
    public func finish() {
        guard socket.isOpen else { return }
        for _ in 0..<4096 where socket.isOpen && !isSharedSocket {
            guard mayAccept(), case .connection(let peer, let address) = socket.accept() else { break }
            accepted(peer, address)
        }
        loop.detach(self)
        socket.close()
        socket = .none
    }
}
