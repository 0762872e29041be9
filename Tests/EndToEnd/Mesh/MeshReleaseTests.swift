import Glibc
import Testing

/// The drain barrier on three nodes.
@Suite(.serialized, .enabled(if: NetworkNamespace.isAllowed, "needs the right to make network namespaces"))
struct MeshReleaseTests {
    /// Many instances in one process of a node, all at 172.18.N.x.
    private final class Farm {
        let node: MeshNode
        private let child: ChildProcess
        private let socket: String
        private var calls = 0

        init(_ node: MeshNode) throws {
            self.node = node
            socket = "\(node.files)/farm.sock"
            // Every address of the node's range is its own, without naming each.
            try node.network.run("ip route add local 172.18.\(node.number).0/24 dev lo")
            child = try node.network.start(
                ["/usr/bin/python3", PythonProgram.path("mesh_farm.py"), socket], "farm")
            try demandEqual(try child.firstLine(), "ready", "the farm")
        }

        private func tell(_ path: String) throws -> String {
            calls += 1
            let words = ["-sf", "--unix-socket", socket, "http://farm/\(path)"]
            let curl = try ChildProcess("/usr/bin/curl", words, files: "\(node.files)/farm-\(calls)")
            try demandEqual(try curl.waitExit(), 0, "\(path): \(child.errors)")
            return curl.output
        }

        func start(_ name: String, _ place: Int) throws -> String {
            let address = "172.18.\(node.number).\(place)"
            _ = try tell("start/\(name)/\(address)")
            return address
        }

        /// Requests that the end of the instance broke.
        func stop(_ name: String) throws -> String { try tell("stop/\(name)") }
    }

    private static let count = 100

    /// Every request is in flight for 20 ms and may not be repeated: an instance that is stopped too early breaks one.
    @Test func aHundredInstancesAreReplacedOneByOne() throws {
        let cluster = try MeshCluster.started()
        try cluster.explained {
            try cluster.etcd.put(
                "services/web",
                #"{"labels": {"aliyun.routing.port_80": "web.company.com", "mesh.publish.8080.protocol": "http"},"#
                    + #" "ports": ["8080:80", "8081:80"]}"#)
            let farms = try cluster.nodes.map { try Farm($0) }
            for number in 0..<Self.count { try add("old-\(number)", number, farms, cluster) }
            for node in cluster.nodes {
                try eventually("\(node.name) knows all") { try node.healthy("web").count == Self.count }
            }
            let load = try MeshLoad(cluster, kinds: [.post, .relayed, .fresh])
            try load.awaitGood()
            for number in 0..<Self.count {
                try add("new-\(number)", number, farms, cluster)
                // Any node may be asked.
                let node = cluster.nodes[number % 3]
                let result = try node.run([
                    "drain", "web/old-\(number)", "--wait", "--timeout", "30s", "--admin", node.admin,
                ])
                try demandEqual(result.status, 0, "exit of drain: \(result.output)\(result.errors)")
                try demandEqual(try farms[number % 3].stop("old-\(number)"), "0", "requests under way in old-\(number)")
                try cluster.etcd.delete("instances/web/old-\(number)")
            }
            try load.awaitGood()
            try load.stop().demandNoLoss()
        }
    }

    private func add(_ name: String, _ number: Int, _ farms: [Farm], _ cluster: MeshCluster) throws {
        let farm = farms[number % farms.count]
        let address = try farm.start(name, (name.hasPrefix("old") ? 20 : 120) + number / farms.count)
        try cluster.etcd.put("instances/web/\(name)", #"{"address": "\#(address)", "node": "\#(farm.node.name)"}"#)
    }
}
