import Glibc
import Testing

/// Containers of a real engine as instances.
@Suite(.enabled(if: DockerEngine.isAllowed, DockerEngine.why))
struct DockerTests {
    private static let routed = ["aliyun.routing.port_8080": Web.host]

    private func state(_ mesh: MeshProcess, _ id: String) throws -> String? {
        func find(_ value: JSONValue) -> JSONValue? { value.first { $0["id"]?.text == id } }
        return find(try mesh.status())?["state"]?.text
    }

    private func expect(_ mesh: MeshProcess, _ id: String, _ wanted: String?) throws {
        try eventually("\(id) is \(wanted ?? "gone"): \((try? mesh.statusText()) ?? "")") {
            try state(mesh, id) == wanted
        }
    }

    @Test func containersComeAndGo() throws {
        let engine = try DockerEngine()
        // One that is there before, and one that is not the mesh's.
        try engine.start("early", ["mesh.service": "early", "aliyun.routing.port_8080": "early.example"])
        try engine.start("plain", ["maintainer": "x"])
        try engine.withMesh { mesh in
            try demandEqual(try engine.answer(mesh, "early.example"), "early", "answer")
            let one = try engine.start("one", Self.routed.merging(["com.docker.compose.service": "web"]) { $1 })
            try engine.awaitAnswer(mesh, Web.host, "one")
            try engine.docker("pause", "one")
            try expect(mesh, one, "unhealthy")
            try demand(try mesh.statusText().contains("(paused)"), "the cause is told")
            try engine.docker("unpause", "one")
            try expect(mesh, one, "healthy")
            // Started again with another address.
            try engine.docker("stop", "--time", "1", "one")
            try engine.awaitAnswer(mesh, Web.host, "404")
            try engine.start("squatter", [:])
            try engine.docker("start", "one")
            try engine.awaitAnswer(mesh, Web.host, "one")
            try engine.docker("kill", "one")
            try engine.awaitAnswer(mesh, Web.host, "404")
            try engine.docker("rm", "one")
            try demandEqual(try mesh.metric(of: "meshd_docker_reads_total"), 1, "whole readings")
            try demandEqual(try engine.answer(mesh, "early.example"), "early", "answer")
            try demand(!(try mesh.statusText().contains("plain")), "others' containers are not told")
        }
    }

    @Test func oneThatIsStoppedFinishesWhatItHas() throws {
        let engine = try DockerEngine()
        let labels = Self.routed.merging(["mesh.service": "web"]) { $1 }
        try engine.withMesh { mesh in
            let one = try engine.start("one", labels, as: "linger")
            try engine.awaitAnswer(mesh, Web.host, "one")
            let held = try engine.heldRequest("one", engine.network, mesh)
            let stop = try engine.begin("stop", "--time", "60", "one")
            try expect(mesh, one, "draining")
            try demandEqual(try mesh.metric(of: "meshd_docker_stopping_instances"), 1, "stopping")
            try engine.start("two", labels)
            try engine.awaitAnswer(mesh, Web.host, "two")
            // A request that goes to the other one would wait as the first does.
            for _ in 0..<10 { try demandEqual(try engine.answer(mesh, Web.host), "two", "answer meanwhile") }
            try demand(held.poll() == nil && stop.poll() == nil, "what is in flight is in flight")
            try engine.touch("one", "/go")
            try demandEqual(try held.waitExit(), 0, "exit status of the client")
            try demandEqual(held.output, "one", "what the client got")
            try demandEqual(try stop.waitExit(), 0, "exit status of docker stop: \(stop.errors)")
            try expect(mesh, one, nil)
        }
    }

    @Test func oneThatGoesOnRegardlessComesBack() throws {
        let engine = try DockerEngine()
        try engine.withMesh { mesh in
            let one = try engine.start("one", Self.routed, as: "linger", "--stop-timeout", "1")
            try engine.awaitAnswer(mesh, Web.host, "one")
            try engine.docker("kill", "--signal", "TERM", "one")
            try expect(mesh, one, "draining")
            try engine.awaitAnswer(mesh, Web.host, "503")
            try expect(mesh, one, "healthy")
            try engine.awaitAnswer(mesh, Web.host, "one")
            // Started again it is another one.
            try engine.docker("restart", "--time", "1", "one")
            try expect(mesh, one, "healthy")
            try engine.awaitAnswer(mesh, Web.host, "one")
        }
    }

