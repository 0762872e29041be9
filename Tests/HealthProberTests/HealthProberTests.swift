import MeshCore
import NetAddress
import Reactor
import ScriptedServer
import Synchronization
import Testing

@testable import HealthProber

/// A prober on a loop of its own, and what it told.
private final class Bench {
    let loop: EventLoop
    private let watchdog: Watchdog
    private(set) var prober: HealthProber! = nil
    private(set) var flips: [String] = []
    /// Called behind each flip with the number of flips so far.
    var onFlip: (Int) -> Void = { _ in }

    init(inFlightLimit: Int = HealthProber.inFlightLimit, bufferLimitBytes: Int = 1 << 20) throws {
        loop = try EventLoop(bufferLimitBytes: bufferLimitBytes)
        watchdog = Watchdog(loop)
        prober = HealthProber(on: loop, seed: 1, inFlightLimit: inFlightLimit) { [unowned self] key, from, to, cause in
            #expect(prober.state(key) == to)
            flips.append("\(key.id): \(from) -> \(to)" + (cause.map { " (\($0))" } ?? ""))
            onFlip(flips.count)
        }
    }

    /// Runs until `loop.stop()`, then ends the prober and checks that nothing is left of it.
    func run() throws {
        try #require(watchdog.run(), "flips so far: \(flips), \(prober.counters)")
        prober = nil
        #expect(loop.handlerCount == 0)
        #expect(loop.buffers.leasedBytes == 0)
    }
}

private func entry(
    _ probe: ProbeSpec?, _ instances: [(String, SocketAddress)], name: String = "web"
) -> Catalogue.Entry {
    var catalogue = Catalogue(sources: ["test"])
    let specs = instances.map { InstanceSpec(id: $0, service: name, address: $1.ip, solePort: $1.port) }
    let change = SourceEvent.Change.reset(services: [ServiceSpec(name: name, probe: probe)], instances: specs)
    _ = catalogue.apply(SourceEvent(source: "test", revision: 1, change: change))
    return catalogue.entries[name]!
}

private func http(
    _ path: String = "/", delay: Double = 0, timeout: Double = 20, rise: Int = 1, fall: Int = 1
) -> ProbeSpec {
    ProbeSpec(
        kind: .http(containerPort: 80, path: path), initialDelaySeconds: delay, timeoutSeconds: timeout,
        intervalSeconds: 0.1, rise: rise, fall: fall)
}

private func tcp(rise: Int = 1) -> ProbeSpec {
    ProbeSpec(kind: .tcp(containerPort: 80), timeoutSeconds: 20, intervalSeconds: 0.1, rise: rise)
}

private func server(statuses: [Int]) throws -> ScriptedServer {
    try ScriptedServer { connection, index in
        _ = connection.readHead()
        let status = statuses[min(index, statuses.count - 1)]
        connection.send("HTTP/1.1 \(status) X\r\nContent-Length: 0\r\n\r\n")
    }
}

private let web = InstanceKey(service: "web", id: "a")

@Suite struct HealthProberTests {
    @Test(arguments: [200, 204, 301, 399])
    func healthyStatus(status: Int) throws {
        let server = try server(statuses: [status])
        let bench = try Bench()
        bench.onFlip = { _ in bench.loop.stop() }
        bench.prober.update(entry(http(), [("a", server.address)]))
        #expect(bench.prober.state(web) == .starting)
        try bench.run()
        #expect(bench.flips == ["a: starting -> healthy"])
    }

    @Test(arguments: [400, 404, 500, 503])
    func unhealthyStatus(status: Int) throws {
        let server = try server(statuses: [status])
        let bench = try Bench()
        bench.onFlip = { _ in
            let told = bench.prober.status(web)
            #expect(told.state == .unhealthy)
            #expect(told.cause == "http \(status)")
            #expect(told.lastProbeAgeNanoseconds == 0)
            bench.loop.stop()
        }
        bench.prober.update(entry(http(), [("a", server.address)]))
        try bench.run()
        #expect(bench.flips == ["a: starting -> unhealthy (http \(status))"])
    }

