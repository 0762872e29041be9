import Reactor

/// A TCP client: queries and answers, each behind two bytes of length (RFC 1035 section 4.2.2, RFC 7766).
///
/// Queries are handled as they come, several may be under way; forwarded ones are answered out of order, which
/// RFC 7766 section 6.2.1.1 asks for. While answers wait to be read, or many queries are forwarded, nothing is read.
final class StreamClient: Handler {
    private let server: AliasDNSServer
    private var socket: Socket
    private var inbox: [UInt8] = []
    private var unsent: [UInt8] = []
    private var forwards = 0
    private var canRead = false
    private var hasEnded = false
    private var isPumping = false

    /// Reads in one turn, so that one client cannot starve the others.
    private static let readsPerTurn = 4

    init(_ socket: Socket, server: AliasDNSServer) {
        self.socket = socket
        self.server = server
    }

    // MARK: Events

    override func ready(_ readiness: Readiness) {
        if readiness.contains(.error) { return close() }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup]) { canRead = true }
        if readiness.contains(.writable) { flush() }
        pump()
    }

    override func resume() { pump() }

    override func deadlineReached() {
        // A forwarded query has a deadline of its own, after which it comes back here.
        if forwards > 0, unsent.isEmpty { return restartDeadline() }
        server.count.clientsClosed += 1
        close()
    }

    private func restartDeadline() { server.loop.setDeadline(self, after: server.limits.idleNanoseconds) }

    // MARK: Queries

    private var isHeldUp: Bool { !unsent.isEmpty || forwards >= server.limits.forwardsPerClient }

    private func pump() {
        guard !isPumping, socket.isOpen else { return }
        isPumping = true
        defer { isPumping = false }
        for _ in 0..<Self.readsPerTurn {
            guard handleWhole() else { return close() }
            guard socket.isOpen, !isHeldUp else { return }
            if hasEnded { return closeIfDone() }
            guard canRead else { return }
            read()
        }
        server.loop.requeue(self)
    }

    private func read() {
        let room = AliasDNSLimits.inboxLength - inbox.count
        guard room > 0, let memory = server.queryMemory.baseAddress else { return }
        switch socket.receive(memory, room) {
        case .wouldBlock: canRead = false
        case .count(0): hasEnded = true
        case .failed: close()
        case .count(let count): inbox += server.queryMemory[..<count]
        }
    }

    /// Handles the whole queries at hand; `false` where the client broke the format.
    private func handleWhole() -> Bool {
        var offset = 0
        while !isHeldUp, socket.isOpen, inbox.count - offset >= 2 {
            let length = Int(inbox[offset]) << 8 | Int(inbox[offset + 1])
            guard (Wire.headerLength...AliasDNSLimits.queryLength).contains(length) else {
                server.count.queriesTCP += 1
                server.count.malformed += 1
                server.count.clientsClosed += 1
                return false
            }
            guard inbox.count - offset - 2 >= length else { break }
            // Copied out: what handling brings about may change the inbox.
            let start = offset + 2
            offset = start + length
            inbox.withUnsafeBytes {
                server.queryMemory.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<offset]))
            }
            restartDeadline()
            guard handle(length) else { return false }
        }
        // An idle client holds no memory.
        if offset >= inbox.count { inbox = [] } else { inbox.removeFirst(offset) }
        return true
    }

    private func handle(_ length: Int) -> Bool {
        server.count.queriesTCP += 1
        let bytes = UnsafeRawBufferPointer(rebasing: server.queryMemory[..<length])
        return bytes.withMemoryRebound(to: UInt8.self) { message in
            switch server.respond(to: message.span, over: .stream) {
            case .answer(let answer): self.answer(answer.length)
            case .forward(let query):
                forwards += 1
                server.forward(message.span, query, for: .stream(self))
            case .drop: return false
            }
            return true
        }
    }

    /// A forwarded query has got its answer.
    func forwardEnded() {
        forwards -= 1
        // The answer may have come while the query was still being handled; the pump under way then goes on itself.
        if !isPumping, socket.isOpen { server.loop.requeue(self) }
    }

    // MARK: Answers

    /// Sends the answer in the server's memory, or as much as the socket takes.
    func answer(_ length: Int) {
        guard socket.isOpen, let base = server.answerMemory.baseAddress else { return }
        server.answerMemory[0] = UInt8(truncatingIfNeeded: length >> 8)
        server.answerMemory[1] = UInt8(truncatingIfNeeded: length)
        let total = 2 + length
        var sent = 0
        if unsent.isEmpty {
            switch socket.send(base, total) {
            case .count(let count): sent = count
            case .wouldBlock: break
            case .failed: return close()
            }
        }
        guard sent < total else { return restartDeadline() }
        guard unsent.count + total - sent <= AliasDNSLimits.unreadLength else {
            server.count.clientsClosed += 1
            return close()
        }
        unsent += server.answerMemory[sent..<total]
    }

    private func flush() {
        while !unsent.isEmpty, socket.isOpen {
            let result = unsent.withUnsafeBytes { bytes in
                bytes.baseAddress.map { socket.send($0, bytes.count) } ?? .wouldBlock
            }
            switch result {
            case .wouldBlock: return
            case .failed: return close()
            case .count(let count):
                restartDeadline()
                if count >= unsent.count { unsent = [] } else { unsent.removeFirst(count) }
            }
        }
    }

    // MARK: End

    private func closeIfDone() {
        if unsent.isEmpty, forwards == 0 { close() }
    }

    func close() {
        guard socket.isOpen else { return }
        server.loop.detach(self)
        socket.close()
        socket = .none
        inbox = []
        unsent = []
        server.forget(self)
    }
}
