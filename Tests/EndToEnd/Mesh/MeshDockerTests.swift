import Glibc
import Testing

/// Three nodes with a Docker engine each. Every meshd watches its own engine and announces what that runs.
@Suite(.serialized, .enabled(if: DockerEngine.isAllowed, DockerEngine.why))
struct MeshDockerTests {
    private static let labels = [
        "mesh.service": "web", "aliyun.routing.port_8080": "web.company.com;web.local", "mesh.publish": "7080:8080",
    ]

    private func withEngines(
        _ flags: String = "", _ body: (_ cluster: MeshCluster, _ engines: [DockerEngine]) throws -> Void
    ) throws {
        let cluster = try MeshCluster()
        let engines = try cluster.nodes.map {
            try DockerEngine(in: $0.network, bridge: "172.18.\($0.number).1/24", flags: flags)
        }
        for (node, engine) in zip(cluster.nodes, engines) { try start(node, engine, cluster) }
        for node in cluster.nodes { try node.waitReady() }
        try cluster.explained { try body(cluster, engines) }
    }

    private func start(_ node: MeshNode, _ engine: DockerEngine, _ cluster: MeshCluster) throws {
        let etcd = try cluster.etcd.registry
        // The last container is believed to be gone at once, though another went just before.
        let flags = ["--announce-ttl-seconds", "3", "--registry-empty-hold-seconds", "0"]
        try node.startMesh(etcd, ["--registry", engine.registry, "--announce", etcd] + flags)
    }

    private func awaitServed(_ cluster: MeshCluster, _ wanted: String...) throws {
        for node in cluster.nodes {
            try eventually("\(node.name) picks among \(wanted), now \((try? node.healthy("web")) ?? [])") {
                try node.healthy("web") == Set(wanted)
            }
        }
    }

    private func load(_ cluster: MeshCluster) throws -> MeshLoad {
        try MeshLoad(cluster, kinds: [.container, .containerVIP, .containerPort])
    }

    @Test func containersOfOneNodeAreServedByAll() throws {
        try withEngines { cluster, engines in
            let one = try engines[1].start("one", Self.labels)
            try awaitServed(cluster, one)
            let vip = try cluster.vip("web")
            for node in cluster.nodes {
                let answer = try cluster.ask("/usr/bin/dig", "@\(node.address)", "web.local", "+short", "+time=5")
                try demandEqual(answer, vip, "web.local from \(node.name)")
            }
            let load = try load(cluster)
            let two = try engines[2].start("two", Self.labels)
            try awaitServed(cluster, one, two)
            try eventually("every stream meets both") { try load.streams().allSatisfy { $0.instances.count == 2 } }
            try load.streams().demandNoLoss()

            try engines[1].docker("stop", "--time", "1", "one")
            let stopped = monotonicSeconds()
            try awaitServed(cluster, two)
            try load.awaitGood()
            try load.streams().demandOnlyInFlight(at: stopped)
            try load.stop().demandOnlyInFlight(at: stopped)

            let again = try self.load(cluster)
            let three = try engines[0].start("three", Self.labels)
            try awaitServed(cluster, two, three)
            try engines[2].docker("kill", "--signal", "KILL", "two")
            let killed = monotonicSeconds()
            try awaitServed(cluster, three)
            try again.awaitGood()
            try again.stop().demandOnlyInFlight(at: killed)
            try engines[0].docker("rm", "--force", "three")
            try awaitServed(cluster)
            try demandEqual(try cluster.etcd.ctl("get", "--prefix", "--keys-only", "/mesh/instances/"), "", "keys left")
        }
    }

    /// Containers go on when their engine dies. One that keeps them over its restart brings nothing to their clients'
    /// notice; another one ends them when it comes back.
    @Test(arguments: [true, false]) func anEngineIsKilledAndComesBack(keepsContainers: Bool) throws {
        try withEngines(keepsContainers ? "--live-restore" : "") { cluster, engines in
            let one = try engines[1].start("one", Self.labels)
            let two = try engines[2].start("two", Self.labels)
            try awaitServed(cluster, one, two)
            let load = try load(cluster)
            try engines[1].crash()
            try eventually("the node notices") {
                try cluster.node(2).run(["status", "--admin", cluster.node(2).admin]).output.contains("FAILED")
            }
            try load.awaitGood()
            try load.streams().demandNoLoss()
            try awaitServed(cluster, one, two)
            engines[1].resume()
            try engines[1].waitReady()
            let back = monotonicSeconds()
            if keepsContainers {
                try eventually("the engine is read again") {
                    try !cluster.node(2).run(["status", "--admin", cluster.node(2).admin]).output.contains("FAILED")
                }
                try awaitServed(cluster, one, two)
                try load.awaitGood()
                try load.stop().demandNoLoss()
            } else {
                try awaitServed(cluster, two)
                try load.awaitGood()
                try load.stop().demandOnlyInFlight(at: back)
            }
        }
    }

    /// What a killed meshd has announced outlives it for as long as its lease, and is announced anew by the next one.
    @Test func anAnnouncingMeshdIsKilledAndRestarted() throws {
        try withEngines { cluster, engines in
            let one = try engines[1].start("one", Self.labels)
            let two = try engines[2].start("two", Self.labels)
            try awaitServed(cluster, one, two)
            let load = try load(cluster)
            try cluster.node(2).killMesh()
            try start(cluster.node(2), engines[1], cluster)
            try cluster.node(2).waitReady()
            try awaitServed(cluster, one, two)
            try load.awaitGood { $0.node != 2 }
            try load.streams().filter { $0.node != 2 }.demandNoLoss()
            // Longer than the lease of the killed one.
            try cluster.node(2).killMesh()
            for node in [cluster.node(1), cluster.node(3)] {
                try eventually("\(node.name) forgets it") { try node.healthy("web") == [two] }
            }
            try start(cluster.node(2), engines[1], cluster)
            try cluster.node(2).waitReady()
            try awaitServed(cluster, one, two)
            try load.awaitGood()
            try load.stop().filter { $0.node != 2 }.demandNoLoss()
        }
    }
}
