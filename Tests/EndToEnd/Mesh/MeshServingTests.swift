import Glibc
import Testing

/// Three nodes, a client, real etcd: see `MeshCluster`.
@Suite(.serialized, .enabled(if: NetworkNamespace.isAllowed, "needs the right to make network namespaces"))
struct MeshServingTests {
    @Test func everyNodeServesWhatRunsElsewhere() throws {
        let cluster = try MeshCluster.started()
        try cluster.putServices()
        let instances = try cluster.putInstances(on: [1])
        try cluster.awaitInstances(instances)
        let vip = try cluster.vip("web")
        for node in cluster.nodes {
            for (name, wanted) in [("web.local", vip), ("tasks.web", instances[0].address)] {
                let answer = try cluster.ask("/usr/bin/dig", "@\(node.address)", name, "+short", "+time=5")
                try demandEqual(answer, wanted, "\(name) from \(node.name)")
            }
        }
        // The load checks who answers, and that HTTP and TCP instances see its address.
        let kinds: [MeshLoad.Kind] = [.http, .post, .fresh, .hosted, .session, .published, .udp, .publishedUDP]
        let load = try MeshLoad(cluster, kinds: kinds)
        try load.awaitGood()
        let streams = try load.stop()
        try streams.demandNoLoss()
        try demandEqual(streams.count, 3 * kinds.count, "streams")
        for stream in streams { try demandEqual(Set(stream.instances.keys), ["i1-11"], "\(stream.name) met") }
    }

    @Test func announcedInstancesComeAndGoEverywhere() throws {
        let cluster = try MeshCluster.started()
        try cluster.putServices()
        try cluster.awaitInstances(try cluster.putInstances(on: [1]))
        let other = try cluster.node(2).instance(12)
        try other.waitReady()
        let load = try MeshLoad(cluster, kinds: [.http, .fresh])
        let announcer = try cluster.node(2).announce(
            ["web", other.address, "--id", other.name, "--registry", try cluster.etcd.registry], "web")
        try load.awaitGood { $0.instances[other.name] ?? 0 > 20 }
        for node in cluster.nodes {
            try eventually("\(node.name) picks both") { try node.healthy("web") == ["i1-11", "i2-12"] }
        }
        try eventually("every stream meets both") {
            try load.streams().allSatisfy { $0.instances.count == 2 }
        }
        announcer.signal(SIGTERM)
        try demandEqual(try announcer.waitExit(), 0, "exit of announce: \(announcer.errors)")
        for node in cluster.nodes {
            try eventually("\(node.name) forgets it") { try node.healthy("web") == ["i1-11"] }
        }
        try load.awaitGood()
        try load.stop().demandNoLoss()
    }

    /// Programs on the nodes are clients, too.
    @Test func programsOnTheNodesReachTheVIP() throws {
        let cluster = try MeshCluster.started()
        try cluster.putServices()
        try cluster.awaitInstances(try cluster.putInstances(on: [3]))
        let vip = try cluster.vip("web")
        for node in cluster.nodes {
            let answer = try node.network.run("curl -s -m 10 http://\(vip)/")
            try demand(answer.hasPrefix("i3-11 "), "\(node.name) got \(answer)")
        }
    }

    /// The routes of the range end with the nodes, and no process or namespace is left.
    @Test func nothingIsLeftOnTheNodes() throws {
        let cluster = try MeshCluster.started()
        for node in cluster.nodes {
            try demand(try node.network.run("ip route show table local").contains(MeshCluster.vipRange), node.name)
            try node.stopMesh()
            let routes = try node.network.run("ip route show table local")
            try demand(!routes.contains(MeshCluster.vipRange), "\(node.name) after the end: \(routes)")
        }
    }
}
