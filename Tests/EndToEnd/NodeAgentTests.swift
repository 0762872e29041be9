import Glibc
import Testing

/// Two nodes: on one an engine, whose containers its meshd probes and announces; on the other nothing but a meshd that
/// watches etcd.
@Suite(.enabled(if: DockerEngine.isAllowed, DockerEngine.why))
struct NodeAgentTests {
    private final class Bench {
        static let subnet = "172.18.1.0/24"
        static let registry = "etcd://192.0.2.2:2379/mesh"

        let engine: DockerEngine
        let other: NetworkNamespace
        let directory: TemporaryDirectory
        private var etcd: ChildProcess?
        private var starts = 0

        init() throws {
            directory = try TemporaryDirectory()
            engine = try DockerEngine(bridge: "172.18.1.1/24")
            other = try NetworkNamespace("other", in: directory)
            try engine.network.connect(to: other, "192.0.2.1/24", "192.0.2.2/24")
            // Container addresses are routed between the nodes.
            try engine.network.run("echo 1 >/proc/sys/net/ipv4/ip_forward")
            try other.run("ip route add \(Self.subnet) via 192.0.2.1")
            try startEtcd()
        }

        func startEtcd() throws {
            starts += 1
            let words = [
                EtcdPrograms.server, "--data-dir", "\(directory.path)/data",
                "--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", "http://192.0.2.2:2379",
                "--listen-peer-urls", "http://127.0.0.1:2380", "--logger", "zap",
            ]
            etcd = try other.start(words, "etcd-\(starts)")
            try eventually(within: 30, "etcd is healthy: \(etcd?.errors.suffix(500) ?? "")") {
                try ctl("endpoint", "health").contains("is healthy")
            }
        }

        func killEtcd(withData: Bool) throws {
            etcd?.signal(SIGKILL)
            _ = try etcd?.waitExit()
            if withData { try other.run("rm -rf \(directory.path)/data") }
        }

        func ctl(_ arguments: String...) throws -> String {
            let words = arguments.joined(separator: " ")
            return try other.run(
                "ETCDCTL_API=3 \(EtcdPrograms.control) --endpoints 127.0.0.1:2379 \(words) 2>&1 || true")
        }

        /// Keys of instances.
        var announced: Int {
            get throws {
                try ctl("get", "--prefix", "--keys-only", "/mesh/instances/").split(separator: "\n").count
            }
        }

        private func options(_ node: String, _ registries: [String], _ flags: [String]) -> MeshProcess.Options {
            var options = engine.options(registries, flags)
            options.node = node
            options.vipOctet = 77
            return options
        }

        /// The meshd beside the engine.
        func agent(_ flags: [String] = []) throws -> MeshProcess {
            let flags = ["--announce", Self.registry, "--announce-ttl-seconds", "3", "--zone", "z1"] + flags
            return try MeshProcess.started(
                text: "", options("a", [Self.registry, engine.registry], flags))
        }

        /// The meshd of the other node.
        func watcher() throws -> MeshProcess {
            var options = options("b", [Self.registry], ["--registry-empty-hold-seconds", "0"])
            options.wrapper = other.wrapper
            return try MeshProcess.started(text: "", options)
        }

        /// What the other node answers.
        func answer(_ mesh: MeshProcess, _ host: String = Web.host) throws -> String {
            let text = try other.run(
                "curl -s -m 5 -H 'Host: \(host)' -w ' %{http_code}' http://127.0.0.1:\(mesh.http)/ || true")
            let words = text.split(separator: " ")
            return words.last == "200" ? String(words.first ?? "") : String(words.last ?? "")
        }

        func awaitAnswer(_ mesh: MeshProcess, _ wanted: String, _ host: String = Web.host) throws {
            try eventually("\(host) is answered by \(wanted) on the other node\n\(mesh.tail)") {
                try answer(mesh, host) == wanted
            }
        }
    }

    private static let labels = [
        "mesh.service": "web", "aliyun.routing.port_8080": Web.host, "mesh.probe.interval_seconds": "0.1",
        "aliyun.probe.cmd": "[\"/app\", \"absent\", \"/sick\"]", "aliyun.probe.timeout_seconds": "5",
        "aliyun.probe.rise": "1",
    ]

    @Test func whatRunsOnOneNodeIsServedByTheOther() throws {
        let bench = try Bench()
        let agent = try bench.agent()
        let watcher = try bench.watcher()
        try bench.engine.start("one", Self.labels)
        try bench.awaitAnswer(watcher, "one")
        // The verdict is the announcing node's; nobody else asks.
        try bench.engine.touch("one", "/sick")
        try bench.awaitAnswer(watcher, "503")
        try demand(
            try watcher.statusText().contains("/sick is there"), "the cause is told: \(try watcher.statusText())")
        try bench.engine.docker("exec", "one", "/app", "remove", "/sick")
        try bench.awaitAnswer(watcher, "one")
        try demandEqual(try watcher.metric(of: "meshd_probes_passed_total"), 0, "probes of the other node")
        try demandEqual(try watcher.metric(of: "meshd_probes_failed_total"), 0, "probes of the other node")
        let status = "\(try watcher.status())"
        try demand(status.contains("z1"), "node and zone are told: \(status)")
        // On its own node it is there once.
        try demandEqual(try agent.metric(of: "meshd_announced_instances"), 1, "announced")
        try demand(try agent.statusText().contains("1 instances  "), "once: \(try agent.statusText())")
        try bench.engine.awaitAnswer(agent, Web.host, "one")

        for verb in ["kill", "stop"] {
            try bench.engine.docker(verb, "one")
            try bench.awaitAnswer(watcher, "404")
            try bench.engine.awaitAnswer(agent, Web.host, "404")
            try bench.engine.docker("start", "one")
            try bench.awaitAnswer(watcher, "one")
        }
        // In order: everything is taken back at once.
        agent.child.signal(SIGTERM)
        try demandEqual(try agent.child.waitExit(), 0, "exit status: \(agent.tail)")
        try demandEqual(try bench.announced, 0, "announced after the end")
        try bench.awaitAnswer(watcher, "404")
    }

