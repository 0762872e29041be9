import Glibc
import Testing

/// An etcd that comes back without its data, and one that is compacted and stopped again and again.
@Suite struct EtcdLossTests {
    private func load(_ mesh: MeshProcess) throws -> LoadClient {
        let load = LoadClient(.init(port: mesh.http, host: Web.host))
        try load.awaitSuccesses(20)
        return load
    }

    private func end(_ load: LoadClient) throws {
        try load.awaitSuccesses(20)
        let outcome = try load.stop()
        try demand(outcome.failures.isEmpty, "\(outcome.failures.count) failed: \(outcome.failures.prefix(5))")
    }

    @Test func aRegistryThatLostItsDataIsNotBelievedAtOnce() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        let mesh = try MeshProcess.watching(etcd.registry, flags: ["--registry-empty-hold-seconds", "3600"])
        try mesh.awaitAnswer(Web.host, "one")
        let vip = try mesh.vip("web")
        let load = try load(mesh)
        try etcd.members[0].kill()
        try etcd.wipe(etcd.members[0])
        try etcd.start(etcd.members[0])
        try etcd.waitHealthy()
        try eventually("it is held\n\(mesh.tail)") { try mesh.metric("meshd_etcd_held_instances") == 1 }
        try load.awaitSuccesses(20)
        // What the nodes hold in common is there again: the service's VIP, the same as before, and the node.
        try eventually("the VIP is claimed again") {
            try etcd.ctl("get", "--print-value-only", "/mesh/vips/services/web") == "\(vip)\n"
        }
        try eventually("the node is there again") {
            try etcd.ctl("get", "--prefix", "--keys-only", "/mesh/alive/").contains("/mesh/alive/")
        }
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        try eventually("nothing is held") { try mesh.metric("meshd_etcd_held_instances") == 0 }
        try end(load)
    }

    /// Its revisions have passed those that the mesh knows before the mesh looks again.
    @Test func aRegistryThatWasSetBackAndWrittenOnIsReadAnew() throws {
        let etcd = try EtcdCluster()
        let (one, two) = (try HTTPInstance("one"), try HTTPInstance("two"))
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        let mesh = try MeshProcess.watching(etcd.registry)
        try mesh.awaitAnswer(Web.host, "one")
        _ = try mesh.vip("web")
        let backup = etcd.directory.path + "/backup"
        try etcd.ctl("snapshot", "save", backup)
        try etcd.delete("instances/web/one")
        try etcd.putInstance("web", "two", two)
        try mesh.awaitAnswer(Web.host, "two")
        mesh.child.signal(SIGSTOP)
        defer { mesh.child.signal(SIGCONT) }
        try etcd.restore(backup)
        for number in 0..<20 { try etcd.putService("new-\(number)", "new.example") }
        mesh.child.signal(SIGCONT)
        try mesh.awaitAnswer("new.example", "503")
        try mesh.awaitAnswer(Web.host, "one")
        try demandEqual(try mesh.status()["services"]?.children.count, 21, "services known")
    }

    @Test func stopsAndCompactionsUnderLoadLoseNothing() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        let mesh = try MeshProcess.watching(etcd.registry)
        try mesh.awaitAnswer(Web.host, "one")
        let load = try load(mesh)
        for round in 0..<5 {
            for change in 0..<10 { try etcd.putService("s\(round)-\(change)", "s.example") }
            try etcd.compact()
            etcd.members[0].pause()
            try load.awaitSuccesses(20)
            etcd.members[0].resume()
            try etcd.waitHealthy()
            try etcd.putService("round-\(round)", "round-\(round).example")
            try mesh.awaitAnswer("round-\(round).example", "503")
        }
        let services = try mesh.status()["services"]?.children.count
        try demandEqual(services, 56, "services known")
        try end(load)
    }
}
