import Glibc
import Testing

/// The catalogue changes while traffic flows.
@Suite struct ChangeTests {
    /// Runs `body` with load on an untouched service; not one of its requests may fail.
    private func withStableLoad(_ body: (MeshProcess, inout Catalogue, LoadClient) throws -> Void) throws {
        let stable = try HTTPInstance("stable")
        var catalogue = Catalogue([.web("stable", "stable.example", [stable])])
        try withMesh(catalogue) { mesh in
            let load = LoadClient(.init(port: mesh.http, host: "stable.example"))
            try load.awaitSuccesses(50)
            try body(mesh, &catalogue, load)
            try load.awaitSuccesses(50)
            let outcome = try load.stop()
            try demand(outcome.failures.isEmpty, "\(outcome.failures.count) failed: \(outcome.failures.prefix(5))")
        }
    }

    private func awaitAnswer(_ mesh: MeshProcess, _ host: String, _ target: String = "/", _ wanted: String) throws {
        try eventually("\(host)\(target) is answered by \(wanted)") {
            let response = try mesh.get(host, target)
            return wanted == (response.status == 200 ? response.text : String(response.status))
        }
    }

    @Test func editsDoNotTouchOtherServices() throws {
        let one = try HTTPInstance("one")
        let two = try HTTPInstance("two")
        let port = FreePort.take()
        try withStableLoad { mesh, catalogue, load in
            catalogue["app"] = .web("app", "app.example", [one])
            try mesh.write(catalogue)
            try awaitAnswer(mesh, "app.example", "/", "one")

            catalogue["app"] = .web("app", "moved.example/new", [one])
            try mesh.write(catalogue)
            try awaitAnswer(mesh, "moved.example", "/new", "one")
            try awaitAnswer(mesh, "app.example", "/", "404")

            catalogue["app"] = .web("app", "moved.example/new", [two])
            try mesh.write(catalogue)
            try awaitAnswer(mesh, "moved.example", "/new/x", "two")

            catalogue["app"] = catalogue["app"].publishing(port, to: 8080)
            try mesh.write(catalogue)
            try eventually("the published port opens") { (try? HTTPTestClient.once(port, host: "x").text) == "two" }
            try load.awaitSuccesses(20)

            catalogue.services.removeAll { $0.name == "app" }
            try mesh.write(catalogue)
            try awaitAnswer(mesh, "moved.example", "/new", "404")
            try eventually("the published port closes") { (try? Connection.open(port)) == nil }
        }
    }

    @Test func manyEditsInARowEndInTheLastOne() throws {
        let last = try HTTPInstance("last")
        try withStableLoad { mesh, catalogue, _ in
            for number in 0..<50 {
                catalogue["app"] = .web("app", "app-\(number).example", [last])
                try mesh.write(catalogue)
            }
            try awaitAnswer(mesh, "app-49.example", "/", "last")
            try awaitAnswer(mesh, "app-48.example", "/", "404")
        }
    }

    @Test func fileWrittenInPlaceIsSeen() throws {
        let app = try HTTPInstance("app")
        try withStableLoad { mesh, catalogue, _ in
            catalogue["app"] = .web("app", "app.example", [app])
            try TextFile.write(catalogue.text, to: mesh.cataloguePath)
            try awaitAnswer(mesh, "app.example", "/", "app")
        }
    }

    @Test func instancesComeAndGoUnderLoadWithoutALostRequest() throws {
        let instances = try ["a", "b", "c"].map { try HTTPInstance($0) }
        var catalogue = Catalogue([.web("web", Web.host, Array(instances[..<2]))])
        try withMesh(catalogue) { mesh in
            let load = LoadClient(.init(port: mesh.http, host: Web.host))
            try load.awaitSuccesses(50)
            catalogue["web"] = .web("web", Web.host, instances)
            try mesh.write(catalogue)
            try eventually("the new instance is picked") { !instances[2].requests.isEmpty }
            catalogue["web"] = .web("web", Web.host, Array(instances[1...]))
            try mesh.write(catalogue)
            try eventually("the removed instance is no longer listed") {
                try mesh.state(of: instances[0].address) == nil
            }
            try eventually("the removed instance is left alone") {
                instances[0].forgetRequests()
                try load.awaitSuccesses(50)
                return instances[0].requests.isEmpty
            }
            let outcome = try load.stop()
            try demand(outcome.failures.isEmpty, "\(outcome.failures.count) failed: \(outcome.failures.prefix(5))")
        }
    }

    @Test func exchangeInFlightOutlivesItsInstancesRemoval() throws {
        let gate = Gate()
        defer { gate.open() }
        let arrived = Counter()
        let instance = try HTTPInstance("old") { exchange in
            try exchange.target == "/held" ? Behave.held(gate, arrived)(exchange) : Behave.named(exchange)
        }
        let other = try HTTPInstance("new")
        var catalogue = Catalogue([.web("web", Web.host, [instance])])
        try withMesh(catalogue) { mesh in
            let client = try mesh.client()
            try client.send("GET", "/held", host: Web.host)
            try eventually("the request is there") { arrived.value == 1 }
            catalogue["web"] = .web("web", Web.host, [other])
            try mesh.write(catalogue)
            // Not by asking: a request that still went to the old instance would be held, too.
            try eventually("the old instance is no longer listed") { try mesh.state(of: instance.address) == nil }
            gate.open()
            try demandEqual(try client.readResponse().text, "old", "the answer in flight")
            try demandEqual(try client.exchange(host: Web.host).text, "new", "the next one")
        }
    }

    @Test func brokenFileLeavesTheLastGoodInForceUntilMended() throws {
        let app = try HTTPInstance("app")
        try withStableLoad { mesh, catalogue, load in
            try demandEqual(try mesh.metric(Metric.lastReadFailed), 0, "metric before")
            let broken = catalogue.text + "  app:\n    labels:\n      aliyun.routing.port_99999: \"app.example\"\n"
            try TextFile.replace(mesh.cataloguePath, with: broken)
            try eventually("the metric says so") { try mesh.metric(Metric.lastReadFailed) == 1 }
            let status = try mesh.statusText().lowercased()
            try demand(status.contains("port_99999") || status.contains("fail"), "status says so: \(status)")
            try demand(mesh.log.contains("port_99999"), "the log names the key")
            try load.awaitSuccesses(50)

            catalogue["app"] = .web("app", "app.example", [app])
            try mesh.write(catalogue)
            try awaitAnswer(mesh, "app.example", "/", "app")
            try eventually("the metric is back") { try mesh.metric(Metric.lastReadFailed) == 0 }
        }
    }

    @Test func vanishedFileLeavesTheLastGoodInForceUntilItReturns() throws {
        let app = try HTTPInstance("app")
        try withStableLoad { mesh, catalogue, load in
            unlink(mesh.cataloguePath)
            try eventually("the metric says so") { try mesh.metric(Metric.lastReadFailed) == 1 }
            try load.awaitSuccesses(50)
            catalogue["app"] = .web("app", "app.example", [app])
            try mesh.write(catalogue)
            try awaitAnswer(mesh, "app.example", "/", "app")
        }
    }

    @Test func emptiedFileDoesNotBlankTheTable() throws {
        try withStableLoad { mesh, catalogue, load in
            try TextFile.write("", to: mesh.cataloguePath)
            try eventually("the metric says so") { try mesh.metric(Metric.lastReadFailed) == 1 }
            try load.awaitSuccesses(50)
            try mesh.write(catalogue)
            try eventually("the metric is back") { try mesh.metric(Metric.lastReadFailed) == 0 }
        }
    }
}
