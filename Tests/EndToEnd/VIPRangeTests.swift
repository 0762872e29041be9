import Glibc
import Testing

/// The local route of a VIP range that is not loopback's, in network namespaces that the test makes.
@Suite(.enabled(if: NetworkNamespace.isAllowed, "needs the right to make network namespaces"))
struct VIPRangeTests {
    /// A node with an instance in a namespace of its own, and a client in another that reaches the node by a cable.
    private final class Bench {
        let directory: TemporaryDirectory
        let node: NetworkNamespace
        let client: NetworkNamespace
        let range: String
        private var instance: ChildProcess

        init(_ range: String, node address: String, client other: String) throws {
            directory = try TemporaryDirectory()
            self.range = range
            node = try NetworkNamespace("node", in: directory)
            client = try NetworkNamespace("client", in: directory)
            try node.connect(to: client, address, other)
            let hop = address.split(separator: "/")[0]
            let family = range.contains(":") ? "-6" : "-4"
            try client.run("ip \(family) route add \(range) via \(hop)")
            instance = try node.start(
                ["/usr/bin/python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "9001"], "instance")
            _ = try instance.firstLine()
        }

        func options(_ more: [String] = []) -> MeshProcess.Options {
            var options = MeshProcess.Options(more)
            options.vipRange = range
            options.isAdminUnix = true
            options.wrapper = node.wrapper
            return options
        }

        var catalogue: Catalogue {
            Catalogue([
                Catalogue.Service(
                    name: "web", labels: [("aliyun.routing.port_80", "web.example")], instances: ["127.0.0.1:9001"])
            ])
        }

        var routes: [Substring] {
            get throws {
                let family = range.contains(":") ? "-6" : "-4"
                return try node.run("ip \(family) route show table local type local").split(separator: "\n")
                    .filter { $0.contains(range) }
            }
        }

        func get(_ vip: String) throws -> String {
            let host = vip.contains(":") ? "[\(vip)]" : vip
            return try client.run("curl -s -m 10 -o /dev/null -w '%{http_code}' http://\(host)/")
        }
    }

    @Test(arguments: [
        ("10.96.0.0/16", "192.0.2.1/24", "192.0.2.2/24"), ("fd00:96::/112", "fd00:1::1/64", "fd00:1::2/64"),
    ])
    func aClientElsewhereReachesTheVIP(range: String, node: String, client: String) throws {
        let bench = try Bench(range, node: node, client: client)
        try withMesh(bench.catalogue, bench.options()) { mesh in
            try demandEqual(try bench.get(try mesh.vip("web")), "200", "answer through the VIP")
            try demandEqual(try bench.routes.count, 1, "routes of the range: \(try bench.routes)")
            try demandEqual(try mesh.status()["problems"]?.children.count, 0, "problems")
            mesh.child.signal(SIGTERM)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
            try demandEqual(try bench.routes, [], "routes after the end")
        }
    }

    @Test func aRouteThatAKilledRunLeftIsTakenOver() throws {
        let bench = try Bench("10.96.0.0/16", node: "192.0.2.1/24", client: "192.0.2.2/24")
        try withMesh(bench.catalogue, bench.options()) { mesh in
            mesh.child.signal(SIGKILL)
            _ = try mesh.child.waitExit()
        }
        try demandEqual(try bench.routes.count, 1, "routes after SIGKILL")
        try withMesh(bench.catalogue, bench.options()) { mesh in
            try demandEqual(try bench.get(try mesh.vip("web")), "200", "answer through the VIP")
            mesh.child.signal(SIGTERM)
            _ = try mesh.child.waitExit()
        }
        try demandEqual(try bench.routes, [], "routes after the end")
    }

    @Test func aRouteOfTheOperatorStays() throws {
        let bench = try Bench("10.96.0.0/16", node: "192.0.2.1/24", client: "192.0.2.2/24")
        try bench.node.run("ip route add local 10.96.0.0/16 dev lo")
        var options = bench.options()
        // With the route there, the right to add it is not needed.
        options.wrapper += Self.withoutNetAdmin
        try withMesh(bench.catalogue, options) { mesh in
            try demandEqual(try bench.get(try mesh.vip("web")), "200", "answer through the VIP")
            mesh.child.signal(SIGTERM)
            _ = try mesh.child.waitExit()
        }
        try demandEqual(try bench.routes.count, 1, "routes after the end")
    }

    private static let withoutNetAdmin = [
        "/usr/bin/setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin",
    ]

    @Test func withoutTheRightTheErrorSaysWhatToDo() throws {
        let bench = try Bench("10.96.0.0/16", node: "192.0.2.1/24", client: "192.0.2.2/24")
        var options = bench.options()
        options.wrapper += Self.withoutNetAdmin
        let mesh = try MeshProcess(text: bench.catalogue.text, options)
        try demandEqual(try mesh.child.waitExit(), 1, "exit status")
        try demand(mesh.log.contains("--vip-range 10.96.0.0/16: cannot add the local route"), mesh.log)
        try demand(mesh.log.contains("CAP_NET_ADMIN"), mesh.log)
        try demand(mesh.log.contains("ip route add local 10.96.0.0/16 dev lo"), mesh.log)
    }

    /// Of IPv4 the kernel takes such a route all the same.
    @Test func withoutALoopbackInterfaceThatIsUpTheErrorSaysSo() throws {
        let bench = try Bench("fd00:96::/112", node: "fd00:1::1/64", client: "fd00:1::2/64")
        try bench.node.run("ip link set lo down")
        let mesh = try MeshProcess(text: bench.catalogue.text, bench.options())
        try demandEqual(try mesh.child.waitExit(), 1, "exit status")
        try demand(mesh.log.contains("ip link set lo up"), mesh.log)
    }
}
