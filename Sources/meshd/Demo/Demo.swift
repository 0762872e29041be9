import Configuration
import HTTPClient
import HealthProber
import L7Router
import MeshCore
import NetAddress
import Reactor

/// Instances, a catalogue and a node, all in this process, with what to try.
final class Demo {
    private static let stateSeconds: UInt64 = 5

    private let loop: EventLoop
    private let isOnce: Bool
    private let directory: String
    private let instances: [String: [DemoInstance]]
    private let publishedPort: UInt16
    private let settings: Settings
    private let node: Node
    private let ticker = TimerHandler()
    private(set) var exitStatus: Int32 = 0
    private var trial: DemoTrial?

    init(on loop: EventLoop, once: Bool) throws {
        self.loop = loop
        isOnce = once
        instances = try Self.makeInstances(loop)
        directory = try FileBytes.makeTemporaryDirectory("meshd-demo")
        publishedPort = try Self.freePort(18_000)
        let catalogue = DemoCatalogue(publishedPort: publishedPort, instances: instances)
        try FileBytes.replace(directory + "/services.yaml", Array(catalogue.text.utf8))
        var settings = Settings(node: Process.hostName, workers: min(2, Processors.available), hasIPv6: Socket.hasIPv6)
        settings.registries = ["file:\(directory)/services.yaml"]
        settings.http = SocketAddress(.loopbackV4, try Self.freePort(8080))
        settings.publishAddress = .loopbackV4
        settings.dns = SocketAddress(.loopbackV4, try Self.freePort(5353))
        settings.admin = .tcp(SocketAddress(.loopbackV4, try Self.freePort(9900)))
        settings.graceSeconds = 2
        self.settings = settings
        if once { Log.setLevel(.error) }
        node = try Node(settings, on: loop)
    }

    private static func makeInstances(_ loop: EventLoop) throws -> [String: [DemoInstance]] {
        let counts = ["restserver": 2, "shopping": 2, "payment": 1, "catchall": 1]
        return try counts.mapValuesWithKey { name, count in
            try (1...count).map { try DemoInstance("\(name)-\($0)", on: loop) }
        }
    }

    /// The port, or the first free one of the hundred behind it, on loopback.
    private static func freePort(_ preferred: UInt16) throws -> UInt16 {
        for port in preferred..<preferred + 100 where (try? Socket.checkFree(SocketAddress(.loopbackV4, port))) != nil {
            return port
        }
        throw StartFailure(message: "no free port from \(preferred) on")
    }

    func start() throws {
        node.stopped = { [unowned self] in finish() }
        loop.attach(ticker)
        ticker.fired = { [unowned self] in tick() }
        loop.setDeadline(ticker, after: 50_000_000)
        try node.start()
    }

    func stop() { node.stop() }

    private func finish() {
        for instance in instances.values.joined() { instance.stop() }
        FileBytes.remove(directory + "/services.yaml")
        FileBytes.removeDirectory(directory)
        loop.stop()
    }

    // MARK: - While it runs

    private var isTold = false

    private func tick() {
        guard node.control.isReady, allHealthy || isTold else { return loop.setDeadline(ticker, after: 50_000_000) }
        if !isTold {
            isTold = true
            Process.write(introduction)
            if isOnce { return tryEverything() }
        }
        printState()
        loop.setDeadline(ticker, after: Self.stateSeconds * 1_000_000_000)
    }

    private var allHealthy: Bool {
        node.control.catalogue.entries.values.allSatisfy { entry in
            entry.instances.allSatisfy { node.control.prober.state($0.key) == .healthy }
        }
    }

    private func printState() {
        node.gather { state in
            let http = state.reports.map(\.http)
            let requests = http.reduce(0) { $0 + $1.requests }
            let connections = http.reduce(0) { $0 + $1.connectionsOpen }
            let entries = state.control.catalogue.entries.values
            let instances = entries.reduce(0) { $0 + $1.instances.count }
            let healthy = entries.reduce(0) { sum, entry in
                sum + entry.instances.filter { state.control.prober.state($0.key) == .healthy }.count
            }
            Process.write(
                "generation \(state.control.snapshot.generation): \(entries.count) services, "
                    + "\(healthy) of \(instances) instances healthy, \(connections) connections, \(requests) requests\n"
            )
        }
    }

    private func vip(_ service: String) -> IPAddress? { node.control.compiler.records[service]?.vip }

    private var introduction: String {
        guard let web = settings.http, let dns = settings.dns, let admin = settings.admin, let vip = vip("restserver")
        else {
            return ""
        }
        return """
            meshd demo: four services on loopback. Things to try in another terminal:

              curl -H 'Host: shopping.company.com' http://\(web)/            an exact host, two instances in turn
              curl -H 'Host: shopping.company.com' http://\(web)/pay         a path of the same host, another service
              curl -H 'Host: anything.company.com' http://\(web)/            *.company.com
              curl http://\(vip):\(DemoCatalogue.containerPort)/           the VIP of restserver, on every node
              curl http://127.0.0.1:\(publishedPort)/                               restserver's published port
              dig -p \(dns.port) @\(dns.ip) restserver.local +short             the alias that leads to the VIP
              meshd status --admin \(admin)
              meshd explain http://shopping.company.com/pay --admin \(admin)

            The catalogue is \(directory)/services.yaml: edit it and watch. Ctrl-C ends the demo.


            """
    }

    // MARK: - Once

    private func tryEverything() {
        guard let web = settings.http, let dns = settings.dns, let vip = vip("restserver") else { return end(1) }
        let trial = DemoTrial(on: loop) { [unowned self] in end($0 ? 0 : 1) }
        self.trial = trial
        trial.get("an exact host", web, "/", host: "shopping.company.com", expect: "shopping-")
        trial.get("a path of that host", web, "/pay", host: "shopping.company.com", expect: "payment-")
        trial.get("a wildcard host", web, "/", host: "anything.company.com", expect: "catchall-")
        trial.get(
            "a virtual IP", SocketAddress(vip, DemoCatalogue.containerPort), "/", host: "\(vip)", expect: "restserver-")
        trial.get(
            "a published port", SocketAddress(.loopbackV4, publishedPort), "/", host: "127.0.0.1", expect: "restserver-"
        )
        trial.lookUp("an alias", "restserver.local", dns, expect: vip)
        trial.get("an unknown host", web, "/", host: "nobody.example", status: 404, expect: "no route")
        trial.explain("explain") { [unowned self] done in
            node.gather { done(Explain.text("http://shopping.company.com/pay", method: nil, headers: [], $0)) }
        }
        trial.step("stop one of two instances") { [unowned self] done in
            instances["shopping"]?.first?.stop()
            done(nil)
        }
        for number in 1...20 {
            trial.get("request \(number) goes on", web, "/", host: "shopping.company.com", expect: "shopping-2")
        }
        trial.run()
    }

    private func end(_ status: Int32) {
        exitStatus = status
        Process.write(status == 0 ? "demo: everything worked\n" : "demo: FAILED\n")
        node.stop()
    }
}

extension Dictionary {
    func mapValuesWithKey<T>(_ transform: (Key, Value) throws -> T) rethrows -> [Key: T] {
        try reduce(into: [:]) { $0[$1.key] = try transform($1.key, $1.value) }
    }
}
