import Testing

/// Instances leave and return.
@Suite struct HealthTests {
    private func three() throws -> [HTTPInstance] { try ["a", "b", "c"].map { try HTTPInstance($0) } }

    private func withProbed(
        _ instances: [HTTPInstance], delay: String = "0", timeout: String = "2", _ body: (MeshProcess) throws -> Void
    ) throws {
        let service = Catalogue.Service.web("web", Web.host, instances).probed(delay: delay, timeout: timeout)
        try withMesh(Catalogue([service]), .init(), body)
    }

    private func awaitServing(_ instances: [HTTPInstance], _ mesh: MeshProcess) throws {
        for instance in instances {
            try eventually("\(instance.name) is healthy") {
                InstanceState.isServing(try mesh.state(of: instance.address))
            }
        }
    }

    private func awaitOut(_ instance: HTTPInstance, _ mesh: MeshProcess) throws {
        try eventually("\(instance.name) is out") { InstanceState.isOut(try mesh.state(of: instance.address)) }
    }

    @Test func instanceKilledUnderLoadAndReturningLosesNoRequest() throws {
        let instances = try three()
        try withProbed(instances) { mesh in
            try awaitServing(instances, mesh)
            let load = LoadClient(.init(port: mesh.http, host: Web.host))
            try load.awaitSuccesses(100)
            instances[1].stop()
            try awaitOut(instances[1], mesh)
            try load.awaitSuccesses(200)
            try instances[1].start()
            try awaitServing(instances, mesh)
            instances[1].forgetRequests()
            try eventually("the returned instance is picked") { !instances[1].requests.isEmpty }
            let outcome = try load.stop()
            try demand(outcome.failures.isEmpty, "\(outcome.failures.count) failed: \(outcome.failures.prefix(5))")
        }
    }

    @Test func failingProbeTakesAnInstanceOutAndBack() throws {
        let instances = try three()
        try withProbed(instances) { mesh in
            try awaitServing(instances, mesh)
            instances[0].setProbeStatus(500)
            try awaitOut(instances[0], mesh)
            try eventually("all workers know") { try self.spread(mesh, instances)["a"] == nil }
            instances[0].setProbeStatus(204)
            try awaitServing(instances, mesh)
            try eventually("all workers know again") { try self.spread(mesh, instances)["a"] != nil }
        }
    }

