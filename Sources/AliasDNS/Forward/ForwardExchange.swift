import NetAddress
import Reactor

/// One client's query on its way through the upstreams: a socket of its own for each attempt, so that the kernel
/// chooses a fresh random source port and takes messages from that upstream only (RFC 5452 sections 4 and 9).
final class ForwardExchange: Handler {
    enum Event {
        case start, timeout, failure
        case received(Reply)
    }

    /// Messages taken in one turn.
    private static let readsPerTurn = 16

    let query: Query
    let client: ForwardClient
    private let forwarder: Forwarder
    private let loop: EventLoop?
    private var machine: ForwardMachine
    private var socket = Socket.none
    /// The client's message behind two bytes for its length; the id is that of the attempt.
    private var frame: [UInt8]
    private var sent = 0
    private var isConnected = false
    private var inbox: [UInt8] = []

    init(
        _ message: Span<UInt8>, _ query: Query, _ client: ForwardClient, _ machine: ForwardMachine,
        forwarder: Forwarder
    ) {
        self.query = query
        self.client = client
        self.machine = machine
        self.forwarder = forwarder
        loop = forwarder.server?.loop
        frame = [UInt8(truncatingIfNeeded: message.count >> 8), UInt8(truncatingIfNeeded: message.count)]
        frame.reserveCapacity(2 + message.count)
        for index in message.indices { frame.append(message[index]) }
        // A client may offer more than is safe on the way from the upstream to us: fragments can be forged.
        if let edns = query.edns, edns.payloadSize > UInt16(Wire.ednsPayload) {
            frame[2 + edns.payloadOffset] = UInt8(Wire.ednsPayload >> 8)
            frame[3 + edns.payloadOffset] = UInt8(Wire.ednsPayload & 0xff)
        }
    }

    func withMessage<R>(_ body: (Span<UInt8>) -> R) -> R {
        let frame = frame
        return body(frame.span.extracting(droppingFirst: 2))
    }

    func start() { apply(forwarder.step(&machine, .start)) }

    /// Ends without an answer to the client.
    func abandon() { disconnect() }

    // MARK: Steps

    /// Attempts that cannot even begin follow one another here, at most one for each upstream.
    private func apply(_ first: ForwardMachine.Step, reply: UnsafeRawBufferPointer? = nil) {
        var step = first
        while true {
            switch step {
            case .wait:
                forwarder.server?.count.foreignReplies += 1
                return
            case .relay, .giveUp:
                disconnect()
                return forwarder.finish(self, reply: step == .relay ? reply : nil)
            case .ask(let upstream, let overTCP, let id):
                disconnect()
                if ask(forwarder.upstreams[upstream], overTCP: overTCP, id: id) { return }
                forwarder.server?.count.forwardFailures += 1
                step = forwarder.step(&machine, .failure)
            }
        }
    }

    private func ask(_ upstream: SocketAddress, overTCP: Bool, id: UInt16) -> Bool {
        guard let server = forwarder.server else { return false }
        frame[2] = UInt8(truncatingIfNeeded: id >> 8)
        frame[3] = UInt8(truncatingIfNeeded: id)
        do {
            socket = overTCP ? try Socket.dial(upstream) : try Socket.datagram(connectedTo: upstream)
            try server.loop.attach(self, socket)
        } catch {
            return false
        }
        server.loop.setDeadline(self, after: server.limits.forwardNanoseconds)
        return overTCP ? true : sendDatagram()
    }

    private func sendDatagram() -> Bool {
        let socket = socket
        return frame.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return false }
            if case .count = socket.send(base + 2, bytes.count - 2) { return true }
            return false
        }
    }

    private func disconnect() {
        loop?.detach(self)
        socket.close()
        socket = .none
        sent = 0
        isConnected = false
        inbox = []
    }

    private func attemptFailed(_ event: Event = .failure) {
        if case .timeout = event {
            forwarder.server?.count.forwardTimeouts += 1
        } else {
            forwarder.server?.count.forwardFailures += 1
        }
        apply(forwarder.step(&machine, event))
    }

    // MARK: Events

    override func ready(_ readiness: Readiness) {
        if machine.isOverTCP { return streamReady(readiness) }
        if !readiness.isDisjoint(with: [.readable, .error]) { receiveDatagrams() }
    }

    override func resume() {
        guard socket.isOpen else { return }
        if machine.isOverTCP { receiveStream() } else { receiveDatagrams() }
    }

    override func deadlineReached() { attemptFailed(.timeout) }

    private func receiveDatagrams() {
        guard let memory = forwarder.memory.baseAddress else { return }
        for _ in 0..<Self.readsPerTurn {
            switch socket.receive(memory, forwarder.memory.count) {
            case .wouldBlock: return
            case .failed: return attemptFailed()
            case .count(let count): judge(UnsafeRawBufferPointer(rebasing: forwarder.memory[..<count]))
            }
            // The message may have ended the exchange, or moved it on to TCP.
            guard socket.isOpen, !machine.isOverTCP else { return }
        }
        loop?.requeue(self)
    }

    private func judge(_ message: UnsafeRawBufferPointer) {
        let (end, id) = (query.questionEnd, machine.id)
        let reply = message.withMemoryRebound(to: UInt8.self) { bytes in
            withMessage { Reply(bytes.span, to: $0, questionEnd: end, id: id) }
        }
        apply(forwarder.step(&machine, .received(reply)), reply: message)
    }

    // MARK: TCP

    private func streamReady(_ readiness: Readiness) {
        if !isConnected {
            guard socket.takeError() == 0 else { return attemptFailed() }
            guard !readiness.isDisjoint(with: [.writable, .readable]) else { return }
            isConnected = true
        }
        guard sendStream() else { return attemptFailed() }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) { receiveStream() }
    }

    private func sendStream() -> Bool {
        while sent < frame.count {
            let (socket, start) = (socket, sent)
            let result = frame.withUnsafeBytes { bytes in
                bytes.baseAddress.map { socket.send($0 + start, bytes.count - start) } ?? .wouldBlock
            }
            switch result {
            case .count(let count): sent += count
            case .wouldBlock: return true
            case .failed: return false
            }
        }
        return true
    }

    private func receiveStream() {
        guard let memory = forwarder.memory.baseAddress else { return }
        for _ in 0..<Self.readsPerTurn {
            let wanted = inbox.count < 2 ? 2 - inbox.count : 2 + replyLength - inbox.count
            switch socket.receive(memory, wanted) {
            case .wouldBlock: return
            case .failed, .count(0): return attemptFailed()
            case .count(let count): inbox += forwarder.memory[..<count]
            }
            if inbox.count >= 2 {
                guard replyLength >= Wire.headerLength else { return attemptFailed() }
                if inbox.count == 2 + replyLength {
                    let message = inbox
                    return message.withUnsafeBytes { judge(UnsafeRawBufferPointer(rebasing: $0[2...])) }
                }
            }
        }
        loop?.requeue(self)
    }

    private var replyLength: Int { Int(inbox[0]) << 8 | Int(inbox[1]) }
}