    @Test func sendsHostPathAndAgent() throws {
        let seen = Mutex("")
        let server = try ScriptedServer { connection, index in
            let head = connection.readHead()
            if index == 0 { seen.withLock { $0 = head } }
            connection.send("HTTP/1.1 200 OK\r\n\r\n")
        }
        let bench = try Bench()
        bench.onFlip = { _ in bench.loop.stop() }
        bench.prober.update(entry(http("/health?deep=1"), [("a", server.address)]))
        try bench.run()
        let lines = seen.withLock { $0 }.split(separator: "\r\n").map(String.init)
        #expect(lines.first == "GET /health?deep=1 HTTP/1.1")
        #expect(lines.contains("Host: \(server.address)"))
        #expect(lines.contains("User-Agent: meshd-probe"))
    }

    @Test func comesBackAfterRise() throws {
        let server = try server(statuses: [200, 503, 200, 503, 200, 200, 200, 200])
        let bench = try Bench()
        bench.prober.update(entry(http(rise: 3), [("a", server.address)]))
        var passed: UInt64 = 0
        bench.onFlip = {
            guard $0 == 3 else { return }
            passed = bench.prober.counters.probesPassed
            #expect(bench.prober.counters.probesFailed == 2)
            bench.loop.stop()
        }
        try bench.run()
        #expect(
            bench.flips == [
                "a: starting -> healthy", "a: healthy -> unhealthy (http 503)", "a: unhealthy -> healthy",
            ])
        #expect(passed == 5)
    }

    @Test func slowProbeFailsAtItsTimeout() throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.waitForClose()
        }
        let bench = try Bench()
        bench.onFlip = { _ in
            #expect(bench.prober.counters.probesTimedOut == 1)
            #expect(bench.prober.counters.probesFailed == 1)
            bench.loop.stop()
        }
        bench.prober.update(entry(http(timeout: 0.05), [("a", server.address)]))
        try bench.run()
        #expect(bench.flips == ["a: starting -> unhealthy (timed out after 0.05 s)"])
    }

    @Test func tcpConnectionIsEnough() throws {
        let server = try ScriptedServer { connection, _ in connection.waitForClose() }
        let bench = try Bench()
        bench.onFlip = { _ in bench.loop.stop() }
        bench.prober.update(entry(tcp(), [("a", server.address)]))
        try bench.run()
        #expect(bench.flips == ["a: starting -> healthy"])
        #expect(openConnections(to: server.address) == 0)
    }

    @Test(arguments: [tcp(), http()])
    func refusedConnection(probe: ProbeSpec) throws {
        let bound = try BoundSocket()
        defer { bound.release() }
        let bench = try Bench()
        bench.onFlip = { _ in bench.loop.stop() }
        bench.prober.update(entry(probe, [("a", bound.address)]))
        try bench.run()
        #expect(bench.flips == ["a: starting -> unhealthy (connection refused)"])
    }

    @Test func wantOnThisNodeSaysNothingOfTheInstance() throws {
        let server = try server(statuses: [200])
        let bench = try Bench(bufferLimitBytes: 1)
        bench.prober.update(entry(http(), [("a", server.address)]))
        func waitForTwo() {
            guard bench.prober.counters.probesNotMade < 2 else { return bench.loop.stop() }
            Alarm(bench.loop, after: 10_000_000, waitForTwo)
        }
        waitForTwo()
        bench.onFlip = { _ in bench.loop.stop() }
        try bench.run()
        #expect(bench.flips.isEmpty)
    }

    @Test func startsWithinTheInitialDelay() throws {
        let requests = Atomic(0)
        let server = try ScriptedServer { connection, _ in
            requests.add(1, ordering: .relaxed)
            _ = connection.readHead()
            connection.send("HTTP/1.1 200 OK\r\n\r\n")
        }
        let bench = try Bench()
        bench.prober.update(entry(http(delay: 3600), [("a", server.address)]))
        bench.prober.dialsFailed(web, count: 10, cause: "connection refused")
        Alarm(bench.loop, after: 150_000_000) { bench.loop.stop() }
        try bench.run()
        #expect(requests.load(ordering: .relaxed) == 0)
        #expect(bench.flips.isEmpty)
    }

    // MARK: Live traffic

    @Test func ejectedInstanceIsProbedBackIn() throws {
        let server = try server(statuses: [200])
        let bench = try Bench()
        bench.onFlip = { count in
            if count == 1 {
                bench.prober.dialsFailed(web, count: 2, cause: "connection refused")
                bench.prober.dialSucceeded(web)
                bench.prober.dialsFailed(web, count: 2, cause: "connection refused")
                #expect(bench.prober.state(web) == .healthy)
                bench.prober.dialsFailed(web, count: 1, cause: "connection refused")
            }
            if count == 3 { bench.loop.stop() }
        }
        bench.prober.update(entry(http(), [("a", server.address)]))
        try bench.run()
        #expect(
            bench.flips == [
                "a: starting -> healthy", "a: healthy -> ejected (connection refused)", "a: ejected -> healthy",
            ])
    }

    @Test func ejectionWithoutAProbeEndsByItself() throws {
        let bench = try Bench()
        bench.onFlip = { if $0 == 2 { bench.loop.stop() } }
        bench.prober.update(entry(nil, [("a", SocketAddress(.loopbackV4, 1))]))
        #expect(bench.prober.state(web) == .healthy)
        #expect(bench.loop.handlerCount == 1, "an instance that waits for nothing takes no place")
        bench.prober.dialsFailed(web, count: 3, cause: "connection refused")
        #expect(bench.prober.status(web).cause == "connection refused")
        try bench.run()
        #expect(bench.flips == ["a: healthy -> ejected (connection refused)", "a: ejected -> healthy"])
    }

    @Test func unknownInstances() throws {
        let bench = try Bench()
        bench.prober.dialsFailed(web, count: 3, cause: "x")
        bench.prober.dialSucceeded(web)
        bench.prober.remove(service: "web")
        #expect(bench.prober.state(web) == .starting)
        #expect(bench.prober.status(web).lastProbeAgeNanoseconds == nil)
        bench.loop.stop()
        try bench.run()
        #expect(bench.flips.isEmpty)
    }
}

