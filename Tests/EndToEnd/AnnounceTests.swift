import Glibc
import Testing

/// `meshd announce`: an instance that nobody else announces.
@Suite struct AnnounceTests {
    private func announce(_ etcd: EtcdCluster, _ name: String, _ arguments: [String]) throws -> ChildProcess {
        try ChildProcess(
            Binary.path, ["announce"] + arguments + ["--registry", etcd.registry],
            files: "\(etcd.directory.path)/announce-\(name)")
    }

    private static let labels = ["--label", "aliyun.routing.port_8080=\(Web.host)", "--label", "mesh.aliases=w.local"]

    @Test func announcesServesAndWithdraws() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        let mesh = try MeshProcess.watching(etcd.registry)
        let announcer = try announce(etcd, "one", ["web", one.address, "--ttl", "3600s"] + Self.labels)
        try mesh.awaitAnswer(Web.host, "one")
        try demand(try mesh.statusText().contains("w.local"), "its labels describe the service")
        announcer.signal(SIGTERM)
        try demandEqual(try announcer.waitExit(), 0, "exit status: \(announcer.errors)")
        try mesh.awaitAnswer(Web.host, "404")
        // A VIP that the mesh has claimed meanwhile stays the service's own.
        for kind in ["services", "instances"] {
            try demandEqual(try etcd.ctl("get", "--prefix", "--keys-only", "/mesh/\(kind)/"), "", "\(kind) left")
        }
        try demand(try etcd.ctl("lease", "list").contains("found 1 leases"), "only the mesh's own lease is left")
    }

    @Test func aKilledAnnouncerIsGoneWithItsLease() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        let mesh = try MeshProcess.watching(etcd.registry)
        let announcer = try announce(etcd, "one", ["web", one.address, "--ttl=2"] + Self.labels)
        try mesh.awaitAnswer(Web.host, "one")
        announcer.signal(SIGKILL)
        try demandEqual(try announcer.waitExit(), 137, "exit status")
        try mesh.awaitAnswer(Web.host, "404")
    }

    @Test func itOutlivesALostLeaseAndARestartOfEtcd() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        let mesh = try MeshProcess.watching(etcd.registry)
        let before = Set(try etcd.ctl("lease", "list").split(separator: "\n"))
        let announcer = try announce(etcd, "one", ["web", one.address, "--ttl", "2s"] + Self.labels)
        try mesh.awaitAnswer(Web.host, "one")
        // An operator's slip: the lease is revoked, the next renewal notices.
        let list = try etcd.ctl("lease", "list").split(separator: "\n")
        try etcd.ctl("lease", "revoke", String(try #require(list.last { !before.contains($0) })))
        try mesh.awaitAnswer(Web.host, "404")
        try mesh.awaitAnswer(Web.host, "one")
        try etcd.members[0].kill()
        try eventually("it says so") { announcer.errors.contains("cannot announce, trying again") }
        try etcd.start(etcd.members[0])
        try etcd.waitHealthy()
        try eventually("announced for the third time") {
            announcer.errors.split(separator: "\n").count { $0.contains("\"announced\"") } >= 3
        }
        try mesh.awaitAnswer(Web.host, "one")
    }

    /// The lease is still known, and what was written under it since is not.
    @Test func whatARestoredRegistryHasForgottenIsAnnouncedAgain() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        let mesh = try MeshProcess.watching(etcd.registry)
        let announcer = try announce(etcd, "one", ["web", one.address, "--ttl", "2s"] + Self.labels)
        try mesh.awaitAnswer(Web.host, "one")
        // Of a backup that was made between the lease and the key.
        try etcd.ctl("del", "--prefix", "/mesh/instances/")
        let backup = etcd.directory.path + "/backup"
        try etcd.ctl("snapshot", "save", backup)
        try etcd.restore(backup)
        try mesh.awaitAnswer(Web.host, "one")
        try eventually("its key is there") {
            try etcd.ctl("get", "--prefix", "--keys-only", "/mesh/instances/").contains(one.address)
        }
        announcer.signal(SIGTERM)
        try demandEqual(try announcer.waitExit(), 0, "exit status: \(announcer.errors)")
    }

    /// Started twice by mistake, or the next run before the last has ended.
    @Test func ofTwoThatAnnounceTheSameEitherMayGo() throws {
        let etcd = try EtcdCluster()
        let one = try HTTPInstance("one")
        let mesh = try MeshProcess.watching(etcd.registry)
        let words = ["web", one.address, "--ttl", "2s"] + Self.labels
        let first = try announce(etcd, "first", words)
        try mesh.awaitAnswer(Web.host, "one")
        let second = try announce(etcd, "second", words + ["--version", "second"])
        func awaitVersion(_ version: String?) throws {
            try eventually("its version is \(version ?? "none")\n\(first.errors)\(second.errors)") {
                let found = try etcd.ctl("get", "--prefix", "--print-value-only", "/mesh/instances/")
                return found.contains("address") && found.contains("second") == (version != nil)
            }
        }
        try awaitVersion("second")
        second.signal(SIGTERM)
        try demandEqual(try second.waitExit(), 0, "exit status: \(second.errors)")
        try awaitVersion(nil)
        try mesh.awaitAnswer(Web.host, "one")
        let third = try announce(etcd, "third", words + ["--version", "second"])
        try awaitVersion("second")
        first.signal(SIGTERM)
        try demandEqual(try first.waitExit(), 0, "exit status: \(first.errors)")
        try demand(!(try etcd.ctl("get", "--prefix", "/mesh/instances/").contains("draining")), "no word of an end")
        try demandEqual(try mesh.get(Web.host).text, "one", "the answer")
        third.signal(SIGTERM)
        try demandEqual(try third.waitExit(), 0, "exit status: \(third.errors)")
        try mesh.awaitAnswer(Web.host, "404")
    }

    @Test func withoutLabelsThePortIsTheServices() throws {
        let etcd = try EtcdCluster()
        let instance = try TCPInstance(serve: Relay.echo)
        let mesh = try MeshProcess.watching(etcd.registry)
        let announcer = try announce(etcd, "db", ["db", instance.address])
        let port = instance.port
        let vip = try mesh.vip("db")
        try eventually("the VIP's port leads there") {
            guard let connection = try? Connection.open(port, vip) else { return false }
            try Relay.checkEcho(connection)
            return true
        }
        announcer.signal(SIGTERM)
        try demandEqual(try announcer.waitExit(), 0, "exit status")
    }

    @Test(arguments: [
        ["web"], ["web", "nowhere"], ["web", "127.0.0.1:0"], ["we b", "127.0.0.1"], ["web", "127.0.0.1", "--ttl", "1"],
        ["web", "127.0.0.1", "--ttl", "soon"], ["web", "127.0.0.1", "--label", "x"],
        ["web", "127.0.0.1", "--wrong", "x"],
        ["web", "127.0.0.1", "--label", "aliyun.routing.port_x=y"], ["web", "127.0.0.1", "--weight", "9999"],
        ["web", "127.0.0.1", "--id", "a/b"], ["web", "127.0.0.1", "--id"],
    ])
    func refusesWhatNoNodeWouldTake(arguments: [String]) throws {
        let files = try TemporaryDirectory()
        let words = ["announce", "--registry", "etcd://127.0.0.1:1"] + arguments
        let result = try CommandResult.run(words, files: "\(files.path)/announce")
        try demandEqual(result.status, 2, "exit status of \(arguments): \(result.errors)")
        try demand(result.errors.hasPrefix("meshd announce: "), "\(result.errors)")
    }
}
