import Glibc
import Testing

/// The drain barrier on several nodes that share an etcd registry.
@Suite struct EtcdDrainTests {
    private func node(_ etcd: EtcdCluster, _ name: String) throws -> MeshProcess {
        var options = MeshProcess.Options()
        options.registries = [etcd.registry]
        options.node = name
        return try .started(text: "", options)
    }

    private func drain(_ mesh: MeshProcess, _ arguments: [String]) throws -> CommandResult {
        try mesh.run(["drain"] + arguments + ["--admin", mesh.admin])
    }

    private func known(_ nodes: [MeshProcess], _ id: String) throws {
        for node in nodes {
            try eventually("\(id) is known\n\(node.tail)") {
                let services = try node.status()["services"]?.children ?? []
                return services.first?["instances"]?.children.contains { $0["id"]?.text == id } == true
            }
        }
    }

    @Test func aHundredInstancesAreReplacedUnderLoadAndNoRequestFails() throws {
        let etcd = try EtcdCluster()
        try etcd.putService("web", Web.host)
        let nodes = try ["n1", "n2", "n3"].map { try node(etcd, $0) }
        var running: [HTTPInstance] = []
        func add(_ number: Int) throws {
            let instance = try HTTPInstance("i\(number)")
            try etcd.putInstance("web", "i\(number)", instance)
            running.append(instance)
        }
        for number in 0..<3 { try add(number) }
        try known(nodes, "i2")
        let loads = nodes.map { LoadClient(.init(port: $0.http, host: Web.host, threads: 1)) }
        for load in loads { try load.awaitSuccesses(20) }
        for number in 3..<103 {
            try add(number)
            // The node that is asked must know what it is asked for; all others follow by themselves.
            try known([nodes[number % 3]], "i\(number - 3)")
            let result = try drain(nodes[number % 3], ["web/i\(number - 3)", "--wait"])
            try demandEqual(result.status, 0, "replacing i\(number - 3): \(result.errors)")
            // Nothing holds a connection any more: the instance may end at once.
            running.removeFirst().stop()
            try etcd.delete("instances/web/i\(number - 3)")
        }
        for load in loads { try load.awaitSuccesses(20) }
        var answered = 0
        for load in loads {
            let outcome = try load.stop()
            try demand(outcome.failures.isEmpty, "\(outcome.failures.count) failed: \(outcome.failures.prefix(5))")
            answered += outcome.successes
        }
        try demand(answered > 500, "\(answered) requests")
    }

    @Test func aLongRequestOnAnotherNodeHoldsTheBarrier() throws {
        let etcd = try EtcdCluster()
        let gate = Gate()
        let arrived = Counter()
        let one = try HTTPInstance("one", Behave.held(gate, arrived))
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        let nodes = try ["n1", "n2", "n3"].map { try node(etcd, $0) }
        try known(nodes, "one")
        let client = try nodes[1].client()
        try client.send("GET", "/", host: Web.host)
        try eventually("the request is there") { arrived.value == 1 }
        let held = try drain(nodes[0], ["web/one", "--wait", "--timeout", "1s"])
        try demandEqual(held.status, 1, "exit: \(held.errors)")
        try demandEqual(
            held.errors, "web/one: still in flight after 1 s\nn2  web/one  1 exchanges\n", "what is left")
        for node in nodes { try demandEqual(try node.get(Web.host).status, 503, "new requests") }
        gate.open()
        let done = try drain(nodes[2], ["web", "--wait"])
        try demandEqual(done.output, "web/one: nothing in flight on 3 nodes\n", "output: \(done.errors)")
        try demandEqual(try client.readResponse().text, "one", "what was in flight")
        // The order is kept by etcd for its time, and taken back from any node.
        try demand(try etcd.ctl("get", "--prefix", "/mesh/drains/").contains("{\"by\":\"n3\"}"), "the order is there")
        try demandEqual(try drain(nodes[1], ["web/one", "--cancel"]).status, 0, "exit of --cancel")
        for node in nodes { try node.awaitAnswer(Web.host, "one") }
    }

