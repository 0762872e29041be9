import Glibc
import Testing

/// Nodes agree through etcd on the numbers of published ports that ask for none.
@Suite struct EtcdPortTests {
    private func node(_ etcd: EtcdCluster, _ number: Int) throws -> MeshProcess {
        var options = MeshProcess.Options()
        options.registries = [etcd.registry]
        options.node = "n\(number)"
        // All nodes are on one machine: each has an address of its own for what it publishes.
        options.publishAddress = "127.0.0.\(10 + number)"
        return try .started(text: "", options)
    }

    private func put(_ etcd: EtcdCluster, _ name: String, _ port: String) throws {
        try etcd.put("services/\(name)", #"{"ports": ["\#(port)"]}"#)
    }

    /// The number that a service's published port has on a node, and how it stands there.
    private func port(_ mesh: MeshProcess, _ service: String) throws -> (number: Int, state: String, cause: String)? {
        let found = try mesh.status().object(named: service, having: "publishedPorts")?["publishedPorts"]?.children
            .first
        guard let found, case .number(let number)? = found["port"] else { return nil }
        return (Int(number), found["state"]?.text ?? "", found["cause"]?.text ?? "")
    }

    private func number(_ mesh: MeshProcess, _ service: String) throws -> Int {
        try awaited("\(service) is published\n\(mesh.tail)") {
            let port = try port(mesh, service)
            return port?.state == "open" ? port?.number : nil
        }
    }

    @Test func everyNodeHasTheSameAndItStays() throws {
        let etcd = try EtcdCluster()
        let nodes = try (1...3).map { try node(etcd, $0) }
        let shop = try HTTPInstance("shop")
        for name in ["shop", "b", "c", "d"] { try put(etcd, name, "8080") }
        try etcd.putInstance("shop", "one", shop)
        let agreed = try ["shop", "b", "c", "d"].map { try number(nodes[0], $0) }
        try demandEqual(Set(agreed).count, 4, "different numbers: \(agreed)")
        try demand(agreed.allSatisfy { (30_000...32_767).contains($0) }, "\(agreed)")
        for (index, mesh) in nodes.enumerated() {
            let same = try ["shop", "b", "c", "d"].map { try number(mesh, $0) }
            try demandEqual(same, agreed, "numbers of node \(index + 1)")
            let port = UInt16(agreed[0])
            try eventually("shop answers on node \(index + 1)") {
                (try? HTTPTestClient.once(port, "127.0.0.\(11 + index)", "GET", "/", host: "x"))?.text == "shop"
            }
            try demand(try mesh.statusText().contains("\(port)->8080/tcp (dynamic)"), "status shows it")
        }
        let claimed = try nodes.map { try $0.metric("meshd_etcd_ports_claimed_total") ?? 0 }.reduce(0, +)
        try demandEqual(claimed, 4, "claims")
        // Gone and back, and on a node that was not there and has no state.
        try etcd.delete("services/b")
        try eventually("b is gone") { try port(nodes[2], "b") == nil }
        try put(etcd, "b", "8080")
        try demandEqual(try number(nodes[2], "b"), agreed[1], "b has its own again")
        let late = try node(etcd, 4)
        try demandEqual(try number(late, "b"), agreed[1], "on another node")
    }

    @Test func clashesAreNamed() throws {
        let etcd = try EtcdCluster()
        let mesh = try node(etcd, 5)
        try put(etcd, "shop", "8080")
        let chosen = try number(mesh, "shop")
        try put(etcd, "late", "\(chosen):8080")
        try eventually("the one that came later is told") {
            try port(mesh, "late")?.cause.contains("service shop, published port \(chosen)") == true
        }
        try demandEqual(try number(mesh, "shop"), chosen, "the other keeps it")
        // A number that a service asks for by name is never claimed for another.
        try etcd.delete("services/late")
        try etcd.delete("services/shop")
        try etcd.ctl("del", "--prefix", "/mesh/ports/")
        try put(etcd, "named", "\(chosen):8080")
        _ = try number(mesh, "named")
        try put(etcd, "shop", "8080")
        try demand(try number(mesh, "shop") != chosen, "another number than \(chosen)")
    }

    @Test func whatIsWrittenByHandIsTaken() throws {
        let etcd = try EtcdCluster()
        let mesh = try node(etcd, 6)
        try etcd.put("ports/services/shop/8080/tcp", "31234")
        try etcd.put("ports/numbers/tcp/31234", "shop/8080/tcp")
        try put(etcd, "shop", "8080")
        try demandEqual(try number(mesh, "shop"), 31_234, "the operator's number")
        try etcd.put("ports/services/shop/8080/tcp", "eighty")
        try eventually("it is malformed") { try mesh.metric("meshd_etcd_malformed_entries") == 1 }
        try demandEqual(try number(mesh, "shop"), 31_234, "what was known stays")
    }
}
