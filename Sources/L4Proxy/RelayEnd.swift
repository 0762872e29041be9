import Reactor

/// One side of a session: its socket and what the kernel has said of it.
final class RelayEnd: Handler {
    /// Uncounted, and called without counting: the session outlives its ends.
    var session: Unmanaged<RelaySession>?
    private(set) var socket: Socket
    var isReadable = false
    var isWritable: Bool
    /// The kernel has told of the end of stream; a read will find it.
    private(set) var sawPeerClose = false
    /// The connection was reset; a read will tell.
    private(set) var sawError = false

    /// Urgent data has come: a short read does not say that the kernel has no more.
    var sawUrgent = false

    /// Bytes have gone to it since it was last heard.
    var isOwing = false

    /// Sends so far, as far as they matter: a dialled socket is told of no delay before the second one.
    private var sends: UInt8

    init(accepted socket: Socket) {
        self.socket = socket
        isWritable = true
        sends = 2
    }

    init(dialled socket: Socket) {
        self.socket = socket
        isWritable = false
        sends = 0
    }

    @inline(__always)
    func willSend() {
        guard sends < 2 else { return }
        sends += 1
        if sends == 2 { socket.setNoDelay() }
    }

    /// Takes over where bytes are waiting for which no event will come any more.
    func begin(sawPeerClose: Bool) {
        isReadable = true
        self.sawPeerClose = sawPeerClose
    }

    override func ready(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) { isReadable = true }
        if !readiness.isDisjoint(with: [.peerClosed, .hangup, .error]) { sawPeerClose = true }
        if readiness.contains(.error) { sawError = true }
        if readiness.contains(.urgent) {
            sawUrgent = true
            isReadable = true
        }
        session?._withUnsafeGuaranteedRef { $0.ready(self, readiness) }
    }

    override func resume() { session?.takeUnretainedValue().pump() }

    override func deadlineReached() { session?.takeUnretainedValue().timedOut(self) }

    func close(_ loop: EventLoop) {
        session = nil
        loop.detach(self)
        socket.close()
        socket = .none
    }
}
