import Glibc
import Testing

/// The tests play the service manager: sd_notify(3), the watchdog, reloads, passed sockets.
@Suite struct ServiceManagerTests {
    private static func catalogue(_ instance: HTTPInstance) -> Catalogue {
        Catalogue([.web("web", Web.host, [instance])])
    }

    /// A ready meshd that tells `notify` of itself.
    private static func withManager(
        _ instance: HTTPInstance, _ options: MeshProcess.Options = .init(), _ environment: [String: String] = [:],
        _ body: (MeshProcess, NotifySocket) throws -> Void
    ) throws {
        let directory = try TemporaryDirectory()
        let notify = try NotifySocket(in: directory)
        var options = options
        options.environment = notify.environment.merging(environment) { $1 }
        try withMesh(catalogue(instance), options) { try body($0, notify) }
    }

    @Test func readinessStatusAndTheEndAreTold() throws {
        try Self.withManager(try HTTPInstance("web")) { mesh, notify in
            let ready = try notify.next("READY")
            try demandEqual(ready["READY"], "1", "READY")
            try demandEqual(ready["STATUS"], "serving, 1 services, generation 1, no problems", "STATUS")
            try demandEqual(try mesh.get(Web.host).text, "web", "serves")
            try mesh.write(Catalogue([]))
            let status = try notify.next("STATUS")
            try demand(status["STATUS"]?.hasPrefix("serving, 0 services, generation 2") == true, "\(status)")
            mesh.child.signal(SIGTERM)
            try demandEqual(try notify.next("STOPPING")["STOPPING"], "1", "STOPPING")
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
            notify.drain()
            try demandEqual(notify.messages.filter { $0["READY"] != nil }.count, 1, "told once: \(notify.messages)")
        }
    }

    @Test func aReloadEndsWhenWhatWasReadIsInForce() throws {
        let (old, new) = (try HTTPInstance("old"), try HTTPInstance("new"))
        try Self.withManager(old) { mesh, notify in
            _ = try notify.next("READY")
            for turn in 0..<6 {
                let before = UInt64(monotonicSeconds() * 1e6)
                try mesh.write(Self.catalogue(turn % 2 == 0 ? new : old))
                mesh.child.signal(SIGHUP)
                let reloading = try notify.next("RELOADING")
                let time = UInt64(reloading["MONOTONIC_USEC"] ?? "") ?? 0
                try demand(time >= before && time <= UInt64(monotonicSeconds() * 1e6), "\(reloading) since \(before)")
                _ = try notify.next("READY")
                try demandEqual(try mesh.get(Web.host).text, turn % 2 == 0 ? "new" : "old", "after reload \(turn)")
            }
            try TextFile.replace(mesh.cataloguePath, with: "services: [")
            mesh.child.signal(SIGHUP)
            _ = try notify.next("RELOADING")
            let ready = try notify.next("READY")
            try demand(ready["STATUS"]?.hasSuffix("a catalogue is broken") == true, "\(ready)")
            try demandEqual(try mesh.get(Web.host).text, "old", "the last good one stays")
        }
    }

    @Test func aReloadAppliesWhatMayChangeAndNamesTheRest() throws {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/meshd.yaml"
        try TextFile.write("log-level: info\nretries: 2\n", to: file)
        try Self.withManager(try HTTPInstance("web"), .init(["--config", file])) { mesh, notify in
            _ = try notify.next("READY")
            func reload(_ text: String) throws {
                try TextFile.write(text, to: file)
                mesh.child.signal(SIGHUP)
                _ = try notify.next("RELOADING")
                _ = try notify.next("READY")
            }
            try reload("log-level: info\nretries: 7\ngrace-seconds: 9\n")
            try demand(mesh.log.contains("\"settings\":\"grace-seconds, retries\""), mesh.log)
            try demand(mesh.log.contains("\"message\":\"reloading\""), mesh.log)
            try reload("log-level: error\nretries: 2\n")
            let length = mesh.log.utf8.count
            try reload("log-level: error\nretries: 2\n")
            try demandEqual(mesh.log.utf8.count, length, "bytes of log after log-level was raised: \(mesh.log)")
            try reload("log-level: nonsense\n")
            try demand(mesh.log.contains("settings broken, the last good ones stay in force"), mesh.log)
        }
    }

    @Test func theWatchdogIsFedWhileIdleAndNotWhileAWorkerHangs() throws {
        try Self.withManager(try HTTPInstance("web"), .init(), ["WATCHDOG_USEC": "400000"]) { mesh, notify in
            for _ in 0..<4 { try demandEqual(try notify.next("WATCHDOG")["WATCHDOG"], "1", "WATCHDOG") }
            let stopper = try PythonProgram.start(
                "stop_thread.py", [String(mesh.pid), "meshd-1"], files: mesh.directory.path + "/stopper")
            try demandEqual(try stopper.firstLine(), "stopped", "a worker's thread stands still")
            try eventually("the worker is named") {
                mesh.log.contains("workers do not answer, the watchdog is not fed\",\"workers\":\"1\"")
            }
            notify.drain()
            // Longer than the timeout: a service manager would have ended the process by now.
            usleep(600_000)
            let fed = notify.drain().filter { $0["WATCHDOG"] != nil }
            try demand(fed.isEmpty, "fed although a worker hangs: \(fed)")
            try demandEqual(try mesh.adminGet("/live").status, 200, "the control loop runs on")
            stopper.signal(SIGKILL)
            _ = try notify.next("WATCHDOG")
            try eventually("the end of it is told") { mesh.log.contains("all workers answer again") }
        }
    }