    @Test func labelsNetworksAndNamesDecide() throws {
        let engine = try DockerEngine()
        try engine.docker("network", "create", "--subnet", "172.18.2.0/24", "front")
        try engine.withMesh { mesh in
            // Without a label the service is called as the container, also when that changes.
            let one = try engine.start("one", Self.routed)
            try engine.awaitAnswer(mesh, Web.host, "one")
            try engine.docker("rename", "one", "other")
            try eventually("the service has the new name") {
                let services = try mesh.status()["services"]?.children.map { $0["name"]?.text } ?? []
                return services.contains("other") && !services.contains("one")
            }
            // The network it is on may change: none, another one, the one it began with.
            try engine.docker("network", "disconnect", "bridge", "other")
            try expect(mesh, one, nil)
            try demand(try mesh.statusText().contains("has no address on any network"), "it is named")
            try engine.docker("network", "connect", "front", "other")
            try engine.awaitAnswer(mesh, Web.host, "one")
            try demand("\(try mesh.status())".contains("172.18.2."), "its address is of the other network")
            try engine.docker("network", "connect", "bridge", "other")
            try eventually("its address is of the first network") { "\(try mesh.status())".contains("172.18.1.") }
            try engine.docker("rm", "--force", "other")

            try engine.start("broken", ["aliyun.routing.port_x": "y"])
            try eventually("the metric says so") {
                try mesh.metric(of: "meshd_docker_malformed_containers") == 1
            }
            try demand(try mesh.statusText().contains("malformed: container broken ("), "it is named")
            try engine.docker("rm", "--force", "broken")
            try eventually("the metric is back") { try mesh.metric(of: "meshd_docker_malformed_containers") == 0 }

            // Ports of the machine in place of the container's own address.
            let port = FreePort.take()
            try engine.start("near", Self.routed.merging(["mesh.reach": "host"]) { $1 }, "--publish", "\(port):8080")
            try engine.awaitAnswer(mesh, Web.host, "near")
            try demand("\(try mesh.status())".contains("127.0.0.1"), "its address is the machine's")
            try engine.docker("rm", "--force", "near")
            // And a port of the mesh, by label.
            let published = FreePort.take()
            try engine.start("pub", ["mesh.publish": "\(published):8080"])
            try eventually("the published port answers") {
                try engine.network.run("curl -s -m 5 http://127.0.0.1:\(published)/ || true") == "pub"
            }
        }
    }

    @Test func healthChecksAndCommandsDecide() throws {
        let engine = try DockerEngine()
        try engine.withMesh { mesh in
            let checked = try engine.start(
                "checked", ["mesh.service": "checked", "aliyun.routing.port_8080": "checked.example"],
                "--health-cmd", "none", "--health-interval", "200ms", "--health-retries", "1")
            let labels = [
                "mesh.service": "asked", "aliyun.routing.port_8080": "asked.example",
                "aliyun.probe.cmd": "[\"/app\", \"absent\", \"/sick\"]", "mesh.probe.interval_seconds": "0.1",
                "aliyun.probe.timeout_seconds": "5",
            ]
            let asked = try engine.start("asked", labels)
            let slow = try engine.start(
                "slow",
                [
                    "mesh.service": "slow", "aliyun.probe.cmd": "[\"/app\", \"sleep\"]",
                    "aliyun.probe.timeout_seconds": "0.2", "mesh.probe.interval_seconds": "0.1",
                ])
            // Its check is a line for a shell that it has not.
            try expect(mesh, checked, "unhealthy")
            try engine.awaitAnswer(mesh, "checked.example", "503")
            try engine.awaitAnswer(mesh, "asked.example", "asked")
            try engine.touch("asked", "/sick")
            try expect(mesh, asked, "unhealthy")
            try demand(try mesh.statusText().contains("(exit status 3: /sick is there)"), "what it said is told")
            try engine.docker("exec", "asked", "/app", "remove", "/sick")
            try engine.awaitAnswer(mesh, "asked.example", "asked")
            // A command without an end is never there twice.
            try expect(mesh, slow, "unhealthy")
            let failures = try mesh.metric(of: "meshd_probes_timed_out_total") ?? 0
            try eventually("it is asked again") {
                try mesh.metric(of: "meshd_probes_timed_out_total") ?? 0 > failures + 2
            }
            let processes = try engine.docker("top", "slow").split(separator: "\n").count { $0.contains("/app sleep") }
            try demandEqual(processes, 1, "commands in the container")
        }
    }

    @Test func anEngineThatGoesAndComesBackBlanksNothing() throws {
        let engine = try DockerEngine()
        let one = try engine.start("one", Self.routed, "--restart", "no")
        try engine.withMesh(["--registry-empty-hold-seconds", "3600"]) { mesh in
            try engine.awaitAnswer(mesh, Web.host, "one")
            // It stands still: what is known stays, and is served.
            let pid = try engine.pid
            kill(pid, SIGSTOP)
            try eventually(within: 30, "that it is silent is noticed") {
                try mesh.metric(of: Metric.lastReadFailed) == 1
            }
            try demandEqual(try engine.answer(mesh, Web.host), "one", "answer while the engine is silent")
            kill(pid, SIGCONT)
            try eventually(within: 30, "it is back") { try mesh.metric(of: Metric.lastReadFailed) == 0 }
            // Killed, its containers live on until it begins anew and ends them.
            try engine.crash()
            try eventually("that it is away is noticed") { try mesh.metric(of: Metric.lastReadFailed) == 1 }
            try demandEqual(try engine.answer(mesh, Web.host), "one", "answer while the engine is away")
            try demand(try mesh.statusText().contains("FAILED: docker://"), "status says so")
            engine.resume()
            try engine.waitReady()
            try eventually("the empty engine is not believed") {
                try mesh.metric(of: "meshd_docker_held_instances") == 1
            }
            try demand(try mesh.statusText().contains("held in force: 1"), "status says so")
            try demand(try state(mesh, one) != nil, "it stays")
            try engine.docker("start", "one")
            try eventually("none is held") { try mesh.metric(of: "meshd_docker_held_instances") == 0 }
            try engine.awaitAnswer(mesh, Web.host, "one")
        }
    }