    @Test func aNodeThatJoinsObeysAndOneThatDiesIsNotWaitedFor() throws {
        let etcd = try EtcdCluster()
        let gate = Gate()
        let arrived = Counter()
        let one = try HTTPInstance("one", Behave.held(gate, arrived))
        let two = try HTTPInstance("two")
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        let first = try node(etcd, "n1")
        let dying = try node(etcd, "n2")
        try known([first, dying], "one")
        let client = try dying.client()
        try client.send("GET", "/", host: Web.host)
        try eventually("the request is there") { arrived.value == 1 }
        try etcd.putInstance("web", "two", two)
        try known([first], "two")
        try demandEqual(try drain(first, ["web/one"]).output, "web/one: gets no new connections\n", "output")
        let joined = try node(etcd, "n3")
        for _ in 0..<8 { try demandEqual(try joined.get(Web.host).text, "two", "picks of the node that joined") }
        dying.child.signal(SIGKILL)
        let done = try drain(first, ["web/one", "--wait", "--timeout", "60s"])
        try demandEqual(done.output, "web/one: nothing in flight on 2 nodes\n", "output: \(done.errors)")
        // A node that stops in order is gone at once.
        joined.child.signal(SIGTERM)
        _ = try joined.child.waitExit()
        let alone = try drain(first, ["web/one", "--wait", "--timeout", "5s"])
        try demandEqual(alone.output, "web/one: nothing in flight on 1 node\n", "output: \(alone.errors)")
        gate.open()
    }

    /// It may take its whole grace period for what it has in flight elsewhere.
    @Test func aNodeThatEndsStillAnswersOrders() throws {
        let etcd = try EtcdCluster()
        let gate = Gate()
        let arrived = Counter()
        let busy = try HTTPInstance("busy", Behave.held(gate, arrived))
        let idle = try HTTPInstance("idle")
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "busy", busy)
        let (asked, ending) = (try node(etcd, "n1"), try node(etcd, "n2"))
        try known([asked, ending], "busy")
        let client = try ending.client()
        try client.send("GET", "/", host: Web.host)
        try eventually("the request is there") { arrived.value == 1 }
        try etcd.putInstance("web", "idle", idle)
        try known([asked, ending], "idle")
        ending.child.signal(SIGTERM)
        try eventually("it ends\n\(ending.tail)") { ending.log.contains("\"stopping\"") }
        let done = try drain(asked, ["web/idle", "--wait", "--timeout", "10s"])
        try demandEqual(done.output, "web/idle: nothing in flight on 2 nodes\n", "output: \(done.errors)")
        let held = try drain(asked, ["web/busy", "--wait", "--timeout", "1s"])
        try demand(held.errors.contains("n2  web/busy  1 exchanges"), "what is left: \(held.errors)")
        gate.open()
        try demandEqual(try client.readResponse().text, "busy", "what was in flight")
        try demandEqual(try ending.child.waitExit(), 0, "exit status")
    }

    @Test func anInstanceThatIsAnnouncedAnewIsNotDrained() throws {
        let etcd = try EtcdCluster()
        let gate = Gate()
        let arrived = Counter()
        let one = try HTTPInstance("one", Behave.held(gate, arrived))
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        let mesh = try node(etcd, "n1")
        try known([mesh], "one")
        let client = try mesh.client()
        try client.send("GET", "/", host: Web.host)
        try eventually("the request is there") { arrived.value == 1 }
        let words = ["drain", "web/one", "--wait", "--admin", mesh.admin]
        let waiting = try ChildProcess(Binary.path, words, files: "\(mesh.directory.path)/waiting")
        try eventually("it is ordered") { try mesh.metric("meshd_drains", "waiting") == 1 }
        try etcd.delete("instances/web/one")
        try etcd.putInstance("web", "one", one)
        try demandEqual(try waiting.waitExit(), 1, "exit of who waits")
        try demandEqual(waiting.errors, "web/one: the order no longer holds\n", "why")
        gate.open()
        try mesh.awaitAnswer(Web.host, "one")
        try demandEqual(try mesh.metric("meshd_drains"), 0, "orders in force")
    }

    @Test func withoutEtcdNothingIsOrdered() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        let mesh = try node(etcd, "n1")
        try known([mesh], "one")
        try etcd.members[0].kill()
        let result = try drain(mesh, ["web/one"])
        try demandEqual(result.status, 1, "exit")
        try demand(result.errors.contains("\(etcd.endpoints): "), "the member is named: \(result.errors)")
        try demandEqual(try mesh.get(Web.host).text, "one", "the last state stays")
    }
}
