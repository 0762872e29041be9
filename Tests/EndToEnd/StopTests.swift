import Glibc
import Testing

/// SIGTERM: what is in flight finishes, then meshd ends with 0.
@Suite struct StopTests {
    private func awaitRefusal(_ mesh: MeshProcess) throws {
        try eventually("the web listener is closed") { (try? Connection.open(mesh.http)) == nil }
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func idleProcessEndsAtOnce(signal: Int32) throws {
        try Web.with(Behave.named) { mesh, _ in
            mesh.child.signal(signal)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
    }

    @Test func requestsInFlightAreAnswered() throws {
        let gate = Gate()
        defer { gate.open() }
        let arrived = Counter()
        try Web.with(Behave.held(gate, arrived)) { mesh, _ in
            let clients = try (0..<10).map { _ in try mesh.client() }
            for client in clients { try client.send(host: Web.host) }
            try eventually("all have arrived") { arrived.value == 10 }
            mesh.child.signal(SIGTERM)
            try awaitRefusal(mesh)
            gate.open()
            for client in clients {
                try demandEqual(try client.readResponse().text, "web", "answer")
                try demand(client.connection.isClosedByPeer(), "closed after its answer")
            }
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
    }

    @Test func bodiesInFlightArriveWhole() throws {
        let gate = Gate()
        defer { gate.open() }
        let size = 4 << 20
        try Web.with({ exchange in
            try exchange.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            try exchange.connection.send(Pattern.bytes(size / 2))
            gate.wait()
            try exchange.connection.send(Pattern.bytes(size / 2, from: size / 2))
            return .keep
        }) { mesh, _ in
            let client = try mesh.client()
            try client.send(host: Web.host)
            _ = try client.connection.readHead()
            mesh.child.signal(SIGTERM)
            try awaitRefusal(mesh)
            gate.open()
            let body = try client.connection.readExactly(size)
            try demand(Pattern.matches(body), "bytes")
            // Its head said nothing of an end, so the client may ask once more.
            try client.send(host: Web.host)
            try demandEqual(try client.connection.readHead()["Connection"], "close", "the end is told")
            try demand(Pattern.matches(try client.connection.readExactly(size)), "bytes of the second answer")
            try demand(client.connection.isClosedByPeer(), "closed after it")
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
    }

    @Test func idleConnectionsAreClosed() throws {
        try Web.with(Behave.named) { mesh, _ in
            let clients = try (0..<10).map { _ in try mesh.client() }
            for client in clients { _ = try client.exchange(host: Web.host) }
            mesh.child.signal(SIGTERM)
            for client in clients { try demand(client.connection.isClosedByPeer(), "closed") }
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
    }

    @Test(arguments: [true, false])
    func loadLosesNoAnswer(reusesConnections: Bool) throws {
        let instances = try ["a", "b"].map { try HTTPInstance($0) }
        try Web.with(instances) { mesh in
            let load = LoadClient(
                .init(port: mesh.http, host: Web.host, threads: 4, reusesConnections: reusesConnections))
            try load.awaitSuccesses(200)
            load.allowTurningAway()
            mesh.child.signal(SIGTERM)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
            try load.awaitEnd()
            let outcome = load.outcome
            try demand(outcome.failures.isEmpty, "\(outcome.failures.count) lost: \(outcome.failures.prefix(5))")
        }
    }

    @Test func relayedSessionsMayFinish() throws {
        let instance = try TCPInstance(serve: Relay.echo)
        let port = FreePort.take()
        try withMesh(Catalogue([Catalogue.Service.tcp("relay", [instance]).publishing(port, to: 7000)])) { mesh in
            let session = try Connection.open(port)
            try Relay.checkEcho(session)
            mesh.child.signal(SIGTERM)
            try awaitRefusal(mesh)
            try Relay.checkEcho(session, "during the grace period")
            session.close()
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
    }

    @Test func theGracePeriodEnds() throws {
        let gate = Gate()
        defer { gate.open() }
        let arrived = Counter()
        try Web.with(Behave.held(gate, arrived), [Flag.grace, "1"]) { mesh, _ in
            let client = try mesh.client()
            try client.send(host: Web.host)
            try eventually("it has arrived") { arrived.value == 1 }
            mesh.child.signal(SIGTERM)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
            try demandEqual(try client.connection.readToEndOrReset(), [], "no half answer")
        }
    }
}
