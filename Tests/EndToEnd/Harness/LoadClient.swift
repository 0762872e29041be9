import Glibc
import Synchronization

/// Threads that send idempotent requests one after the other until told to stop.
final class LoadClient: Sendable {
    struct Plan: Sendable {
        var port: UInt16
        var address = "127.0.0.1"
        var host: String
        var threads = 2
        /// One connection for many requests; otherwise one each.
        var reusesConnections = true
    }

    struct Outcome: Sendable {
        var successes = 0
        var failures: [String] = []
        var perInstance: [String: Int] = [:]
    }

    private let plan: Plan
    private let shared = Mutex(Outcome())
    private let isStopping = Flagged()
    private let mayBeTurnedAway = Flagged()
    private let running = Counter()

    init(_ plan: Plan) {
        self.plan = plan
        for _ in 0..<plan.threads {
            running.add()
            startThread { [self] in
                run()
                running.add(-1)
            }
        }
    }

    var outcome: Outcome { shared.withLock { $0 } }

    /// Waits until at least `count` more requests went well.
    func awaitSuccesses(_ count: Int) throws {
        let wanted = outcome.successes + count
        try eventually(within: 30, "\(count) more answers from \(plan.host); failures: \(outcome.failures.prefix(3))") {
            outcome.successes >= wanted || !outcome.failures.isEmpty
        }
    }

    /// From now on a refused connection, or one closed before its answer began, ends a thread without a failure.
    func allowTurningAway() { mayBeTurnedAway.set() }

    /// Every thread has ended.
    func awaitEnd() throws { try eventually(within: 20, "load on \(plan.host) ends") { running.value == 0 } }

    func stop() throws -> Outcome {
        isStopping.set()
        try awaitEnd()
        return outcome
    }

    private func run() {
        var client: HTTPTestClient?
        while !isStopping.isSet {
            do {
                let current = try client ?? HTTPTestClient(plan.port, plan.address)
                client = try request(on: current) ? current : nil
                if mayBeTurnedAway.isSet, client == nil, plan.reusesConnections { return }
            } catch {
                if mayBeTurnedAway.isSet, isTurningAway(error, client) { return }
                shared.withLock { $0.failures.append("\(error)") }
                client = nil
                if outcome.failures.count > 100 { return }
            }
        }
    }

    /// Whether the connection is good for another request.
    private func request(on client: HTTPTestClient) throws -> Bool {
        let fields = plan.reusesConnections ? [] : [("Connection", "close")]
        let response = try client.exchange("GET", "/load", host: plan.host, fields)
        guard response.status == 200 else {
            throw Failure("status \(response.status), \(response.proxyStatus ?? "no Proxy-Status")")
        }
        shared.withLock {
            $0.successes += 1
            $0.perInstance[response.text, default: 0] += 1
        }
        return plan.reusesConnections && !response.head.list("Connection").contains("close")
    }

    private func isTurningAway(_ error: any Error, _ client: HTTPTestClient?) -> Bool {
        if let read = error as? ReadError {
            // Bytes of an answer that then breaks off are a lost answer.
            return (read == .end || read == .reset) && (client?.connection.buffered ?? 0) == 0
        }
        return "\(error)".contains("connect to") || "\(error)".contains("send:")
    }
}
