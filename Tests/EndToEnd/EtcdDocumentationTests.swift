import Testing

/// The lines of docs/etcd.md do what the page says, typed as they stand.
@Suite struct EtcdDocumentationTests {
    private static let page: String = {
        let here = #filePath
        return TextFile.read(
            String(here.dropLast("Tests/EndToEnd/EtcdDocumentationTests.swift".count)) + "docs/etcd.md")
    }()

    /// The blocks of code that begin with `etcdctl`.
    private static var blocks: [String] {
        page.split(separator: "```\n").map(String.init).filter { $0.hasPrefix("etcdctl ") }
    }

    private func shell(_ etcd: EtcdCluster, _ text: String, _ number: Int) throws -> String {
        let script = "export \(EtcdPrograms.path) ETCDCTL_API=3 ETCDCTL_ENDPOINTS=\(etcd.endpoints)\n\(text)"
        let child = try ChildProcess("/bin/sh", ["-c", script], files: "\(etcd.directory.path)/sh-\(number)")
        try demandEqual(try child.waitExit(), 0, "\(text): \(child.errors)")
        return child.output
    }

    @Test func whatIsTypedIsServed() throws {
        let etcd = try EtcdCluster()
        let mesh = try MeshProcess.watching(etcd.registry)
        let blocks = Self.blocks
        try demandEqual(blocks.count, 2, "blocks of commands")
        let lines = blocks[0].split(separator: "\n").map(String.init)
        try demandEqual(lines.count, 5, "lines by hand")
        let expected = [nil, "healthy", "draining", "healthy", nil]
        for (number, line) in lines.enumerated() {
            _ = try shell(etcd, line, number)
            try eventually("after \(line): \(expected[number] ?? "no instance")\n\(mesh.tail)") {
                let status = try mesh.status()
                let known = status["services"]?.children.contains { $0["name"]?.text == "shop" } == true
                return known
                    && status["services"]?.children.first?["instances"]?.children.first?["state"]?.text
                        == expected[number]
            }
        }
        // Under a lease, whose number stands for LEASE.
        let leased = blocks[1].split(separator: "\n").map(String.init)
        let words = try shell(etcd, leased[0], 10).split(separator: " ")
        try demand(words.count > 1, "lease grant said \(words)")
        _ = try shell(etcd, leased[1].replacing("LEASE", with: words[1]), 11)
        try eventually("two is there, with its zone") {
            let status = try mesh.status()
            return status["services"]?.children.first?["instances"]?.children.first?["zone"]?.text == "b"
        }
        // The VIP of a service that will not come back.
        try eventually("a VIP is kept") {
            try !etcd.ctl("get", "--prefix", "--keys-only", "/mesh/vips/").isEmpty
        }
        try etcd.delete("services/shop")
        try etcd.delete("instances/shop/two")
        let release = Self.page.split(separator: "\n").filter { $0.hasPrefix("meshd release ") }
        try demandEqual(release.count, 2, "lines of release")
        for (number, line) in release.enumerated() {
            let typed = line.replacing("HOST:2379", with: etcd.endpoints).replacing("SERVICE", with: "shop")
            let said = try shell(etcd, "\(Binary.path)\(typed.dropFirst("meshd".count))", 12 + number)
            try demand(said.hasPrefix("shop"), "\(typed) said \(said)")
        }
        try demandEqual(try etcd.ctl("get", "--prefix", "--keys-only", "/mesh/vips/"), "", "keys left")
        try demandEqual(try mesh.metric("meshd_etcd_malformed_entries"), 0, "malformed")
    }
}