// MARK: - Changes of the catalogue

@Suite struct HealthProberUpdateTests {
    @Test func unchangedInstancesKeepTheirState() throws {
        let server = try server(statuses: [503])
        let bench = try Bench()
        bench.onFlip = { _ in
            bench.prober.update(entry(http(), [("a", server.address), ("b", server.address)]))
            #expect(bench.prober.state(web) == .unhealthy)
            #expect(bench.prober.state(InstanceKey(service: "web", id: "b")) == .starting)
            bench.prober.update(entry(http(), [("b", server.address)]))
            #expect(bench.prober.state(web) == .starting, "forgotten")
            bench.loop.stop()
        }
        bench.prober.update(entry(http(), [("a", server.address)]))
        try bench.run()
    }

    @Test func anotherAddressBeginsAnew() throws {
        let bad = try server(statuses: [503])
        let good = try server(statuses: [200])
        let bench = try Bench()
        bench.onFlip = { count in
            guard count == 1 else { return bench.loop.stop() }
            bench.prober.update(entry(http(), [("a", good.address)]))
            #expect(bench.prober.state(web) == .starting)
        }
        bench.prober.update(entry(http(), [("a", bad.address)]))
        try bench.run()
        #expect(bench.flips == ["a: starting -> unhealthy (http 503)", "a: starting -> healthy"])
    }

    @Test func anotherProbeKeepsTheStateUntilItsVerdict() throws {
        let server = try ScriptedServer { connection, _ in
            let status = connection.readHead().hasPrefix("GET /new ") ? 500 : 200
            connection.send("HTTP/1.1 \(status) X\r\n\r\n")
        }
        let bench = try Bench()
        bench.onFlip = { count in
            guard count == 1 else { return bench.loop.stop() }
            bench.prober.update(entry(http("/new", fall: 5), [("a", server.address)]))
            #expect(bench.prober.state(web) == .healthy)
        }
        bench.prober.update(entry(http("/old"), [("a", server.address)]))
        try bench.run()
        #expect(bench.flips == ["a: starting -> healthy", "a: healthy -> unhealthy (http 500)"])
    }

