import Glibc
import Testing

/// `meshd drain` on one node without a registry that nodes share.
@Suite struct DrainTests {
    private func drain(_ mesh: MeshProcess, _ arguments: [String]) throws -> CommandResult {
        try mesh.run(["drain"] + arguments + ["--admin", mesh.admin])
    }

    @Test func whatIsInFlightHoldsTheBarrier() throws {
        let gate = Gate()
        let arrived = Counter()
        let one = try HTTPInstance("one", Behave.held(gate, arrived))
        let two = try HTTPInstance("two")
        let catalogue = Catalogue([.web("web", Web.host, [one])])
        try withMesh(catalogue) { mesh in
            let client = try mesh.client()
            try client.send("GET", "/", host: Web.host)
            try eventually("the request is there") { arrived.value == 1 }
            var both = catalogue
            both["web"].instances.append(two.address)
            try mesh.write(both)
            try eventually("two is there") { try mesh.state(of: two.address) == "healthy" }
            let held = try drain(mesh, ["web/\(one.address)", "--wait", "--timeout", "1s"])
            try demandEqual(held.status, 1, "exit while in flight: \(held.output)")
            let lines =
                "meshd: web/\(one.address): still in flight after 1 s\nnode-1  web/\(one.address)  1 exchanges\n"
            try demandEqual("meshd: \(held.errors)", lines, "what is left")
            let status = try mesh.statusText()
            try demand(status.contains("drain web/\(one.address): 1 exchanges in flight from here"), status)
            try demandEqual(try mesh.metric("meshd_drains", "waiting"), 1, "waiting")
            for _ in 0..<8 { try demandEqual(try mesh.get(Web.host).text, "two", "picks meanwhile") }
            gate.open()
            let done = try drain(mesh, ["web/\(one.address)", "--wait"])
            try demandEqual(done.status, 0, "exit: \(done.errors)")
            try demandEqual(done.output, "web/\(one.address): nothing in flight on 1 node\n", "output")
            try demandEqual(try client.readResponse().text, "one", "what was in flight")
            try eventually("no idle connection is kept") { one.openConnections == 0 }
            try demandEqual(try mesh.metric("meshd_drains", "done"), 1, "done")
            let explained = try mesh.run(["explain", "http://\(Web.host)/", "--admin", mesh.admin]).output
            try demand(explained.contains("\(one.address)  out: draining"), explained)
            let back = try mesh.run(["undrain", "web", "--admin", mesh.admin])
            try demandEqual(back.output, "web/\(one.address): takes new connections again\n", back.errors)
            try mesh.awaitAnswer(Web.host, "one")
        }
    }

    /// However often it asks, it holds no more descriptors.
    @Test func waitingNeedsFewDescriptors() throws {
        let gate = Gate()
        let arrived = Counter()
        let one = try HTTPInstance("one", Behave.held(gate, arrived))
        try withMesh(Catalogue([.web("web", Web.host, [one])])) { mesh in
            let client = try mesh.client()
            try client.send("GET", "/", host: Web.host)
            try eventually("the request is there") { arrived.value == 1 }
            let command = try ChildProcess(
                Binary.path, ["drain", "web", "--wait", "--timeout", "1s", "--admin", mesh.admin],
                files: mesh.directory.path + "/drain", descriptorLimit: 10)
            try demandEqual(try command.waitExit(), 1, "exit")
            try demand(command.errors.contains("still in flight after 1 s"), command.errors)
            gate.open()
            try demandEqual(try client.readResponse().text, "one", "what was in flight")
        }
    }

    @Test func pooledConnectionsAreClosedAtOnce() throws {
        let one = try HTTPInstance("one")
        let two = try HTTPInstance("two")
        try withMesh(Catalogue([.web("web", Web.host, [one, two])])) { mesh in
            for _ in 0..<8 { try demandEqual(try mesh.get(Web.host).status, 200, "a request") }
            try demand(one.openConnections > 0, "a connection is pooled")
            try demandEqual(try drain(mesh, ["web/\(one.address)", "--wait"]).status, 0, "exit")
            try eventually("it is closed") { one.openConnections == 0 }
            try demand(two.openConnections > 0, "the other's stays")
        }
    }

