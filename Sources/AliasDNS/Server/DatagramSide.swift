import NetAddress
import Reactor

/// The UDP socket of the server.
final class DatagramSide: Handler {
    /// Set while the server is open.
    var server: AliasDNSServer?
    private var socket: Socket

    init(_ socket: Socket) { self.socket = socket }

    override func ready(_ readiness: Readiness) {
        // An answer that did not fit into the socket's buffer is dropped, so writability is of no interest.
        if !readiness.isDisjoint(with: [.readable, .error]) { pump() }
    }

    override func resume() { pump() }

    private func pump() {
        guard let server, let memory = server.queryMemory.baseAddress else { return }
        for _ in 0..<AliasDNSLimits.datagramsPerTurn {
            switch socket.receiveDatagram(memory, AliasDNSLimits.queryLength) {
            case .wouldBlock: return
            case .failed: server.count.dropped += 1
            case .datagram(let count, let path, let isCut):
                server.count.queriesUDP += 1
                if isCut {
                    server.count.dropped += 1
                } else {
                    handle(count, path, server)
                }
            }
            guard socket.isOpen else { return }
        }
        server.loop.requeue(self)
    }

    private func handle(_ count: Int, _ path: DatagramPath, _ server: AliasDNSServer) {
        let bytes = UnsafeRawBufferPointer(rebasing: server.queryMemory[..<count])
        bytes.withMemoryRebound(to: UInt8.self) { message in
            switch server.respond(to: message.span, over: .datagram) {
            case .answer(let answer): self.answer(answer.length, path)
            case .forward(let query): server.forward(message.span, query, for: .datagram(path))
            case .drop: break
            }
        }
    }

    /// Sends the answer in the server's memory.
    func answer(_ length: Int, _ path: DatagramPath) {
        guard let server, socket.isOpen, let bytes = server.answerRoom.baseAddress else { return }
        if case .count = socket.sendDatagram(bytes, length, path) { return }
        server.count.dropped += 1
    }

    func close(on loop: EventLoop) {
        loop.detach(self)
        socket.close()
        socket = .none
        server = nil
    }
}
