import Glibc
import Testing

/// Published ports that the mesh numbers, host mode, clashes while it runs.
@Suite struct PublishedPortTests {
    private static func service(_ name: String, _ instance: HTTPInstance, _ ports: String...) -> Catalogue.Service {
        Catalogue.Service(name: name, ports: ports, instances: [instance.address])
    }

    private func port(_ mesh: MeshProcess, _ service: String) throws -> JSONValue {
        try awaited("published port of \(service)") {
            try mesh.status().object(named: service, having: "publishedPorts")?["publishedPorts"]?.children.first
        }
    }

    private func isOpen(_ port: UInt16, _ address: String = "127.0.0.1") -> Bool {
        (try? Connection.open(port, address)) != nil
    }

    @Test func aChosenNumberIsShownServedAndKeptOverARestart() throws {
        let shop = try HTTPInstance("shop")
        var options = MeshProcess.Options()
        let state = try TemporaryDirectory()
        options.stateDirectory = state.path
        var number: Double?
        for run in 1...2 {
            try withMesh(Catalogue([Self.service("e2e-chosen", shop, "8080")]), options) { mesh in
                let status = try port(mesh, "e2e-chosen")
                guard case .number(let chosen)? = status["port"] else { throw Failure("no number: \(status)") }
                try demand((30_000...32_767).contains(chosen), "\(chosen)")
                try demandEqual(chosen, number ?? chosen, "number of run \(run)")
                number = chosen
                try demandEqual(status["state"]?.text, "open", "state")
                try demandEqual(try HTTPTestClient.once(UInt16(chosen), host: "x").text, "shop", "answer")
                let shown = try mesh.statusText()
                try demand(shown.contains("\(Int(chosen))->8080/tcp (dynamic)"), shown)
                mesh.child.signal(SIGTERM)
                _ = try mesh.child.waitExit()
            }
            // The number of the second run is the file's, not the one its name leads to.
            number = 32_000
            try TextFile.write("e2e-chosen/8080/tcp 32000\n", to: state.path + "/ports")
        }
    }

    @Test func hostModeServesOwnInstancesOnTheirNodeOnly() throws {
        let (own, other) = (try HTTPInstance("own"), try HTTPInstance("other"))
        let published = FreePort.take()
        func catalogue(_ node: String) -> Catalogue {
            var service = Self.service("shop", own, "{target: 8080, published: \(published), mode: host}")
            service.instances = [
                "{address: 127.0.0.1, ports: {8080: \(own.port)}, node: \(node)}",
                "{address: 127.0.0.1, ports: {8080: \(other.port)}, node: node-2}",
            ]
            return Catalogue([service])
        }
        try withMesh(catalogue("node-1")) { mesh in
            for _ in 0..<10 { try demandEqual(try HTTPTestClient.once(published, host: "x").text, "own", "answer") }
            try mesh.write(catalogue("node-3"))
            try eventually("the port closes") { !isOpen(published) }
            try demandEqual(try port(mesh, "shop")["state"]?.text, "elsewhere", "state")
            try demandEqual(try mesh.metric("meshd_published_ports", "elsewhere"), 1, "metric")
            try demandEqual(try mesh.status()["problems"]?.children.count, 0, "problems")
            try mesh.write(catalogue("node-1"))
            try eventually("the port opens again") { isOpen(published) }
            try demandEqual(try HTTPTestClient.once(published, host: "x").text, "own", "answer")
        }
    }

    @Test func aLatecomerDisturbsNobody() throws {
        let echo = try TCPInstance(serve: Relay.echo)
        let late = try HTTPInstance("late")
        let (published, free) = (FreePort.take(), FreePort.take())
        let first = Catalogue.Service(name: "shop", ports: ["\(published):7000"], instances: [echo.address])
        // Before the other in every order of names.
        let second = Self.service("a-late", late, "\(published):8080", "\(free):8080")
        try withMesh(Catalogue([first])) { mesh in
            let session = try Connection.open(published)
            try Relay.checkEcho(session)
            try mesh.write(Catalogue([first, second]))
            try eventually("the other port of the latecomer opens") { isOpen(free) }
            try demandEqual(try HTTPTestClient.once(free, host: "x").text, "late", "its other port")
            try Relay.checkEcho(session, "still here")
            try Relay.checkEcho(try Connection.open(published))
            let clash = try port(mesh, "a-late")
            try demandEqual(clash["state"]?.text, "clash", "state")
            try demand(clash["cause"]?.text?.contains("service shop") == true, "\(clash)")
            try demandEqual(try mesh.metric("meshd_published_ports", "clash"), 1, "metric")
            try demand(mesh.log.contains("is already taken by service shop, published port \(published)"), mesh.log)
            try mesh.write(Catalogue([second]))
            try eventually("the latecomer has it") {
                (try? HTTPTestClient.once(published, host: "x").text) == "late"
            }
            try demandEqual(try mesh.metric("meshd_published_ports", "clash"), 0, "metric")
        }
    }

    @Test func oneNumberAtTwoAddresses() throws {
        let (a, b) = (try HTTPInstance("a"), try HTTPInstance("b"))
        let published = FreePort.take()
        let catalogue = Catalogue([
            Self.service("a", a, "127.0.0.2:\(published):8080"), Self.service("b", b, "127.0.0.3:\(published):8080"),
        ])
        try withMesh(catalogue) { mesh in
            try demandEqual(try HTTPTestClient.once(published, "127.0.0.2", host: "x").text, "a", "127.0.0.2")
            try demandEqual(try HTTPTestClient.once(published, "127.0.0.3", host: "x").text, "b", "127.0.0.3")
            try demand(!isOpen(published), "nowhere else")
            try demandEqual(try mesh.metric("meshd_published_ports", "open"), 2, "metric")
        }
    }
}
