import Glibc

/// Three nodes and a client, each a network namespace with a cable to a switch in a fifth. Nothing leads out of them,
/// and they are gone with their owner.
///
/// Node N is 192.0.2.1N; instances on it are 172.18.N.x, reached from every other node by a route. etcd has a member on
/// each node. The client is 192.0.2.101 to .103; from .10N it reaches the VIPs through node N.
final class MeshCluster {
    static let vipRange = "10.96.0.0/16"

    let directory: TemporaryDirectory
    let nodes: [MeshNode]
    let client: NetworkNamespace
    private let bridge: NetworkNamespace
    private var etcdOfNodes: EtcdCluster?

    init(etcd isWithEtcd: Bool = true) throws {
        let directory = try TemporaryDirectory()
        self.directory = directory
        bridge = try NetworkNamespace("bridge", in: directory)
        client = try NetworkNamespace("client", in: directory)
        nodes = try [1, 2, 3].map { try MeshNode($0, directory) }
        try bridge.run("ip link add bridge type bridge && ip link set bridge up")
        for node in nodes { try lay(node) }
        try plug(client, "client", (1...3).map { "192.0.2.10\($0)/24" })
        let paths = nodes.map { node in
            "ip rule add from 192.0.2.10\(node.number) table 10\(node.number)"
                + " && ip route add 192.0.2.0/24 dev cable table 10\(node.number)"
                + " && ip route add \(Self.vipRange) via \(node.address) table 10\(node.number)"
        }
        try client.run(paths.joined(separator: " && "))
        if isWithEtcd {
            let places = nodes.map { EtcdCluster.Place(address: $0.address, wrapper: $0.network.wrapper) }
            etcdOfNodes = try EtcdCluster(places: places)
        }
    }

    /// etcd, and a ready meshd on every node.
    static func started(_ flags: [String] = []) throws -> MeshCluster {
        let cluster = try MeshCluster()
        for node in cluster.nodes { try node.startMesh(cluster.etcd.registry, flags) }
        for node in cluster.nodes { try node.waitReady() }
        return cluster
    }

    var etcd: EtcdCluster {
        get throws {
            guard let etcdOfNodes else { throw Failure("a cluster without etcd") }
            return etcdOfNodes
        }
    }

    func node(_ number: Int) -> MeshNode { nodes[number - 1] }

    private func plug(_ network: NetworkNamespace, _ name: String, _ addresses: [String]) throws {
        try network.run(
            "ip link add cable type veth peer name \(name) netns /proc/\(bridge.pid)/ns/net && ip link set cable up && "
                + addresses.map { "ip addr add \($0) dev cable" }.joined(separator: " && "))
        try bridge.run("ip link set \(name) master bridge up")
    }

    private func lay(_ node: MeshNode) throws {
        try plug(node.network, node.name, ["\(node.address)/24"])
        let others = (1...3).filter { $0 != node.number }
        let routes = others.map { "ip route add 172.18.\($0).0/24 via 192.0.2.1\($0)" }
        try node.network.run((["sysctl -qw net.ipv4.ip_forward=1"] + routes).joined(separator: " && "))
    }

    /// Pulls the node's cable out of the switch.
    func cutOff(_ node: MeshNode) throws { try bridge.run("ip link set \(node.name) down") }

    func plugIn(_ node: MeshNode) throws { try bridge.run("ip link set \(node.name) up") }

    /// Runs `body`; what it throws becomes a failure with every node's log beside it.
    func explained(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            throw Failure("\(error)\n" + nodes.map(\.tail).joined(separator: "\n"))
        }
    }

    // MARK: - Services that all tests use

    /// `web` for web.company.com, `line` (TCP, PROXY v2) and `datagram`, with published ports 8080, 7070 and 5353.
    func putServices() throws {
        try etcd.put(
            "services/web",
            #"{"labels": {"aliyun.routing.port_80": "web.company.com;web.local","#
                + #" "mesh.publish.8080.protocol": "http"}, "ports": ["8080:80"]}"#)
        try etcd.put("services/line", #"{"labels": {"mesh.proxy_protocol": "v2"}, "ports": ["7070:7000"]}"#)
        try etcd.put("services/datagram", #"{"ports": ["5353:5300/udp"]}"#)
    }

    static let services = ["web", "line", "datagram"]

    /// Starts an instance of all three services on each of these nodes and announces them for ever.
    @discardableResult
    func putInstances(on numbers: [Int], _ place: Int = 11) throws -> [MeshInstance] {
        let instances = try numbers.map { try node($0).instance(place) }
        for instance in instances {
            try instance.waitReady()
            for service in Self.services {
                try etcd.put(
                    "instances/\(service)/\(instance.name)",
                    #"{"address": "\#(instance.address)", "node": "\#(instance.node)"}"#)
            }
        }
        return instances
    }

    /// All of `nodes`, or every one, route to exactly these instances, for all three services.
    func awaitInstances(_ instances: [MeshInstance], on nodes: [MeshNode]? = nil) throws {
        let wanted = Set(instances.map(\.name))
        for node in nodes ?? self.nodes {
            var found: [Set<String>] = []
            try eventually("\(node.name) picks among \(wanted) only, not \(found)") {
                found = try Self.services.map { try node.healthy($0) }
                return found.allSatisfy { $0 == wanted }
            }
        }
    }

    /// Every node knows the VIP that all agree on.
    func vip(_ service: String) throws -> String {
        let all = try nodes.map { try $0.vip(service) }
        try demandEqual(Set(all).count, 1, "VIPs of \(service) on the nodes: \(all)")
        return all[0]
    }

    private var serial = 0

    /// Runs a command as the client would and returns what it said.
    func ask(_ words: String...) throws -> String {
        serial += 1
        let child = try client.start(words, "ask-\(serial)")
        let status = try child.waitExit(within: 30)
        guard status == 0 else { throw Failure("\(words) ended with \(status): \(child.output)\(child.errors)") }
        return child.output.split(separator: "\n").joined(separator: "\n")
    }
}
