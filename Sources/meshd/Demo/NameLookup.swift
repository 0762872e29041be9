import NetAddress
import Reactor

/// Asks a DNS server for a name's IPv4 address, as a client of the mesh would (RFC 1035).
final class NameLookup: Handler {
    private static let timeoutNanoseconds: UInt64 = 2_000_000_000

    private let loop: EventLoop
    private let socket: Socket
    private let query: [UInt8]
    private var done: ((IPAddress?) -> Void)?

    static func start(
        _ name: String, at server: SocketAddress, on loop: EventLoop, done: @escaping (IPAddress?) -> Void
    ) {
        guard let lookup = try? NameLookup(name, server, loop, done) else { return done(nil) }
        lookup.ask()
    }

    private init(
        _ name: String, _ server: SocketAddress, _ loop: EventLoop, _ done: @escaping (IPAddress?) -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.done = done
        // Id 1, recursion desired, one question.
        var bytes: [UInt8] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.utf8.split(separator: UInt8(ascii: ".")) {
            bytes += [UInt8(truncatingIfNeeded: label.count)] + label
        }
        query = bytes + [0, 0, 1, 0, 1]
        socket = try Socket.datagram(connectedTo: server)
        super.init()
        try loop.attach(self, socket)
    }

    private func ask() {
        _ = query.withUnsafeBytes { socket.send($0.baseAddress!, $0.count) }
        loop.setDeadline(self, after: Self.timeoutNanoseconds)
    }

    override func ready(_ readiness: Readiness) {
        guard readiness.contains(.readable) || readiness.contains(.error) else { return }
        var answer = [UInt8](repeating: 0, count: 512)
        guard case .count(let count) = answer.withUnsafeMutableBytes({ socket.receive($0.baseAddress!, $0.count) })
        else {
            return end(nil)
        }
        end(address(answer[..<count]))
    }

    override func deadlineReached() { end(nil) }

    /// The answer repeats the question; the first record behind it, with a compressed name, ends in four octets.
    private func address(_ answer: ArraySlice<UInt8>) -> IPAddress? {
        let record = query.count + 12
        guard answer.count >= record + 4, answer[3] & 15 == 0, answer[7] > 0, answer[query.count + 3] == 1 else {
            return nil
        }
        return IPAddress(v4: answer[record..<record + 4].reduce(0) { $0 << 8 | UInt32($1) })
    }

    private func end(_ address: IPAddress?) {
        guard let done else { return }
        self.done = nil
        loop.detach(self)
        socket.close()
        done(address)
    }
}
