import Glibc
import Testing

/// A part dies under load: what did not touch it loses nothing.
@Suite(.serialized, .enabled(if: NetworkNamespace.isAllowed, "needs the right to make network namespaces"))
struct MeshFailureTests {
    /// The three services with an instance on each node, and load on all of it.
    private func withLoad(
        _ body: (_ cluster: MeshCluster, _ load: MeshLoad, _ instances: [MeshInstance]) throws -> Void
    ) throws {
        let cluster = try MeshCluster.started()
        try cluster.explained {
            try cluster.putServices()
            let instances = try cluster.putInstances(on: [1, 2, 3])
            try cluster.awaitInstances(instances)
            let load = try MeshLoad(cluster)
            try body(cluster, load, instances)
        }
    }

    @Test func anInstanceIsKilled() throws {
        try withLoad { _, load, instances in
            let dead = instances[1]
            try load.awaitGood()
            let before = try load.streams()
            let moment = monotonicSeconds()
            try dead.kill()
            try load.awaitGood(100)
            let streams = try load.stop()
            try streams.filter { $0.kind?.isRepeated == true }.demandNoLoss()
            let touched = Set(before.filter { $0.instances[dead.name] != nil }.map(\.name))
            try streams.filter { !touched.contains($0.name) }.demandNoLoss()
            try streams.filter { $0.kind?.isTCP == true }.demandOnlyOpen(at: moment)
            // The datagram that finds the port closed is lost besides the one in flight.
            for stream in streams where stream.kind == .udp {
                try demand(stream.failures.count <= 2, "\(stream.name) lost \(stream.failures)")
            }
        }
    }

    @Test func aMeshdIsKilledAndRestarted() throws {
        try withLoad { cluster, load, instances in
            let node = cluster.node(2)
            for isWithoutEtcd in [false, true] {
                if isWithoutEtcd { for member in try cluster.etcd.members { try member.kill() } }
                let moment = monotonicSeconds()
                try node.killMesh()
                try load.awaitGood { $0.node != 2 }
                try node.startMesh(try cluster.etcd.registry)
                try node.waitReady()
                let back = monotonicSeconds()
                try load.awaitGood()
                try demandEqual(try node.metric("meshd_registry_from_disk"), isWithoutEtcd ? 1 : 0, "from disk")
                let streams = try load.streams()
                try streams.filter { $0.node != 2 }.demandNoLoss()
                for stream in streams where stream.node == 2 && stream.kind != .udp {
                    // A connection that died between two requests shows at the next one.
                    let late = stream.failures.filter { $0.opened > back || $0.ended < moment && !isWithoutEtcd }
                    try demand(late.isEmpty, "\(stream.name) lost \(late) outside \(moment) to \(back)")
                }
            }
            for member in try cluster.etcd.members { try cluster.etcd.start(member) }
            try cluster.etcd.waitHealthy()
            try eventually("etcd is in force again") { try node.metric("meshd_registry_from_disk") == 0 }
            try cluster.awaitInstances(instances + (try cluster.putInstances(on: [2], 12)))
            try load.stop().filter { $0.node != 2 }.demandNoLoss()
        }
    }

    @Test func etcdIsKilledPausedAndCompacted() throws {
        try withLoad { cluster, load, instances in
            let etcd = try cluster.etcd
            for member in etcd.members { try member.kill() }
            for node in cluster.nodes {
                try eventually("\(node.name) notices") { try node.metric("meshd_registry_last_read_failed") == 1 }
            }
            try load.awaitGood()
            for member in etcd.members { try etcd.start(member) }
            try etcd.waitHealthy()
            var all = instances + (try cluster.putInstances(on: [1], 12))
            try cluster.awaitInstances(all)

            for member in etcd.members { member.pause() }
            for node in cluster.nodes {
                try eventually("\(node.name) notices") { try node.metric("meshd_registry_last_read_failed") == 1 }
            }
            try load.awaitGood()
            for member in etcd.members { member.resume() }
            try etcd.waitHealthy()
            all += try cluster.putInstances(on: [2], 12)
            try cluster.awaitInstances(all)

            for _ in 0..<5 {
                for node in 1...3 {
                    try etcd.put("instances/web/i\(node)-11", "{\"address\": \"172.18.\(node).11\"}")
                }
                try etcd.compact()
            }
            all += try cluster.putInstances(on: [3], 12)
            try cluster.awaitInstances(all)
            try load.awaitGood()
            try load.stop().demandNoLoss()
        }
    }

    /// The cable is pulled out: nobody says a word, also no reset. While it is out etcd forgets what happened.
    @Test func aNodeIsCutOffAndComesBack() throws {
        let cluster = try MeshCluster.started()
        try cluster.explained {
            try cluster.putServices()
            let instances = try [1, 2, 3].map { try cluster.node($0).instance(11) }
            for (node, instance) in zip(cluster.nodes, instances) {
                try instance.waitReady()
                for service in MeshCluster.services {
                    let words = [
                        service, instance.address, "--id", instance.name, "--ttl", "3s", "--registry",
                        try cluster.etcd.registry,
                    ]
                    try node.announce(words, service)
                }
            }
            try cluster.awaitInstances(instances)
            let load = try MeshLoad(cluster)
            try load.awaitGood()
            let before = try load.streams()
            let moment = monotonicSeconds()
            try cluster.cutOff(cluster.node(2))
            try cluster.awaitInstances([instances[0], instances[2]], on: [cluster.node(1), cluster.node(3)])
            try load.awaitGood(within: 60) { $0.node != 2 }
            // What happens meanwhile is not there to be watched afterwards.
            let added = try cluster.putInstances(on: [3], 12)
            try cluster.etcd.compact()
            try cluster.plugIn(cluster.node(2))
            try cluster.awaitInstances(instances + added)
            try load.awaitGood(within: 60)
            let streams = try load.stop().filter { $0.node != 2 }
            let touched = Set(before.filter { $0.instances["i2-11"] != nil }.map(\.name))
            try streams.filter { !touched.contains($0.name) }.demandNoLoss()
            try streams.filter { $0.kind?.isRepeated == true }.demandOnlyInFlight(at: moment)
            try streams.filter { $0.kind?.isTCP == true }.demandOnlyOpen(at: moment)
            let noticed = try [1, 3].map { try cluster.node($0).metric("meshd_upstream_unanswered_total") }
            try demand(noticed.reduce(0, +) > 0, "requests on connections to the lost instance went elsewhere")
        }
    }
}