    /// How many of a few requests on connections of their own each instance answered.
    private func spread(_ mesh: MeshProcess, _ instances: [HTTPInstance]) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for _ in 0..<24 { counts[try mesh.get(Web.host).text, default: 0] += 1 }
        return counts
    }

    @Test func redirectIsAHealthyAnswer() throws {
        let instance = try HTTPInstance("a")
        instance.setProbeStatus(302)
        try withProbed([instance]) { mesh in
            try awaitServing([instance], mesh)
            try demand(instance.probeCount > 0, "probes")
        }
    }

    @Test func slowProbeIsAFailureAtItsTimeout() throws {
        let instances = try three()
        let gate = Gate()
        defer { gate.open() }
        try withProbed(instances, timeout: "0.5") { mesh in
            try awaitServing(instances, mesh)
            instances[2].holdProbes(gate)
            try awaitOut(instances[2], mesh)
            try demandEqual(try mesh.get(Web.host).status, 200, "others serve")
            instances[2].holdProbes(nil)
            try awaitServing(instances, mesh)
        }
    }

    @Test func startingInstanceIsNotPicked() throws {
        let instances = try three()
        try withProbed(instances, delay: "600") { mesh in
            for instance in instances {
                let state = try mesh.state(of: instance.address)
                try demand(InstanceState.isStarting(state), "\(instance.name) is \(state ?? "not listed")")
            }
            let response = try mesh.get(Web.host)
            try demandEqual(response.status, 503, "status")
            try demand(
                response.isMade(because: ProxyError.unavailable), "Proxy-Status \(response.proxyStatus ?? "none")")
            try demand(instances.allSatisfy(\.requests.isEmpty), "no instance was picked")
        }
    }

    @Test func instanceServesAfterItsInitialDelay() throws {
        let instance = try HTTPInstance("a")
        try withProbed([instance], delay: "1.5") { mesh in
            try demandEqual(try mesh.get(Web.host).status, 503, "status during the delay")
            try awaitServing([instance], mesh)
            try eventually("it is picked") { try mesh.get(Web.host).status == 200 }
        }
    }

    @Test func withoutAHealthyInstanceTheServiceIsUnavailable() throws {
        let instance = try HTTPInstance("a")
        instance.setProbeStatus(500)
        try withProbed([instance]) { mesh in
            try awaitOut(instance, mesh)
            try eventually("503") {
                let response = try mesh.get(Web.host)
                return response.status == 503 && response.isMade(because: ProxyError.unavailable)
            }
        }
    }

    @Test func tcpProbeTakesADeadInstanceOut() throws {
        let instances = try three()
        let service = Catalogue.Service.web("web", Web.host, instances)
            .label("aliyun.probe.url", "tcp://container:8080").label("mesh.probe.interval_seconds", "0.2")
            .label("mesh.probe.rise", "1")
        try withMesh(Catalogue([service])) { mesh in
            try awaitServing(instances, mesh)
            instances[0].stop()
            try awaitOut(instances[0], mesh)
            try instances[0].start()
            try awaitServing(instances, mesh)
        }
    }

    @Test func repeatedDialFailuresTakeAnInstanceOut() throws {
        let instances = try three()
        let service = Catalogue.Service.web("web", Web.host, instances)
            .label("aliyun.probe.url", "http://container:8080\(HTTPInstance.probePath)")
            .label("mesh.probe.interval_seconds", "3600").label("mesh.probe.rise", "1")
        try withMesh(Catalogue([service])) { mesh in
            try awaitServing(instances, mesh)
            instances[0].stop()
            try eventually("live traffic shows it") {
                try demandEqual(try mesh.get(Web.host).status, 200, "status")
                return InstanceState.isOut(try mesh.state(of: instances[0].address))
            }
        }
    }

    @Test func failuresWithAnotherWorkersSuccessBetweenDoNotEject() throws {
        // Without keep-alive each request is a dial.
        let instance = try HTTPInstance(
            "a",
            { exchange in
                try exchange.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na")
                return .close
            })
        try Web.with([instance]) { mesh in
            let clients = try self.clientOfEachWorker(mesh)
            for round in 0..<5 {
                instance.stop()
                let failed = try clients[0].exchange(host: Web.host)
                let reason = failed.proxyStatus ?? "none"
                try demand(failed.isMade(because: ProxyError.refused), "round \(round): \(reason)")
                try instance.start()
                // The second answer says that all workers have heard what the control loop knew before the first.
                for _ in 0..<2 { _ = try mesh.adminGet("/metrics") }
                try demandEqual(try clients[1].exchange(host: Web.host).text, "a", "round \(round), the other worker")
            }
            try demandEqual(try mesh.state(of: instance.address), "healthy", "state")
        }
    }

    /// Connections of which the first belongs to one worker and the second to another.
    private func clientOfEachWorker(_ mesh: MeshProcess) throws -> [HTTPTestClient] {
        func connections() throws -> [Int] {
            guard case .array(let workers)? = try mesh.status()["workers"] else { throw Failure("no workers") }
            return workers.map { if case .number(let count)? = $0["connections"] { Int(count) } else { 0 } }
        }
        var found: [Int: HTTPTestClient] = [:]
        // Kept, so that none is closed while they are counted.
        var opened: [HTTPTestClient] = []
        defer { opened = [] }
        var before = try connections()
        for _ in 0..<64 where found.count < 2 {
            let client = try mesh.client()
            try eventually("the connection is accepted") { try connections() != before }
            let after = try connections()
            opened.append(client)
            if let worker = after.indices.first(where: { after[$0] > before[$0] }) { found[worker] = client }
            before = after
        }
        return try (0..<2).map { try #require(found[$0]) }
    }
}