    @Test func oneThatIsStoppedDrainsOnTheOtherNode() throws {
        let bench = try Bench()
        let agent = try bench.agent()
        let watcher = try bench.watcher()
        let labels = ["mesh.service": "web", "aliyun.routing.port_8080": Web.host]
        try bench.engine.start("one", labels, as: "linger")
        try bench.awaitAnswer(watcher, "one")
        let held = try bench.engine.heldRequest("one", bench.other, watcher)
        let stop = try bench.engine.begin("stop", "--time", "60", "one")
        try eventually("it drains there: \(watcher.tail)") { try watcher.statusText().contains("draining") }
        try bench.engine.start("two", labels)
        try bench.awaitAnswer(watcher, "two")
        for _ in 0..<10 { try demandEqual(try bench.answer(watcher), "two", "answer meanwhile") }
        try bench.engine.touch("one", "/go")
        try demandEqual(try held.waitExit(), 0, "exit status of the client")
        try demandEqual(held.output, "one", "what the client got")
        try demandEqual(try stop.waitExit(), 0, "exit status of docker stop: \(stop.errors)")
        try eventually("it is gone: \(agent.tail)") { try bench.announced == 1 }
    }

    @Test func aKilledAgentIsGoneWithItsLeaseAndBackWithItsRestart() throws {
        let bench = try Bench()
        let agent = try bench.agent()
        let watcher = try bench.watcher()
        try bench.engine.start("one", Self.labels)
        try bench.awaitAnswer(watcher, "one")
        agent.child.signal(SIGKILL)
        _ = try agent.child.waitExit()
        // As long as the lease lasts its containers are served, and it ends.
        try demandEqual(try bench.answer(watcher), "one", "answer while the lease lasts")
        try bench.awaitAnswer(watcher, "404")
        let next = try bench.agent()
        try bench.awaitAnswer(watcher, "one")
        try bench.engine.awaitAnswer(next, Web.host, "one")
    }

    @Test func etcdThatDiesIsToldEverythingAgain() throws {
        let bench = try Bench()
        let agent = try bench.agent()
        let watcher = try bench.watcher()
        try bench.engine.start("one", Self.labels)
        try bench.awaitAnswer(watcher, "one")
        try bench.killEtcd(withData: false)
        try eventually("it says so") { try agent.metric(of: "meshd_announce_failing") == 1 }
        try demand(try agent.statusText().contains("FAILED"), "status says so")
        // Meanwhile the last state serves, on both nodes.
        try demandEqual(try bench.answer(watcher), "one", "answer without etcd")
        try bench.engine.awaitAnswer(agent, Web.host, "one")
        try bench.engine.start(
            "two", Self.labels.merging(["mesh.service": "two", "aliyun.routing.port_8080": "two.example"]) { $1 })
        try bench.engine.awaitAnswer(agent, "two.example", "two")
        try bench.startEtcd()
        try bench.awaitAnswer(watcher, "two", "two.example")
        try eventually("it is well again") { try agent.metric(of: "meshd_announce_failing") == 0 }
        // With its data gone the lease is gone, too.
        try bench.killEtcd(withData: true)
        try bench.startEtcd()
        try eventually("everything is there again") { try bench.announced == 2 }
        try bench.awaitAnswer(watcher, "one")
        try bench.awaitAnswer(watcher, "two", "two.example")
    }

    @Test func whatOthersCannotReachIsNotAnnounced() throws {
        let bench = try Bench()
        let agent = try bench.agent()
        try bench.engine.start("one", Self.labels, "--network", "host")
        try eventually("the metric says so") { try agent.metric(of: "meshd_unannounced_instances") == 1 }
        try demand(try agent.statusText().contains("not announced: web/"), "it is named")
        try demandEqual(try bench.announced, 0, "announced")
        try bench.engine.awaitAnswer(agent, Web.host, "one")
    }

    @Test(arguments: [
        (["--announce", "file:x"], "only etcd://"), (["--announce", "etcd://127.0.0.1:1/mesh"], "no docker://"),
        (["--announce", "etcd://a b"], "etcd:"),
    ])
    func settingsThatCannotBeAreRefused(flags: [String], text: String) throws {
        let mesh = try MeshProcess(text: "services: {}", .init(flags))
        try demandEqual(try mesh.child.waitExit(), 2, "exit status")
        try demand(mesh.log.contains("--announce") && mesh.log.contains(text), mesh.log)
    }
}
