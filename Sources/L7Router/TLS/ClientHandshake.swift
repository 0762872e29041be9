import MeshCore
import NetAddress
import Reactor

/// A connection from accepting to the end of its TLS handshake; then a `ClientConnection` takes its place on the loop.
final class ClientHandshake: Handler {
    private let front: TLSFront
    private let layer: TLSLayer
    private let peer: SocketAddress
    private let binding: PortBinding
    private var sawPeerClose = false
    unowned(unsafe) var older: ClientHandshake?
    unowned(unsafe) var newer: ClientHandshake?

    init(_ layer: TLSLayer, _ peer: SocketAddress, _ binding: PortBinding, _ front: TLSFront) {
        self.front = front
        self.layer = layer
        self.peer = peer
        self.binding = binding
    }

    override func ready(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.peerClosed, .hangup, .error]) { sawPeerClose = true }
        // A connection that has just been accepted is writable, which says nothing of its first bytes.
        guard !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) || hasBegun else { return }
        step()
    }

    private var hasBegun = false

    override func resume() { step() }

    private func step() {
        guard front.takeStep() else { return front.loop.requeue(self) }
        hasBegun = true
        switch layer.shakeHands() {
        case .waiting: break
        case .done: finish()
        case .closed:
            front.counters.abandoned += 1
            abort()
        case .failed(let reason):
            front.counters.failed += 1
            Log.debug("TLS handshake failed", ["client": "\(peer)", "reason": reason])
            abort()
        }
    }

    override func deadlineReached() {
        front.counters.timedOut += 1
        abort()
    }

    private func finish() {
        front.counters.handshakes += 1
        if layer.isResumed { front.counters.resumed += 1 }
        let front = front
        front.http.serve(layer, peer, binding, replacing: self, sawPeerClose: sawPeerClose)
        // Last: it may tell that no handshake is left.
        front.remove(self)
    }

    func abort() {
        front.loop.detach(self)
        layer.close()
        front.remove(self)
    }
}
