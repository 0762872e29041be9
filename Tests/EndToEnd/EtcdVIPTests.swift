import Testing

/// Nodes agree on VIPs through etcd.
@Suite struct EtcdVIPTests {
    private func mesh(_ etcd: EtcdCluster, octet: Int?, state: String? = nil) throws -> MeshProcess {
        var options = MeshProcess.Options()
        options.registries = [etcd.registry]
        options.vipOctet = octet
        options.stateDirectory = state
        return try .started(text: "", options)
    }

    private func vips(_ mesh: MeshProcess) throws -> [String: String] {
        var found: [String: String] = [:]
        for service in try mesh.status()["services"]?.children ?? [] {
            if let name = service["name"]?.text, let vip = service["vip"]?.text { found[name] = vip }
        }
        return found
    }

    @Test func everyNodeHasTheSameAndAServiceKeepsItsOwn() throws {
        let etcd = try EtcdCluster()
        let one = try mesh(etcd, octet: nil)
        // On the same machine it cannot listen there as well, which is not what this is about.
        let two = try mesh(etcd, octet: one.vipOctet)
        let other = try mesh(etcd, octet: nil)
        for name in 0..<12 { try etcd.putService("s\(name)", "s\(name).example") }
        var agreed: [String: String] = [:]
        try eventually("all have a VIP: \(one.tail)") {
            agreed = try vips(one)
            return agreed.count == 12
        }
        try demandEqual(Set(agreed.values).count, 12, "different addresses")
        try eventually("the same on all nodes") { try vips(two) == agreed && vips(other) == agreed }
        // Gone and back, on a node that was not there, with another range and no state.
        try etcd.delete("services/s3")
        try eventually("s3 is gone") { try vips(one)["s3"] == nil }
        try etcd.putService("s3", "s3.example")
        let late = try mesh(etcd, octet: nil)
        try eventually("s3 has its own again") { try vips(one) == agreed && vips(late) == agreed }
        let claimed = try [one, two, other].map { try $0.metric("meshd_etcd_vips_claimed_total") ?? 0 }
        try demandEqual(claimed.reduce(0, +), 12, "claims")
    }

    @Test func aDemandedAddressIsClaimedAndMovedAndNeverShared() throws {
        let etcd = try EtcdCluster()
        let mesh = try mesh(etcd, octet: nil)
        func demand(_ name: String, _ host: Int) throws {
            try etcd.put(
                "services/\(name)", #"{"labels": {"mesh.vip": "127.\#(mesh.vipOctet).7.\#(host)"}, "expose": [7000]}"#)
        }
        try demand("a", 1)
        try eventually("a has it") { try vips(mesh)["a"] == "127.\(mesh.vipOctet).7.1" }
        try demand("b", 1)
        try eventually("b is told") { try mesh.statusText().contains("service b: no virtual IP") }
        try demand("a", 2)
        try eventually("both have theirs") {
            try vips(mesh) == ["a": "127.\(mesh.vipOctet).7.2", "b": "127.\(mesh.vipOctet).7.1"]
        }
        let keys = try etcd.ctl("get", "--prefix", "--keys-only", "/mesh/vips/").split(separator: "\n")
        try demandEqual(keys.count, 4, "keys: \(keys)")
    }
}
