import Glibc
import MeshCore
import NetAddress
import Reactor
import Synchronization

@testable import AliasDNS

/// A value made on one thread and awaited on another.
final class Handoff<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private nonisolated(unsafe) let signal: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)

    init() { sem_init(signal, 0, 0) }

    deinit {
        sem_destroy(signal)
        signal.deallocate()
    }

    func give(_ made: Value) {
        value.withLock { $0 = made }
        sem_post(signal)
    }

    func take() -> Value {
        while sem_wait(signal) != 0 {}
        return value.withLock { $0! }
    }
}

/// An `AliasDNSServer` on a loop and a thread of its own.
final class Rig {
    private enum Command: Sendable {
        case update(Zone)
        case read(Handoff<State>)
        case stop
    }

    struct State: Sendable {
        let counters: AliasDNSCounters
        let clients: Int
        let forwards: Int
    }

    let address: SocketAddress
    private let mailbox: Mailbox<Command>
    private var thread: WorkerThread?

    init(
        listen: SocketAddress = SocketAddress(.loopbackV4, 0), zone: Zone = TestZone.make(),
        upstreams: [SocketAddress] = [], limits: AliasDNSLimits = AliasDNSLimits()
    ) throws {
        let started = Handoff<Result<SocketAddress, SystemError>>()
        let mailbox = try Mailbox<Command>()
        self.mailbox = mailbox
        thread = try WorkerThread(name: "dns-test") {
            do throws(SystemError) {
                let loop = try EventLoop()
                let server = try AliasDNSServer(
                    on: loop, listen: listen, zone: zone, upstreams: upstreams, ttlSeconds: 5, seed: 7, limits: limits)
                // The loop holds this closure, so it must not hold the loop, nor a server that has ended.
                var open: AliasDNSServer? = server
                try mailbox.open(on: loop) { [unowned loop] command in
                    guard let server = open else { return }
                    switch command {
                    case .update(let zone): server.update(zone: zone)
                    case .read(let handoff):
                        handoff.give(
                            State(
                                counters: server.counters, clients: server.clientCount,
                                forwards: server.forwardsInFlight))
                    case .stop:
                        server.close()
                        open = nil
                        loop.stop()
                    }
                }
                started.give(.success(server.boundAddress))
                loop.run()
            } catch {
                started.give(.failure(error))
            }
        }
        switch started.take() {
        case .success(let address): self.address = address
        case .failure(let error):
            address = listen
            thread.take()?.join()
            throw error
        }
    }

    func update(_ zone: Zone) { mailbox.post(.update(zone)) }

    var state: State {
        let handoff = Handoff<State>()
        mailbox.post(.read(handoff))
        return handoff.take()
    }

    var counters: AliasDNSCounters { state.counters }

    /// Ends the server; nothing is heard of it afterwards.
    func stop() {
        guard let thread = thread.take() else { return }
        mailbox.post(.stop)
        thread.join()
    }

    deinit { stop() }

    // MARK: Clients

    func datagramClient() -> Peer { .datagram(to: address) }

    func streamClient() -> Peer { .stream(to: address) }

    /// One query over UDP on a socket of its own.
    func ask(_ query: TestQuery) -> TestAnswer? {
        let client = datagramClient()
        client.write(query.bytes)
        return client.read().flatMap { TestAnswer($0) }
    }
}

extension Array where Element == UInt8 {
    /// The query turned into an answer: QR and RA set, other bits of the flags as given, no records.
    func answered(_ flags: UInt16 = 0, appending records: [UInt8] = [], count: UInt8 = 0) -> [UInt8] {
        var answer = self
        answer[2] |= 0x80 | UInt8(flags >> 8)
        answer[3] |= 0x80 | UInt8(flags & 255)
        answer[7] = count
        return answer + records
    }

    var framed: [UInt8] { be(UInt16(count)) + self }
}
