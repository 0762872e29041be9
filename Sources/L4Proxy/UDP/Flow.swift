import MeshCore
import Reactor

/// One client's datagrams to one listener, and the instance they go to: a socket connected to it, so that the kernel
/// sorts the replies and tells of an unreachable port.
final class Flow: Handler {
    /// Batches of replies in one turn at the most.
    private static let batchesPerTurn = 8

    let listener: DatagramListener
    let path: DatagramPath
    let pool: Int32
    let endpoint: Endpoint
    private(set) var socket: Socket
    /// Its place among the worker's flows.
    let age: Int32
    /// The instance has answered.
    private var hasAnswered = false

    init(
        _ listener: DatagramListener, _ path: DatagramPath, _ pool: Int32, _ endpoint: Endpoint, _ socket: Socket,
        age: Int32
    ) {
        self.listener = listener
        self.path = path
        self.pool = pool
        self.endpoint = endpoint
        self.socket = socket
        self.age = age
    }

    override func ready(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.readable, .error, .hangup]) { receive() }
    }

    override func resume() { receive() }

    private func receive() {
        let worker = listener.worker
        for _ in 0..<Self.batchesPerTurn {
            guard socket.isOpen else { return }
            switch worker.batch.receive(from: socket) {
            case .count(let count):
                if !hasAnswered {
                    hasAnswered = true
                    worker.dialed(endpoint, nil)
                }
                worker.touch(self)
                listener.reply(count, along: path)
                // Fewer than there is room for: there are no more.
                if count < DatagramBatch.capacity { return }
            case .wouldBlock: return
            case .failed(let code): return worker.failed(self, SystemError("recv", code))
            }
        }
        worker.loop.requeue(self)
    }

    func close() {
        listener.worker.loop.detach(self)
        socket.close()
        socket = .none
    }
}
