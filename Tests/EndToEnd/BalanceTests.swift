import Testing

/// Policies that look at the client, the place or the time.
@Suite struct BalanceTests {
    @Test(arguments: ["source_hash", "maglev"]) func aClientMeetsOneInstance(policy: String) throws {
        let instances = try (0..<4).map { number in
            try TCPInstance { $0.sendAsFarAsTaken(Array("i\(number)\n".utf8)) }
        }
        let port = FreePort.take()
        let service = Catalogue.Service.tcp("relay", instances).publishing(port, to: 7000)
            .label("mesh.balance", policy)
        let files = try TemporaryDirectory()
        try withMesh(Catalogue([service])) { mesh in
            let client = try PythonProgram.start(
                "tcp_sources.py", ["127.0.0.1", String(port), "40", "3"], files: files.path + "/client")
            try demandEqual(try client.waitExit(), 0, "exit of the client: \(client.errors)")
            let lines = client.output.split(separator: "\n").map { $0.split(separator: " ").dropFirst() }
            try demandEqual(lines.count, 40, "sources")
            try demand(lines.allSatisfy { Set($0).count == 1 }, "one instance each: \(client.output)")
            try demandEqual(Set(lines.compactMap(\.first)).count, 4, "instances in use")
        }
    }

    @Test func theZoneIsPreferredAndSpillsOver() throws {
        let near = try HTTPInstance("near")
        let far = try HTTPInstance("far")
        var service = Catalogue.Service.web("web", Web.host, []).probed().label("mesh.balance.prefer", "zone")
        service.instances = [
            "{address: 127.0.0.1, ports: {8080: \(near.port)}, zone: here}",
            "{address: 127.0.0.1, ports: {8080: \(far.port)}, zone: there}",
        ]
        try withMesh(Catalogue([service]), .init(["--zone", "here"])) { mesh in
            try eventually("both are healthy") {
                try mesh.state(of: near.address) == "healthy" && mesh.state(of: far.address) == "healthy"
            }
            for _ in 0..<10 { try demandEqual(try mesh.get(Web.host).text, "near", "the zone's own") }
            let explained = try mesh.run(["explain", "http://\(Web.host)/", "--admin", mesh.admin]).output
            try demand(explained.contains("out: not near"), explained)
            near.setProbeStatus(500)
            try eventually("the other zone takes over") { try mesh.get(Web.host).text == "far" }
            near.setProbeStatus(200)
            try eventually("back") { try mesh.get(Web.host).text == "near" }
        }
    }

    @Test func aSlowStartComesToItsEnd() throws {
        let instances = try ["a", "b", "c"].map { try HTTPInstance($0) }
        var service = Catalogue.Service.web("web", Web.host, Array(instances[..<2]))
            .label("mesh.balance.slow_start_seconds", "0.5")
        try withMesh(Catalogue([service]), .init(workers: 1)) { mesh in
            let before = monotonicSeconds()
            try eventually("the first ones have started") { monotonicSeconds() > before + 0.5 }
            service.instances = instances.map(\.address)
            try mesh.write(Catalogue([service]))
            try eventually("the third is picked") { try mesh.get(Web.host).text == "c" }
            try eventually("all take turns") {
                var counts: [String: Int] = [:]
                for _ in 0..<12 { counts[try mesh.get(Web.host).text, default: 0] += 1 }
                return counts == ["a": 4, "b": 4, "c": 4]
            }
        }
    }
}
