import Glibc
import Synchronization
import Testing

/// The files of `examples/` run as they are, but for the ports of their instances, which are free ones here.
@Suite struct ExampleTests {
    private static let folder: String = {
        let here = #filePath
        return String(here.dropLast("Tests/EndToEnd/ExampleTests.swift".count)) + "examples/"
    }()

    /// The example's text with these ports in place of its own.
    private func text(_ example: String, _ ports: [(own: String, free: UInt16)]) throws -> String {
        var text = TextFile.read(Self.folder + example + "/services.yaml")
        try demand(text.contains("services:"), "the example is there")
        // Marks first: a free port may hold the digits of another port of the example.
        for (index, port) in ports.enumerated() { text = Self.replacing(port.own, in: text, with: "<\(index)>") }
        for (index, port) in ports.enumerated() { text = Self.replacing("<\(index)>", in: text, with: "\(port.free)") }
        return text
    }

    private static func replacing(_ old: String, in text: String, with new: String) -> String {
        text.split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }

    private func run(_ text: String, _ flags: [String] = [], _ body: (MeshProcess) throws -> Void) throws {
        let mesh = try MeshProcess.started(text: text, .init(flags))
        do {
            try body(mesh)
        } catch {
            throw Failure("\(error)\n\(mesh.tail)")
        }
    }

    /// Port 80 of a VIP wants a privilege; without it `status` has to say so.
    private func answersOnVIP(_ mesh: MeshProcess, _ service: String, _ names: Set<String>) throws {
        guard geteuid() == 0 else {
            let status = try mesh.statusText()
            return try demand(status.contains("service \(service), VIP port 80: cannot listen"), status)
        }
        let vip = try mesh.vip(service)
        var seen: Set<String> = []
        for _ in 0..<(names.count * 4) { seen.insert(try HTTPTestClient.once(80, vip, host: service).text) }
        try demandEqual(seen, names, "instances over the VIP")
    }

    /// While the instances are starting, meshd itself answers. A machine so slow that the delay is over by then shows
    /// nothing here.
    private func refusedWhileStarting(_ mesh: MeshProcess, _ service: String, _ instances: [HTTPInstance]) throws {
        guard geteuid() == 0 else { return }
        let answer = try HTTPTestClient.once(80, try mesh.vip(service), host: service)
        let states = try instances.map { try mesh.state(of: $0.address) }
        guard states.allSatisfy({ $0 == "starting" }) else { return }
        try demandEqual(answer.status, 503, "status during the initial delay")
        try demand(answer.isMade(because: ProxyError.unavailable), answer.proxyStatus ?? "no Proxy-Status")
    }

    @Test func restServiceIsFoundByItsAliasAfterItsInitialDelay() throws {
        let start = monotonicSeconds()
        let first = FirstTime()
        let instances = try ["a", "b"].map { name in
            try HTTPInstance(name) { exchange in
                first.note(monotonicSeconds())
                return try Behave.named(exchange)
            }
        }
        let ports = zip(["9001", "9002"], instances).map { ($0, $1.port) }
        try run(try text("rest", ports)) { mesh in
            try refusedWhileStarting(mesh, "restserver", instances)
            let vip = try mesh.vip("restserver")
            let dns = DNSTestClient(port: mesh.dns)
            try demandEqual(try dns.query("restserver.local").addresses, [vip], "the alias")
            try demandEqual(try dns.query("restserver.local", DNSTestClient.a, .tcp).addresses, [vip], "over TCP")
            try eventually("both are healthy") {
                try instances.allSatisfy { try mesh.state(of: $0.address) == "healthy" }
            }
            // Neither a probe nor a client's request came before the two seconds were over.
            let earliest = try #require(first.value)
            try demand(earliest - start >= 2, "first request after \(earliest - start) s")
            try answersOnVIP(mesh, "restserver", ["a", "b"])
            try demand(try mesh.statusText().contains("2 of 2 instances"), "the scale is shown")
            try demandEqual(try mesh.get("restserver.local").status, 404, "local names are not for the public")
        }
    }

    @Test func secureServiceIsServedOverTLS() throws {
        let instance = try HTTPInstance("secure")
        let name = "secure.company.com"
        let settings = TextFile.read(Self.folder + "tls/meshd.yaml")
        try demand(settings.contains("\ncertificates: certificates\n"), "the folder of the example")
        let folder = try TemporaryDirectory()
        try OpenSSL.pair(folder.path, "secure", [name])
        try TextFile.write(settings, to: folder.path + "/meshd.yaml")
        let port = FreePort.take()
        // The example's file with what differs here as flags.
        let flags = [
            "--config", folder.path + "/meshd.yaml", "--https", "127.0.0.1:\(port)", "--certificates", folder.path,
        ]
        try run(try text("tls", [("9051", instance.port)]), flags) { mesh in
            let result = try Tool.curl(
                [
                    "--cacert", folder.path + "/secure.crt", "--resolve", "\(name):\(port):127.0.0.1",
                    "https://\(name):\(port)/",
                ], in: folder.path)
            try demandEqual(result.output, "secure", result.errors)
        }
    }

