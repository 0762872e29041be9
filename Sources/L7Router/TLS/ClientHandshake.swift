import MeshCore
import NetAddress
import Reactor

/// A connection from accepting to the end of its TLS handshake; then a `ClientConnection` takes its place on the loop.
///
/// Where sessions are relayed by their server name, the name is looked for first in bytes that stay in the kernel: a
/// relay that takes over passes on every one of them.
final class ClientHandshake: Handler {
    private let front: TLSFront
    private let socket: Socket
    private let origin: ConnectionOrigin
    private let binding: PortBinding
    /// `nil`: the server name is still being looked for.
    private var layer: TLSLayer?
    private var hasBegun = false
    private var sawPeerClose = false
    unowned(unsafe) var older: ClientHandshake?
    unowned(unsafe) var newer: ClientHandshake?

    init(_ socket: Socket, _ origin: ConnectionOrigin, _ binding: PortBinding, _ front: TLSFront) {
        self.front = front
        self.socket = socket
        self.origin = origin
        self.binding = binding
    }

    override func ready(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.peerClosed, .hangup, .error]) { sawPeerClose = true }
        // A connection that has just been accepted is writable, which says nothing of its first bytes.
        guard !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) || hasBegun else { return }
        hasBegun = true
        step()
    }

    override func resume() { step() }

    override func deadlineReached() {
        front.counters.timedOut += 1
        abort()
    }

    // MARK: - Server name

    private func step() {
        if layer == nil {
            if front.relaysByName {
                guard isForHere() else { return }
            }
            layer = front.makeLayer(socket)
        }
        guard let layer else {
            front.counters.failed += 1
            return abort()
        }
        shakeHands(layer)
    }

    /// Whether TLS ends here. `false`: it is not decided yet, or the session is relayed, or over.
    private func isForHere() -> Bool {
        guard let buffer = front.loop.buffers.leaseSmall() else {
            front.counters.failed += 1
            abort()
            return false
        }
        defer { front.loop.buffers.giveBack(buffer) }
        guard case .count(let count) = socket.peek(buffer.base, min(buffer.capacity, ClientHello.limitBytes)) else {
            if sawPeerClose { leave() }
            return false
        }
        switch ClientHello.look(at: UnsafeRawBufferPointer(start: buffer.base, count: count)) {
        case .none: return true
        case .incomplete:
            // Whatever was to come of it has come.
            if sawPeerClose { leave() }
            return false
        case .serverName(let name):
            guard let pool = front.http.balancer.relayPool(serverName: name) else { return true }
            front.counters.passedThrough += 1
            front.relay?(socket, origin, pool, self, sawPeerClose)
            front.remove(self)
            return false
        }
    }

    private func leave() {
        front.counters.abandoned += 1
        abort()
    }

    // MARK: - Handshake

    private func shakeHands(_ layer: TLSLayer) {
        guard front.takeStep() else { return front.loop.requeue(self) }
        switch layer.shakeHands() {
        case .waiting: break
        case .done: finish(layer)
        case .closed: leave()
        case .failed(let reason):
            front.counters.failed += 1
            Log.debug("TLS handshake failed", ["client": "\(origin.source)", "reason": reason])
            abort()
        }
    }

    private func finish(_ layer: TLSLayer) {
        front.counters.handshakes += 1
        if layer.isResumed { front.counters.resumed += 1 }
        front.http.serve(layer, origin, binding, replacing: self, sawPeerClose: sawPeerClose)
        // Last: it may tell that no handshake is left.
        front.remove(self)
    }

    func abort() {
        front.loop.detach(self)
        if let layer { layer.close() } else { socket.close() }
        front.remove(self)
    }
}