    @Test func probesBeyondTheLimitWaitInOrder() throws {
        let server = try server(statuses: [200])
        let bench = try Bench(inFlightLimit: 2)
        var most = 0
        var sawWaiting = false
        bench.onFlip = { count in
            most = max(most, bench.prober.counters.inFlight)
            sawWaiting = sawWaiting || bench.prober.counters.waiting > 0
            if count == 20 { bench.loop.stop() }
        }
        bench.prober.update(entry(http(), (0..<20).map { ("i\($0)", server.address) }))
        try bench.run()
        #expect(most <= 2)
        #expect(sawWaiting)
        #expect(Set(bench.flips) == Set((0..<20).map { "i\($0): starting -> healthy" }))
    }

    @Test func anInstanceThatLeavesFreesItsPlace() throws {
        let stalled = try ScriptedServer { connection, _ in connection.waitForClose() }
        let good = try server(statuses: [200])
        let bench = try Bench(inFlightLimit: 1)
        bench.prober.update(entry(http(), [("a", stalled.address)], name: "stalled"))
        Alarm(bench.loop, after: 20_000_000) {
            #expect(bench.prober.counters.inFlight == 1)
            bench.prober.update(entry(http(), [("a", good.address)]))
            Alarm(bench.loop, after: 20_000_000) {
                #expect(bench.prober.counters.waiting == 1)
                leaveWhileWaiting()
            }
        }
        func leaveWhileWaiting() {
            bench.prober.update(entry(http(), [("b", good.address)], name: "brief"))
            Alarm(bench.loop, after: 20_000_000) {
                #expect(bench.prober.counters.waiting == 2)
                bench.prober.remove(service: "brief")
                #expect(bench.prober.counters.waiting == 1)
                bench.prober.remove(service: "stalled")
                #expect(bench.prober.counters.inFlight == 1)
            }
        }
        bench.onFlip = { _ in bench.loop.stop() }
        try bench.run()
        #expect(bench.flips == ["a: starting -> healthy"])
        #expect(openConnections(to: stalled.address) == 0)
    }

    /// Instances that come, move and go one by one lead where whole entries lead, while probes are under way.
    @Test func oneInstanceAtATime() throws {
        let stalled = try ScriptedServer { connection, _ in connection.waitForClose() }
        let other = try server(statuses: [200])
        let bench = try Bench(inFlightLimit: 4)
        var present: [String: SocketAddress] = [:]
        let editor = Editor(bench.loop, turns: 1000) { turn in
            let id = "i\(turn * 7 % 5)"
            let before = bench.prober.status(InstanceKey(service: "web", id: id))
            switch turn % 3 {
            case 0: present[id] = nil
            case 1: present[id] = stalled.address
            default: present[id] = other.address
            }
            let entry = entry(turn % 50 < 25 ? http() : nil, present.map { ($0.key, $0.value) })
            // Another probe concerns all of them.
            if turn % 25 == 0 { bench.prober.update(entry) } else { bench.prober.update(entry, instance: id) }
            #expect(bench.prober.counters.instances == present.count)
            #expect(bench.prober.counts(service: "web").values.reduce(0, +) == present.count)
            if present[id] == nil {
                #expect(bench.prober.status(InstanceKey(service: "web", id: id)).state == .starting)
            } else if before.state == .starting, entry.spec.probe == nil {
                #expect(bench.prober.state(InstanceKey(service: "web", id: id)) == .healthy)
            }
            if turn == 999 { bench.prober.remove(service: "web") }
        }
        try bench.run()
        #expect(editor.turn == 1000)
    }

    /// Thousands of edits while probes are under way: handlers, descriptors and counts stay those of the last edit.
    @Test func editsLeaveNothingBehind() throws {
        let server = try ScriptedServer { connection, _ in connection.waitForClose() }
        let bench = try Bench(inFlightLimit: 4)
        let instances = (0..<8).map { ("i\($0)", server.address) }
        let variants = [
            entry(http(), instances), entry(http("/b"), instances), entry(tcp(), Array(instances.prefix(3))),
            entry(nil, instances), entry(http(), Array(instances.suffix(2))),
        ]
        let editor = Editor(bench.loop, turns: 3000) { turn in
            if turn % 7 == 6 { bench.prober.remove(service: "web") }
            let variant = variants[turn % variants.count]
            bench.prober.update(variant)
            #expect(bench.prober.counters.instances == variant.instances.count)
            #expect(bench.prober.counters.inFlight <= 4)
            #expect(bench.prober.counters.waiting <= 8)
            // The watchdog, the editor, a timer and a probe each.
            #expect(bench.loop.handlerCount <= 2 + 8 + 4)
        }
        try bench.run()
        #expect(editor.turn == 3000)
        #expect(openConnections(to: server.address) == 0)
    }
}