    @Test func theLastCatalogueOutlivesARestartWithoutTheEngine() throws {
        let engine = try DockerEngine()
        try engine.start("one", Self.routed)
        let state = "\(engine.directory.path)/state"
        var options = engine.options([engine.registry])
        options.stateDirectory = state
        let first = try MeshProcess.started(text: "", options)
        try engine.awaitAnswer(first, Web.host, "one")
        first.child.signal(SIGTERM)
        _ = try first.child.waitExit()
        try engine.crash()
        let second = try MeshProcess.started(text: "", options)
        try demandEqual(try engine.answer(second, Web.host), "one", "answer of the kept catalogue")
        try demand(try second.statusText().contains("kept on disk"), "status says so")
    }

    /// The commands of examples/docker do what the page says, typed as they stand.
    @Test func theExampleIsTrue() throws {
        let here = #filePath
        let folder = String(here.dropLast("Tests/EndToEnd/DockerTests.swift".count)) + "examples/docker"
        let blocks = TextFile.read("\(folder)/README.md").split(separator: "```\n").map(String.init)
        let block = blocks.first { $0.hasPrefix("docker ") } ?? ""
        let lines = block.split(separator: "\n").filter { $0.hasPrefix("docker ") }
        let states = [["healthy"], ["healthy", "healthy"], ["healthy"], ["unhealthy"], ["healthy"], []]
        try demandEqual(lines.count, states.count, "commands")
        let engine = try DockerEngine()
        try engine.withMesh { mesh in
            for (line, wanted) in zip(lines, states) {
                try engine.docker(shell: String(line))
                try eventually("after '\(line)': \(wanted)\n\(mesh.tail)") {
                    let services = try mesh.status()["services"]?.children ?? []
                    return services.flatMap { $0["instances"]?.children ?? [] }.map { $0["state"]?.text } == wanted
                }
                if wanted.first == "healthy" { try engine.awaitAnswer(mesh, "shop.example", "app") }
            }
        }
        let result = try CommandResult.run(
            ["check", "\(folder)/compose.yaml"], files: "\(engine.directory.path)/check")
        try demandEqual(result.status, 0, "exit status of check: \(result.errors)")
        try demandEqual(result.errors, "", "warnings")
    }

    @Test func anEngineElsewhereIsReachedByTCP() throws {
        let port = FreePort.take()
        let engine = try DockerEngine(port: port)
        try engine.start("one", Self.routed)
        try engine.withMesh(registry: "docker://127.0.0.1:\(port)?node=far") { mesh in
            try engine.awaitAnswer(mesh, Web.host, "one")
            try demand("\(try mesh.status())".contains("far"), "its node is the one that was said")
        }
    }

    @Test func andByTLSWithACertificate() throws {
        let port = FreePort.take()
        let authority = try CertificateAuthority()
        try authority.sign("engine", "IP:127.0.0.1")
        try authority.sign("node", "DNS:node-1")
        let engine = try DockerEngine(port: port, authority: authority)
        try engine.start("one", Self.routed)
        let url = "dockers://127.0.0.1:\(port)?ca=\(authority.path("ca.crt"))"
        let pair = "&cert=\(authority.path("node.crt"))&key=\(authority.path("node.key"))"
        try engine.withMesh(registry: url + pair) { mesh in try engine.awaitAnswer(mesh, Web.host, "one") }
        // Without a certificate the engine says no; meshd says why and goes on asking.
        let mesh = try MeshProcess(text: "", engine.options([url]))
        try eventually("it says so: \(mesh.log)") {
            mesh.log.contains("catalogue broken") && mesh.log.contains("certificate")
        }
    }
}

extension MeshProcess {
    /// As `metric`, of a mesh whose admin interface is a socket of a path.
    func metric(of name: String) throws -> Double? {
        let path = String(admin.dropFirst("unix:".count))
        let child = try ChildProcess(
            "/usr/bin/curl", ["-s", "--unix-socket", path, "http://localhost/metrics"],
            files: "\(directory.path)/metrics")
        _ = try child.waitExit()
        for line in child.output.split(separator: "\n") where line.hasPrefix(name) {
            let rest = line.dropFirst(name.count)
            if rest.first == " " || rest.first == "{" { return rest.split(separator: " ").last.flatMap { Double($0) } }
        }
        return nil
    }
}