    @Test func aWatchdogForAnotherProcessIsNotFed() throws {
        let environment = ["WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"]
        try Self.withManager(try HTTPInstance("web"), .init(), environment) { mesh, notify in
            _ = try notify.next("READY")
            mesh.child.signal(SIGTERM)
            _ = try mesh.child.waitExit()
            notify.drain()
            try demand(notify.messages.allSatisfy { $0["WATCHDOG"] == nil }, "\(notify.messages)")
        }
    }

    // MARK: - Passed sockets

    @Test func connectionsWaitBetweenTwoRunsOnPassedSockets() throws {
        let instance = try HTTPInstance("web")
        var options = MeshProcess.Options(workers: 4)
        options.passed = [try PassedListener("http"), try PassedListener("admin")]
        let port = options.passed[0].port
        for run in 1...2 {
            let early = try Connection.open(port)
            try early.send("GET /early HTTP/1.1\r\nHost: \(Web.host)\r\nConnection: close\r\n\r\n")
            try withMesh(Self.catalogue(instance), options) { mesh in
                let answer = String(decoding: try early.readToEnd(), as: UTF8.self)
                try demand(answer.hasPrefix("HTTP/1.1 200 "), "run \(run): \(answer)")
                for number in 0..<200 {
                    try demandEqual(try mesh.get(Web.host).text, "web", "connection \(number) of run \(run)")
                }
                try demandEqual(try mesh.status()["problems"]?.children.count, 0, "problems")
                mesh.child.signal(SIGTERM)
                try demandEqual(try mesh.child.waitExit(), 0, "exit status")
            }
        }
    }

    @Test func aPassedSocketIsServedByAllWorkers() throws {
        let (gate, arrived) = (Gate(), Counter())
        let instance = try HTTPInstance("web", Behave.held(gate, arrived))
        var options = MeshProcess.Options(["--max-connections", "40"], workers: 4)
        options.passed = [try PassedListener("http")]
        try withMesh(Self.catalogue(instance), options) { mesh in
            // Each worker takes ten at the most: forty are in flight only where all four accept.
            let clients = try (0..<40).map { _ in try mesh.client() }
            for client in clients { try client.send(host: Web.host) }
            try eventually("all forty are with the instance") { arrived.value == 40 }
            gate.open()
            for client in clients { try demandEqual(try client.readResponse().status, 200, "answer") }
        }
    }

    @Test func aSocketThatCannotBeWhatItsNameSaysEndsTheStart() throws {
        var options = MeshProcess.Options()
        options.passed = [try PassedListener("http", listens: false)]
        let mesh = try MeshProcess(text: Self.catalogue(try HTTPInstance("web")).text, options)
        try demandEqual(try mesh.child.waitExit(), 1, "exit status")
        try demand(mesh.log.contains("passed socket 1, 'http'"), mesh.log)
    }

    @Test func aSocketOfAnotherNameIsToldOf() throws {
        var options = MeshProcess.Options()
        options.passed = [try PassedListener("metrics")]
        let instance = try HTTPInstance("web")
        try withMesh(Self.catalogue(instance), options) { mesh in
            try demand(mesh.log.contains("\"passed socket not used\",\"name\":\"metrics\""), mesh.log)
            try demandEqual(try mesh.get(Web.host).text, "web", "answer")
        }
    }

    // MARK: - Journal

    @Test(.enabled(if: geteuid() == 0, "needs a mount namespace of its own"))
    func logLinesAreJournalEntriesWithFields() throws {
        let directory = try TemporaryDirectory()
        let (record, errors) = (directory.path + "/record", directory.path + "/errors")
        var options = MeshProcess.Options(["--log-level", "debug"])
        let program = #filePath.split(separator: "/").dropLast().joined(separator: "/") + "/Programs/journal.py"
        options.wrapper = [
            "/usr/bin/unshare", "--mount", "/bin/sh", "-c", "mount -t tmpfs none /run && exec \"$@\"", "sh",
            "/usr/bin/python3", "/\(program)", record, errors,
        ]
        try withMesh(Self.catalogue(try HTTPInstance("web")), options) { mesh in
            let ready = try awaited("the entry of readiness") {
                try Self.entries(record).first { $0["MESHD_EVENT"]?.text == "ready" }
            }
            try demandEqual(ready["PRIORITY"]?.text, "6", "PRIORITY")
            try demandEqual(ready["SYSLOG_IDENTIFIER"]?.text, "meshd", "SYSLOG_IDENTIFIER")
            try demandEqual(ready["MESHD_SERVICES"]?.text, "1", "MESHD_SERVICES")
            try demandEqual(ready["MESSAGE"]?.text, "ready generation=1 services=1", "MESSAGE")
            try TextFile.replace(mesh.cataloguePath, with: "services: [")
            let broken = try awaited("the entry of the broken catalogue") {
                try Self.entries(record).first { $0["PRIORITY"]?.text == "3" }
            }
            try demand(broken["MESHD_CAUSE"]?.text?.contains("services.yaml") == true, "\(broken)")
            try demandEqual(TextFile.read(errors), "", "standard error")
            mesh.child.signal(SIGTERM)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
    }

    private static func entries(_ record: String) throws -> [JSONValue] {
        let text = TextFile.read(record)
        // The last line may still be being written.
        return try text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            .map { try JSONValue(parsing: String($0)) }
    }

    @Test func aForeignJournalStreamLeavesTheLogOnStandardError() throws {
        var options = MeshProcess.Options()
        options.environment = ["JOURNAL_STREAM": "1:1"]
        try withMesh(Self.catalogue(try HTTPInstance("web")), options) { mesh in
            try demand(mesh.log.contains("\"message\":\"ready\""), mesh.log)
        }
    }
}
