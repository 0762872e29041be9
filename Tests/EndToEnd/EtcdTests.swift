import Glibc
import Testing

/// etcd as the registry: real members, real `etcdctl`.
@Suite struct EtcdTests {
    @Test func whatIsPutIsServedAndWhatIsDeletedIsGone() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        let two = try HTTPInstance("two")
        try etcd.putService("web", Web.host)
        let mesh = try MeshProcess.watching(etcd.registry, flags: ["--registry-empty-hold-seconds", "0"])
        try demandEqual(try mesh.get(Web.host).status, 503, "a service without instances")
        try etcd.putInstance("web", "one", one)
        try mesh.awaitAnswer(Web.host, "one")
        try etcd.putInstance("web", "two", two)
        try etcd.delete("instances/web/one")
        try mesh.awaitAnswer(Web.host, "two")
        try etcd.putService("web", "moved.example")
        try mesh.awaitAnswer("moved.example", "two")
        try mesh.awaitAnswer(Web.host, "404")
        try etcd.delete("instances/web/two")
        try mesh.awaitAnswer("moved.example", "503")
        try etcd.delete("services/web")
        try mesh.awaitAnswer("moved.example", "404")
        try demandEqual(try mesh.metric("meshd_etcd_reads_total"), 1, "whole readings")
    }

    @Test func anInstanceEndsWithItsLease() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        try etcd.putService("web", Web.host)
        let mesh = try MeshProcess.watching(etcd.registry)
        let lease = try etcd.grant(1)
        try etcd.ctl("put", "--lease", lease, "/mesh/instances/web/one", "{\"address\":\"\(one.address)\"}")
        try mesh.awaitAnswer(Web.host, "one")
        try mesh.awaitAnswer(Web.host, "503")
    }

    /// One service with an instance, under load while `body` does to etcd what it does.
    private func underLoad(
        _ etcd: EtcdCluster, flags: [String] = [], _ body: (MeshProcess, LoadClient) throws -> Void
    ) throws {
        let stable = try HTTPInstance("stable")
        try etcd.putService("stable", "stable.example")
        try etcd.putInstance("stable", "1", stable)
        let mesh = try MeshProcess.watching(etcd.registry, flags: flags)
        let load = LoadClient(.init(port: mesh.http, host: "stable.example"))
        try load.awaitSuccesses(50)
        try body(mesh, load)
        try load.awaitSuccesses(50)
        let outcome = try load.stop()
        try demand(outcome.failures.isEmpty, "\(outcome.failures.count) failed: \(outcome.failures.prefix(5))")
    }

    private func addAndAwait(_ etcd: EtcdCluster, _ mesh: MeshProcess, _ name: String) throws {
        let instance = try HTTPInstance(name)
        try etcd.putService(name, "\(name).example")
        try etcd.putInstance(name, "1", instance)
        try mesh.awaitAnswer("\(name).example", name)
    }

    @Test func etcdKilledAndStartedAgainLosesNothing() throws {
        let etcd = try EtcdCluster()
        try underLoad(etcd) { mesh, load in
            try etcd.members[0].kill()
            try eventually("the metric says so") { try mesh.metric(Metric.lastReadFailed) == 1 }
            try demand(try mesh.statusText().contains("FAILED: etcd://"), "status says so")
            try load.awaitSuccesses(50)
            try etcd.start(etcd.members[0])
            try etcd.waitHealthy()
            try addAndAwait(etcd, mesh, "later")
            try eventually("the metric is back") { try mesh.metric(Metric.lastReadFailed) == 0 }
            try demandEqual(try mesh.metric("meshd_etcd_reads_total"), 1, "taken up, not read anew")
        }
    }

    @Test func etcdThatStandsStillIsNoticedAndTakenUp() throws {
        let etcd = try EtcdCluster()
        try underLoad(etcd) { mesh, load in
            etcd.members[0].pause()
            defer { etcd.members[0].resume() }
            try eventually(within: 30, "the metric says so") { try mesh.metric(Metric.lastReadFailed) == 1 }
            try load.awaitSuccesses(50)
            etcd.members[0].resume()
            try etcd.waitHealthy()
            try addAndAwait(etcd, mesh, "later")
        }
    }

    @Test func revisionsThatAreCompactedAwayAreReadAnew() throws {
        let etcd = try EtcdCluster()
        try underLoad(etcd) { mesh, _ in
            let gone = try HTTPInstance("gone")
            try etcd.putService("gone", "gone.example")
            try etcd.putInstance("gone", "1", gone)
            try mesh.awaitAnswer("gone.example", "gone")
            // While meshd sleeps its watch is cut and everything it would take up from goes.
            try etcd.members[0].kill()
            try eventually("the watch has ended") { try mesh.metric(Metric.lastReadFailed) == 1 }
            mesh.child.signal(SIGSTOP)
            try etcd.start(etcd.members[0])
            try etcd.waitHealthy()
            try etcd.delete("services/gone")
            try etcd.putService("new", "new.example")
            try etcd.putInstance("new", "1", gone)
            try etcd.compact()
            mesh.child.signal(SIGCONT)
            try mesh.awaitAnswer("new.example", "gone")
            try mesh.awaitAnswer("gone.example", "404")
            try demandEqual(try mesh.metric("meshd_etcd_reads_total"), 2, "whole readings")
        }
    }

    @Test func anotherMemberTakesOver() throws {
        let etcd = try EtcdCluster(members: 3)
        try underLoad(etcd) { mesh, _ in
            let endpoint = try mesh.status()["registries"]?.children.first?["endpoint"]?.text
            let member = try #require(etcd.members.first { $0.endpoint == endpoint })
            try member.kill()
            // The dead one may have led: writes wait for the next leader.
            try etcd.waitHealthy()
            try addAndAwait(etcd, mesh, "later")
            try eventually("the metric is back") { try mesh.metric(Metric.lastReadFailed) == 0 }
            let next = try mesh.status()["registries"]?.children.first?["endpoint"]?.text
            try demand(next != endpoint, "another member: \(next ?? "none")")
        }
    }

    @Test func malformedEntriesAreNamedAndLeaveTheRestAlone() throws {
        let etcd = try EtcdCluster()
        try underLoad(etcd) { mesh, _ in
            try etcd.put("services/stable", "{\"labels\": ")
            try etcd.put("instances/stable/2", "{\"address\": \"nowhere\"}")
            try eventually("the metric says so") { try mesh.metric("meshd_etcd_malformed_entries") == 2 }
            let status = try mesh.statusText()
            try demand(status.contains("malformed: /mesh/instances/stable/2: 'address'"), "status: \(status)")
            try demand(status.contains("malformed: /mesh/services/stable"), "status: \(status)")
            try demand(mesh.log.contains("/mesh/instances/stable/2"), "the log names it")
            try addAndAwait(etcd, mesh, "later")
            try etcd.putService("stable", "stable.example")
            try etcd.delete("instances/stable/2")
            try eventually("the metric is back") { try mesh.metric("meshd_etcd_malformed_entries") == 0 }
        }
    }

    @Test func instancesThatAllGoAtOnceStayForAWhile() throws {
        let etcd = try EtcdCluster()
        let two = try HTTPInstance("stable")
        try etcd.putInstance("stable", "2", two)
        try underLoad(etcd, flags: ["--registry-empty-hold-seconds", "3600"]) { mesh, load in
            try etcd.ctl("del", "--prefix", "/mesh/instances/")
            try eventually("they are held") { try mesh.metric("meshd_etcd_held_instances") == 2 }
            try load.awaitSuccesses(50)
            try demand(try mesh.statusText().contains("held in force: 2"), "status says so")
            try etcd.putInstance("stable", "2", two)
            try eventually("one is held") { try mesh.metric("meshd_etcd_held_instances") == 1 }
        }
    }

    @Test func instancesThatAreTakenOutOneByOneAreGone() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        try etcd.putService("web", Web.host)
        for id in ["1", "2"] { try etcd.putInstance("web", id, one) }
        let mesh = try MeshProcess.watching(etcd.registry, flags: ["--registry-empty-hold-seconds", "3600"])
        try mesh.awaitAnswer(Web.host, "one")
        for id in ["1", "2"] { try etcd.delete("instances/web/\(id)") }
        try mesh.awaitAnswer(Web.host, "503")
        // And those that whoever announces them takes back.
        let announced = try (0..<2).map { number in
            try ChildProcess(
                Binary.path, ["announce", "web", one.address, "--registry", etcd.registry, "--id", "a\(number)"],
                files: "\(etcd.directory.path)/announce-\(number)")
        }
        try eventually("both are there") { try mesh.statusText().contains("2 instances  ") }
        for process in announced { process.signal(SIGTERM) }
        for process in announced { try demandEqual(try process.waitExit(), 0, "exit status: \(process.errors)") }
        try mesh.awaitAnswer(Web.host, "503")
        try demandEqual(try mesh.metric("meshd_etcd_held_instances"), 0, "held")
    }

    @Test func heldInstancesAreLetGoInTheEnd() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        try etcd.putService("web", Web.host)
        for id in ["1", "2"] { try etcd.putInstance("web", id, one) }
        let mesh = try MeshProcess.watching(etcd.registry, flags: ["--registry-empty-hold-seconds", "1"])
        try mesh.awaitAnswer(Web.host, "one")
        try etcd.ctl("del", "--prefix", "/mesh/instances/")
        try mesh.awaitAnswer(Web.host, "503")
        try demand(mesh.log.contains("has lost all instances at once"), "the log says that they were held")
    }

    @Test func aUserLogsInAndAgainWhenTheTokenIsVoid() throws {
        let etcd = try EtcdCluster()
        try etcd.ctl("user", "add", "root:s3cret/word")
        try etcd.ctl("user", "grant-role", "root", "root")
        try etcd.ctl("auth", "enable")
        etcd.credentials = ["--user", "root:s3cret/word"]
        try etcd.putService("web", Web.host)
        let port = etcd.members[0].clientPort
        let mesh = try MeshProcess.watching("etcd://root:s3cret%2fword@127.0.0.1:\(port)/mesh")
        try addAndAwait(etcd, mesh, "one")
        // Tokens do not outlive the member that gave them.
        try etcd.members[0].kill()
        try etcd.start(etcd.members[0])
        try etcd.waitHealthy()
        try addAndAwait(etcd, mesh, "two")
        try demand(!mesh.log.contains("s3cret") && !(try mesh.statusText().contains("s3cret")), "the password is told")
    }

    @Test func theVerdictOfTheAnnouncingNodeCounts() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        let probe = #""aliyun.probe.url": "http://container:8080\#(HTTPInstance.probePath)""#
        try etcd.put("services/web", #"{"labels": {"aliyun.routing.port_8080": "\#(Web.host)", \#(probe)}}"#)
        let mesh = try MeshProcess.watching(etcd.registry)
        func put(_ verdict: String) throws {
            try etcd.put("instances/web/1", #"{"address": "\#(one.address)", \#(verdict)}"#)
        }
        try put(#""verdict": "unhealthy", "cause": "it says 500""#)
        try eventually("status says why") { try mesh.statusText().contains("unhealthy (it says 500)") }
        try demandEqual(try mesh.get(Web.host).status, 503, "an unhealthy instance")
        try put(#""verdict": "healthy""#)
        try mesh.awaitAnswer(Web.host, "one")
        try demandEqual(one.probeCount, 0, "probes from here")
        try put(#""node": "n1""#)
        try eventually("nobody tells any more, so it is probed from here") { one.probeCount > 0 }
    }

    @Test func aMeshThatCannotReadItsRegistryIsNotReady() throws {
        let etcd = try EtcdCluster()
        try etcd.putService("web", Web.host)
        try etcd.members[0].kill()
        var options = MeshProcess.Options()
        options.registries = [etcd.registry]
        let mesh = try MeshProcess(text: "", options)
        try eventually("it says what is wrong") {
            mesh.log.contains("Connection refused") || mesh.log.contains("refused")
        }
        try demandEqual(try mesh.adminGet("/ready").status, 503, "ready")
        try demandEqual(try mesh.adminGet("/live").status, 200, "live")
        try etcd.start(etcd.members[0])
        try mesh.waitReady()
        try demandEqual(try mesh.get(Web.host).status, 503, "known, without instances")
    }
}
