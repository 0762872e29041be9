import Testing

/// `meshd release`: what etcd keeps for a service goes when an operator says that it will not come back.
@Suite struct EtcdReleaseTests {
    private func release(_ etcd: EtcdCluster, _ arguments: String..., registry: String? = nil) throws -> CommandResult {
        try CommandResult.run(
            ["release"] + arguments + ["--registry", registry ?? etcd.registry],
            files: "\(etcd.directory.path)/release")
    }

    private func kept(_ etcd: EtcdCluster) throws -> Int {
        try ["vips", "ports"].map { try etcd.ctl("get", "--prefix", "--keys-only", "/mesh/\($0)/") }
            .joined().split(separator: "\n").count
    }

    @Test func aServiceThatIsThereKeepsItsOwn() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        try etcd.put("services/shop", #"{"ports": ["8080", "127.0.0.1::8081"]}"#)
        try etcd.putInstance("shop", "one", one)
        let mesh = try MeshProcess.watching(etcd.registry)
        try eventually("an address and two numbers are claimed\n\(mesh.tail)") { try kept(etcd) == 6 }
        var result = try release(etcd, "shop")
        try demandEqual(result.status, 1, "exit status: \(result.errors)")
        try demand(result.errors.contains("'shop' keeps its own: the registry has a definition"), result.errors)
        try demandEqual(try release(etcd, "--list").output, "", "what could be released")
        try etcd.delete("services/shop")
        result = try release(etcd, "shop")
        try demand(result.status == 1 && result.errors.contains("instances of it: 1"), result.errors)
        try demandEqual(try kept(etcd), 6, "keys")
    }

    @Test func whatIsReleasedIsFreeForOthers() throws {
        let etcd = try EtcdCluster()
        let mesh = try MeshProcess.watching(etcd.registry)
        try etcd.put("services/old", #"{"ports": ["8080"]}"#)
        try eventually("an address and a number are claimed\n\(mesh.tail)") { try kept(etcd) == 4 }
        let address = try mesh.vip("old")
        try etcd.put("services/new", #"{"labels": {"mesh.vip": "\#(address)"}, "expose": [7000]}"#)
        try eventually("it is another's") { try mesh.statusText().contains("service new: no virtual IP") }
        // Gone, it keeps what it had: it may only be redeployed.
        try etcd.delete("services/old")
        try eventually("it is gone") {
            try mesh.status()["services"]?.children.allSatisfy { $0["name"]?.text != "old" } == true
        }
        try demandEqual(try kept(etcd), 4, "keys while it is gone")
        let list = try release(etcd, "--list")
        try demand(list.output.hasPrefix("old  \(address)  3") && list.output.hasSuffix("->8080/tcp\n"), list.output)
        let result = try release(etcd, "old")
        try demandEqual(result.status, 0, "exit status: \(result.errors)")
        try demand(result.output.hasPrefix("old: released \(address)\nold: released 3"), result.output)
        try eventually("who waited for it has it\n\(mesh.tail)") { (try? mesh.vip("new")) == address }
        try demandEqual(try kept(etcd), 2, "keys")
        try demandEqual(try release(etcd, "old").status, 2, "exit status where nothing is kept")
        // One that comes back is like a new one.
        try etcd.put("services/old", #"{"ports": ["8080"]}"#)
        try eventually("it has claimed again\n\(mesh.tail)") { try kept(etcd) == 6 }
        try demand(try mesh.vip("old") != address, "another address")
    }

    @Test func badArgumentsAreRefused() throws {
        let etcd = try EtcdCluster()
        for arguments in [["a", "b"], [], ["--list", "a"], ["--all"]] {
            let result = try CommandResult.run(
                ["release"] + arguments + ["--registry", etcd.registry], files: "\(etcd.directory.path)/bad")
            try demandEqual(result.status, 2, "exit status of \(arguments): \(result.errors)")
        }
        try demandEqual(try release(etcd, "a", registry: "file:x").status, 2, "exit status of a file")
        try demandEqual(try release(etcd, "a/b").status, 2, "exit status of no name")
        // A member that is away is passed over.
        let port = FreePort.take()
        let both = "etcd://127.0.0.1:\(port),\(etcd.endpoints)/mesh"
        for _ in 0..<4 { try demandEqual(try release(etcd, "a", registry: both).status, 2, "nothing is kept") }
        try demandEqual(
            try release(etcd, "a", registry: "etcd://127.0.0.1:\(port)/mesh").status, 1, "exit status without etcd")
    }
}