    @Test(arguments: [nil, "company.com"] as [String?])
    func shopIsRoutedByItsHosts(routingDomain: String?) throws {
        let names = ["shop-1", "shop-2", "payment", "blog-1", "blog-2", "blog-3", "front"]
        let instances = try names.map { try HTTPInstance($0) }
        let database = try TCPInstance(serve: Relay.echo)
        let published = FreePort.take()
        let own = ["9011", "9012", "9021", "9031", "9032", "9033", "9041"]
        let ports = zip(own, instances).map { ($0, $1.port) } + [("3306", database.port), ("9080", published)]
        let flags = routingDomain.map { ["--routing-domain", $0] } ?? []
        try run(try text("shop", ports), flags) { mesh in
            try eventually("all are healthy") {
                try instances.allSatisfy { try mesh.state(of: $0.address) == "healthy" }
            }
            try demand(try mesh.get("shopping.company.com").text.hasPrefix("shop-"), "shopping")
            try demandEqual(try mesh.get("payment.company.com").text, "payment", "payment")
            try demandEqual(try mesh.get("anything.company.com").text, "front", "the wildcard")
            let blog = routingDomain.map { "wordpress.\($0)" } ?? "wordpress"
            let seen = Set(try (0..<12).map { _ in try mesh.get(blog).text })
            try demandEqual(seen, ["blog-1", "blog-2", "blog-3"], "the blog's instances")
            try demand(try HTTPTestClient.once(published, host: "x").text.hasPrefix("shop-"), "the published port")
            try Relay.checkEcho(try Connection.open(database.port, try mesh.vip("mysql")))
        }
    }

    @Test func routingIsAsItsTextSays() throws {
        let own = (9_101...9_111).map(String.init)
        let instances = try own.map { try HTTPInstance($0) }
        try run(try text("routing", zip(own, instances).map { ($0, $1.port) })) { mesh in
            let shop = "shop.company.com"
            let colours = Set(try (0..<16).map { _ in try mesh.get(shop).text })
            try demandEqual(colours, ["9101", "9102", "9103"], "blue and green")
            let field = try #require(try mesh.get(shop).head["Set-Cookie"])
            try demand(field.hasPrefix("mesh-"), field)
            try demandEqual(try mesh.get(shop, "/", [("X-Canary", "yes")]).text, "9104", "canary")
            try demandEqual(try mesh.get(shop, "/?beta").text, "9105", "beta")
            try demandEqual(try mesh.get(shop, "/cart/1").text, "9106", "cart")
            try demandEqual(instances[5].requests.last?.target, "/1", "the path that cart sees")
            try demandEqual(try mesh.get(shop, "/api/orders/1").text, "9107", "api")
            try demandEqual(instances[6].requests.last?.target, "/v2/orders/1", "the path that api sees")
            let moved = try mesh.get("old.company.com", "/a?b")
            try demandEqual(moved.status, 301, "moved")
            try demandEqual(moved.head["Location"], "http://shop.company.com/a?b", "to where")
            for host in ["bank.company.com", "secrets.company.com"] {
                try demandEqual(try mesh.get(host).head["Location"], "https://\(host)/", "only over TLS")
            }
            try eventually("pictures are healthy") { try mesh.get("img7.company.com").text == "9110" }
            try demandEqual(try mesh.get("other.org", "/a/b.jpg").text, "9110", "pictures of any host")
        }
    }

    @Test func grpcCallsAreSpreadOverInstances() throws {
        let files = try TemporaryDirectory()
        let servers = try (0..<2).map { try PythonProgram.start("grpc_server.py", files: "\(files.path)/\($0)") }
        let ports = try zip(["9051", "9052"], servers).map { own, server in
            (own, try #require(UInt16(try server.firstLine())))
        }
        // The test's server has no health service: every instance is healthy without the probe.
        let text = try self.text("grpc", ports).split(separator: "\n").filter { !$0.contains("probe.url") }
        try run(text.joined(separator: "\n") + "\n") { mesh in
            let client = try PythonProgram.start(
                "grpc_client.py", [String(mesh.http), "greeter.company.com", "kinds"], files: files.path + "/client")
            try demandEqual(try client.waitExit(within: 40), 0, "exit of the client: \(client.errors)")
            try demandEqual(try mesh.metric("meshd_http_retries_total"), 0, "retries")
        }
    }
}

/// The earliest time that anyone noted.
private final class FirstTime: Sendable {
    private let time = Mutex<Double?>(nil)

    var value: Double? { time.withLock { $0 } }

    func note(_ now: Double) { time.withLock { $0 = min($0 ?? now, now) } }
}