    @Test func everyKindIsNamed() throws {
        let files = try TemporaryDirectory()
        let gate = Gate()
        let web = try HTTPInstance("web") { exchange in
            try exchange.readBody()
            guard exchange.head["Upgrade"] == nil else {
                try exchange.connection.send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
                Relay.echo(exchange.connection)
                return .close
            }
            gate.wait()
            try exchange.answer(text: "late")
            return .keep
        }
        let tcp = try TCPInstance(serve: Relay.echo)
        let udp = try PythonProgram.start("udp_echo.py", ["udp", "0"], files: files.path + "/udp")
        let service = """
            services:
              all:
                labels: {aliyun.routing.port_80: \(Web.host)}
                expose: ["81"]
                ports: ["127.0.0.1:\(FreePort.take()):82/udp"]
                x-mesh-instances:
                  - {address: 127.0.0.1, id: one, ports: {80: \(web.port), 81: \(tcp.port), 82: \(try udp.firstLine())}}
            """
        let mesh = try MeshProcess.started(text: service)
        let vip = try mesh.vip("all")
        let session = try Connection.open(81, vip)
        try Relay.checkEcho(session)
        let flow = try Connection.openDatagrams(82, vip)
        try eventually("a flow is begun") {
            flow.sendAsFarAsTaken(Array("x".utf8))
            return try mesh.metric("meshd_udp_flows") == 1
        }
        let tunnel = try mesh.client()
        try tunnel.send("GET", "/", host: Web.host, [("Connection", "Upgrade"), ("Upgrade", "echo")])
        _ = try tunnel.connection.readHead()
        let client = try mesh.client()
        try client.send("GET", "/", host: Web.host)
        try eventually("all are in flight") { try mesh.statusText().contains("in flight 4") }
        let id = try mesh.status()["services"]?.children.first?["instances"]?.children.first?["id"]?.text ?? ""
        let result = try drain(mesh, ["all", "--wait", "--timeout", "1"])
        try demandEqual(result.status, 1, "exit")
        let line = "node-1  all/\(id)  1 exchanges, 1 tunnels, 1 sessions, 1 flows"
        try demand(result.errors.contains(line), "\(result.errors), wanted \(line)")
        gate.open()
        session.close()
        tunnel.close()
        try demandEqual(try client.readResponse().text, "late", "the response")
        // The flow ends by its idle time alone.
        try eventually("the flow is left") {
            try mesh.statusText().contains("drain all/\(id): 1 flows in flight from here")
        }
    }

    @Test func anOrderEndsWithItsInstance() throws {
        let one = try HTTPInstance("one")
        let two = try HTTPInstance("two")
        let catalogue = Catalogue([.web("web", Web.host, [one, two])])
        try withMesh(catalogue) { mesh in
            try demandEqual(try drain(mesh, ["web/\(one.address)"]).status, 0, "exit")
            var without = catalogue
            without["web"].instances = [two.address]
            try mesh.write(without)
            try eventually("the order is gone") { try mesh.metric("meshd_drains") == 0 }
            try mesh.write(catalogue)
            try mesh.awaitAnswer(Web.host, "one")
        }
    }

    @Test(arguments: [
        ["nothing"], ["web/nothing"], [], ["web", "more"], ["web", "--timeout", "3s"],
        ["web", "--wait", "--timeout", "0"],
        ["web", "--cancel", "--wait"], ["web", "--lasts", "1s"], ["web", "--sideways"], ["web/"], ["web", "--cancel"],
    ])
    func badInput(arguments: [String]) throws {
        try Web.with(Behave.named) { mesh, _ in
            let result = try drain(mesh, arguments)
            try demandEqual(result.status, 2, "exit of \(arguments): \(result.errors)")
            try demand(result.errors.hasPrefix("meshd drain: "), result.errors)
        }
    }

    @Test func anOrderMustBeMeant() throws {
        try Web.with(Behave.named) { mesh, _ in
            func post(_ host: String, _ fields: [(String, String)]) throws -> Int {
                let client = try HTTPTestClient(mesh.adminPort)
                return try client.exchange("POST", "/drain?target=web", host: host, fields).status
            }
            let command = [("X-Meshd-Command", "drain")]
            try demandEqual(try post("127.0.0.1:\(mesh.adminPort)", []), 400, "without the field")
            try demandEqual(try post("attacker.example", command), 400, "by a foreign name")
            try demandEqual(try mesh.metric("meshd_drains"), 0, "orders")
            try demandEqual(try post("127.0.0.1:\(mesh.adminPort)", command), 200, "as it should be")
        }
    }

    @Test func withoutAMeshItFails() throws {
        let files = try TemporaryDirectory()
        let result = try CommandResult.run(["drain", "web", "--admin", "127.0.0.1:1"], files: files.path + "/run")
        try demandEqual(result.status, 1, "exit")
    }
}
