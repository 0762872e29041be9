import NetAddress
import Reactor

/// Who waits for a forwarded answer.
enum ForwardClient {
    case datagram(DatagramPath)
    case stream(StreamClient)

    var isStream: Bool {
        if case .stream = self { return true }
        return false
    }
}

/// The queries that are at the upstreams now.
final class Forwarder {
    /// Set while the server is open.
    var server: AliasDNSServer?
    let upstreams: [SocketAddress]
    private var random: SplitMix
    private var exchanges: [ObjectIdentifier: ForwardExchange] = [:]
    /// The upstream asked first: the one after another has failed.
    private var preferred = 0
    /// Where messages of upstreams are received.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Wire.maxMessage, alignment: 64)

    init(upstreams: [SocketAddress], seed: UInt64) {
        self.upstreams = upstreams
        random = SplitMix(seed: seed)
    }

    deinit { memory.deallocate() }

    var count: Int { exchanges.count }

    func start(_ message: Span<UInt8>, _ query: Query, for client: ForwardClient) {
        guard let server else { return }
        guard exchanges.count < server.limits.forwards else {
            server.count.forwardOverflows += 1
            return fail(message, query, client, server)
        }
        server.count.forwarded += 1
        let machine = ForwardMachine(
            upstreamCount: upstreams.count, preferred: preferred, wantsWhole: client.isStream)
        let exchange = ForwardExchange(message, query, client, machine, forwarder: self)
        exchanges[ObjectIdentifier(exchange)] = exchange
        exchange.start()
    }

    /// One step of an exchange's machine, with the random numbers that all share.
    func step(_ machine: inout ForwardMachine, _ event: ForwardExchange.Event) -> ForwardMachine.Step {
        switch event {
        case .start: return machine.start(using: &random)
        case .received(let reply): return machine.received(reply, using: &random)
        case .timeout, .failure:
            if machine.upstream == preferred { preferred = (preferred + 1) % max(upstreams.count, 1) }
            return machine.failed(using: &random)
        }
    }

    /// Ends an exchange with an upstream's reply, or with SERVFAIL.
    func finish(_ exchange: ForwardExchange, reply: UnsafeRawBufferPointer?) {
        guard exchanges.removeValue(forKey: ObjectIdentifier(exchange)) != nil, let server else { return }
        exchange.withMessage { message in
            guard let reply else { return fail(message, exchange.query, exchange.client, server) }
            relay(reply, message, exchange, server)
        }
    }

    private func relay(
        _ reply: UnsafeRawBufferPointer, _ message: Span<UInt8>, _ exchange: ForwardExchange, _ server: AliasDNSServer
    ) {
        let query = exchange.query
        let rcode = Rcode(rawValue: UInt16(reply[3] & 0xf))
        if !exchange.client.isStream, reply.count > query.datagramLimit {
            let outcome = server.responder.failure(.noError, message, query, truncated: true, into: server.answerRoom)
            return send(outcome, exchange.client, server)
        }
        let room = server.answerRoom
        room.copyMemory(from: reply)
        room[0] = UInt8(truncatingIfNeeded: query.id >> 8)
        room[1] = UInt8(truncatingIfNeeded: query.id)
        let isTruncated = UInt16(reply[2]) << 8 & Wire.Flag.truncated != 0
        send(.answer(.init(length: reply.count, rcode: rcode, isTruncated: isTruncated)), exchange.client, server)
    }

    private func fail(_ message: Span<UInt8>, _ query: Query, _ client: ForwardClient, _ server: AliasDNSServer) {
        send(server.responder.failure(.serverFailure, message, query, into: server.answerRoom), client, server)
    }

    private func send(_ outcome: Responder.Outcome, _ client: ForwardClient, _ server: AliasDNSServer) {
        guard case .answer(let answer) = outcome else { return }
        server.count.countAnswer(answer.rcode, isTruncated: answer.isTruncated)
        server.deliver(answer.length, to: client)
    }

    func close() {
        for exchange in Array(exchanges.values) { exchange.abandon() }
        exchanges = [:]
        server = nil
    }
}
