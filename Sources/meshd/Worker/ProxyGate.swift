import MeshCore
import NetAddress
import Reactor

/// Which connections begin with a PROXY header: those of trusted peers on the listeners named. They must have one; of
/// anybody else's connection it would be part of the bytes.
struct ProxyTrust: Sendable {
    var networks: [IPNetwork] = []
    var kinds: Set<ListenerPlan.Kind> = []
    /// For the whole header, from accepting.
    var timeoutNanoseconds: UInt64 = 10_000_000_000

    func expectsHeader(_ kind: ListenerPlan.Kind, from peer: IPAddress) -> Bool {
        !networks.isEmpty && kinds.contains(kind) && networks.contains { $0.contains(peer) }
    }
}

/// What one worker has counted.
struct ProxyCounters: Sendable {
    /// Headers taken, those of LOCAL connections included.
    var headers: UInt64 = 0
    /// Connections closed because their header was broken or did not come to its end in time.
    var refused: UInt64 = 0
}

/// One worker's connections that have not yet said whose they are. Each is handed on with the addresses it names.
final class ProxyGate {
    typealias Serve = (_ socket: Socket, _ client: ConnectionOrigin) -> Void

    let loop: EventLoop
    let trust: ProxyTrust
    private(set) var counters = ProxyCounters()
    /// Connections whose header is awaited.
    private(set) var waiting = 0
    private var whenEmpty: (() -> Void)?

    init(_ loop: EventLoop, _ trust: ProxyTrust) {
        self.loop = loop
        self.trust = trust
    }

    /// Serves the connection at once, or once its header has come.
    func admit(_ socket: Socket, _ peer: SocketAddress, _ kind: ListenerPlan.Kind, _ serve: @escaping Serve) {
        guard trust.expectsHeader(kind, from: peer.ip) else { return serve(socket, ConnectionOrigin(peer)) }
        waiting += 1
        ProxyPreamble(socket, peer, self, serve).start()
    }

    /// Calls `done` when no connection waits any more: none is forgotten while the process drains.
    func drain(done: @escaping () -> Void) {
        if waiting == 0 { return done() }
        whenEmpty = done
    }

    fileprivate func taken(_ socket: Socket, _ client: ConnectionOrigin, _ serve: Serve) {
        counters.headers += 1
        serve(socket, client)
        left()
    }

    /// - Parameter isFault: bytes had come that are no header, or none in time.
    fileprivate func refused(isFault: Bool) {
        if isFault { counters.refused += 1 }
        left()
    }

    private func left() {
        waiting -= 1
        guard waiting == 0, let done = whenEmpty else { return }
        whenEmpty = nil
        done()
    }
}

/// A connection whose header is on its way. It is looked at in the kernel's buffer and taken out in one piece, so that
/// whoever serves the connection finds it untouched behind the header.
private final class ProxyPreamble: Handler {
    private var socket: Socket
    private let peer: SocketAddress
    private let gate: ProxyGate
    private let serve: ProxyGate.Serve
    private var isAttached = false

    init(_ socket: Socket, _ peer: SocketAddress, _ gate: ProxyGate, _ serve: @escaping ProxyGate.Serve) {
        self.socket = socket
        self.peer = peer
        self.gate = gate
        self.serve = serve
    }

    func start() {
        guard !look(isLast: false) else { return }
        do {
            try gate.loop.attach(self, socket)
            isAttached = true
            gate.loop.setDeadline(self, after: gate.trust.timeoutNanoseconds)
        } catch {
            refuse(isFault: false)
        }
    }

    override func ready(_ readiness: Readiness) {
        guard socket.isOpen else { return }
        _ = look(isLast: !readiness.isDisjoint(with: [.peerClosed, .hangup, .error]))
    }

    override func deadlineReached() { refuse(isFault: true) }

    /// `false`: the header is not whole. `isLast`: the peer sends no more.
    private func look(isLast: Bool) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: ProxyHeader.longestBinary, alignment: 8) { space in
            guard let base = space.baseAddress else { return false }
            var count = 0
            switch socket.peek(base, space.count) {
            case .count(let found): count = found
            case .wouldBlock: break
            case .failed:
                refuse(isFault: false)
                return true
            }
            switch ProxyHeader.parse(UnsafeRawBufferPointer(rebasing: space[..<count])) {
            case .header(let header, let length): take(header, base, length)
            case .malformed: refuse(isFault: true)
            case .incomplete:
                // Who connects to see whether the port is open and leaves is no fault.
                guard isLast else { return false }
                refuse(isFault: count > 0)
            }
            return true
        }
    }

    private func take(_ header: ProxyHeader, _ base: UnsafeMutableRawPointer, _ length: Int) {
        // These bytes are there: the kernel has shown them.
        guard case .count(length) = socket.receive(base, length) else { return refuse(isFault: false) }
        if isAttached { gate.loop.detach(self, releasing: socket) }
        let served = socket
        socket = .none
        switch header {
        case .local: gate.taken(served, ConnectionOrigin(peer), serve)
        case .proxied(let source, let destination):
            gate.taken(served, ConnectionOrigin(source, destination: destination), serve)
        }
    }

    private func refuse(isFault: Bool) {
        guard socket.isOpen else { return }
        gate.loop.detach(self)
        socket.close()
        socket = .none
        gate.refused(isFault: isFault)
    }
}