/// Edits once a tick of the timers, so that probes start between two edits; then stops the loop.
private final class Editor: Handler {
    private let loop: EventLoop
    private let turns: Int
    private let edit: (Int) -> Void
    private(set) var turn = 0

    init(_ loop: EventLoop, turns: Int, _ edit: @escaping (Int) -> Void) {
        self.loop = loop
        self.turns = turns
        self.edit = edit
        super.init()
        loop.attach(self)
        loop.requeue(self)
    }

    override func resume() { step() }

    override func deadlineReached() { step() }

    private func step() {
        edit(turn)
        turn += 1
        guard turn < turns else {
            loop.detach(self)
            return loop.stop()
        }
        if turn % 10 == 0 { loop.setDeadline(self, after: 5_000_000) } else { loop.requeue(self) }
    }
}

/// Probes by a command, and verdicts of others.
extension HealthProberTests {
    private static let command = ProbeSpec(
        kind: .command(["/check"]), timeoutSeconds: 20, intervalSeconds: 0.1, rise: 1)

    @Test func commandsAreRunWhereAnEngineCan() throws {
        let bench = try Bench()
        var outcomes: [CommandOutcome] = [
            .notMade(reason: "away"), .passed, .timedOut, .failed(cause: "exit status 3"),
        ]
        var asked: [[String]] = []
        bench.prober.commands = CommandProbes(canRun: { $0.id == "a" }) { words, key, timeout, done in
            asked.append(words)
            #expect(key == web && timeout == 20_000_000_000)
            let outcome = outcomes.isEmpty ? .failed(cause: "exit status 3") : outcomes.removeFirst()
            let later = Later(bench.loop) { done(outcome) }
            return { later.cancel() }
        }
        let place = SocketAddress(.loopbackV4, 9)
        bench.prober.update(entry(Self.command, [("a", place), ("b", place)]))
        // Nobody can ask the other one.
        #expect(bench.prober.state(InstanceKey(service: "web", id: "b")) == .healthy)
        #expect(bench.prober.state(web) == .starting)
        bench.onFlip = { if $0 == 2 { bench.loop.stop() } }
        try bench.run()
        #expect(bench.flips == ["a: starting -> healthy", "a: healthy -> unhealthy (timed out after 20 s)"])
        #expect(asked.count == 3 && asked.allSatisfy { $0 == ["/check"] })
    }

    @Test func aVerdictThatIsNoLongerToldIsForgottenWhereNothingProbes() throws {
        let bench = try Bench()
        func told(_ verdict: AnnouncedVerdict?) -> Catalogue.Entry {
            var catalogue = Catalogue(sources: ["test"])
            let spec = InstanceSpec(id: "a", service: "web", address: .loopbackV4, verdict: verdict)
            let change = SourceEvent.Change.reset(services: [ServiceSpec(name: "web")], instances: [spec])
            _ = catalogue.apply(SourceEvent(source: "test", revision: 1, change: change))
            return catalogue.entries["web"]!
        }
        bench.prober.update(told(.unhealthy(cause: "paused")))
        #expect(bench.prober.state(web) == .unhealthy)
        bench.prober.update(told(nil))
        #expect(bench.prober.state(web) == .healthy)
        #expect(bench.prober.status(web).cause == nil)
    }
}

/// Calls a closure in one of the next turns.
private final class Later: Handler {
    private let loop: EventLoop
    private let body: () -> Void

    init(_ loop: EventLoop, _ body: @escaping () -> Void) {
        self.loop = loop
        self.body = body
        super.init()
        loop.attach(self)
        loop.requeue(self)
    }

    func cancel() { loop.detach(self) }

    override func resume() {
        loop.detach(self)
        body()
    }
}
