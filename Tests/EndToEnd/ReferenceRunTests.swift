import Glibc
import Testing

/// Every example of the configuration reference is started, becomes ready with everything in force, and ends in order.
///
/// What stands for a user's machine is put in place of it: files under `/etc`, `/run` and `/var` lie in a folder of the
/// test, addresses of 127.0.0.0/8 become others of that network, on which the documented ports are free, and etcd
/// listens at a port of its own.
@Suite(.enabled(if: geteuid() == 0, "ports below 1024 want a privilege"))
struct ReferenceRunTests {
    /// What an example needs beside it.
    private struct Place {
        let folder: TemporaryDirectory
        /// In place of 127.0.0 and of the VIPs' network.
        let network: String
        let vips: String

        init(_ example: ReferencePage.Example) throws {
            folder = try TemporaryDirectory()
            // Nobody else's, not even of the same test that runs at the same time.
            let own = Int(getpid()) % 250
            network = "127.\(20 + example.number).\(own)"
            vips = "127.\(60 + example.number).\(own)"
            for name in ["etc", "run", "lib", "log"] { mkdir("\(folder.path)/\(name)", 0o755) }
            try TextFile.write("services: {}\n", to: path("etc/services.yaml"))
        }

        func path(_ name: String) -> String { "\(folder.path)/\(name)" }

        /// Certificates, authorities and ticket keys under the names that examples have.
        func addCertificates() throws {
            let certificates = path("etc/certificates")
            mkdir(certificates, 0o755)
            for name in ["company", "bank", "blog"] { try OpenSSL.pair(certificates, name, ["\(name).company.com"]) }
            let script = """
                cd \(certificates) && cat blog.crt blog.key >blog.pem && rm blog.crt blog.key
                cp company.crt ../clients.pem && cp company.crt ../internal.pem
                openssl rand -base64 80 | tr -d '\\n' >../ticket-keys
                """
            let result = try Tool.run(["/bin/sh", "-ec", script], in: folder.path)
            try demandEqual(result.status, 0, "files of the example: \(result.errors)")
        }

        func adapted(_ text: String, etcd: String?, engine: String?) -> String {
            var text = text
            for (old, new) in [
                ("127.0.0.1:2379", "<etcd>"), ("/var/run/docker.sock", engine ?? "/var/run/docker.sock"),
                ("/etc/meshd", path("etc")), ("/run/meshd", path("run")), ("/var/lib/meshd", path("lib")),
                ("/var/log/meshd", path("log")), ("127.96.7", vips), ("127.97.0.0/16", "\(vips).0/24"),
                ("127.0.0.", "\(network)."), (" 0.0.0.0:", " \(network).1:"), ("192.0.2.", "\(network)."),
                ("<etcd>", etcd ?? ""),
            ] { text = text.split(separator: old, omittingEmptySubsequences: false).joined(separator: new) }
            return text
        }

        /// Flags for what the example leaves to its user.
        func flags(without settings: Set<String>) -> [String] {
            [
                ("registry", "file:\(path("etc/services.yaml"))"), ("http", "\(network).1:8081"),
                ("admin", "\(network).1:9900"), ("publish-address", "\(network).250"), ("vip-range", "\(vips).0/24"),
                ("node", "node-1"), ("workers", "1"), ("state-dir", path("lib")),
                // Not where the instances are: they would be taken for this node.
            ].filter { !settings.contains($0.0) }.flatMap { ["--" + $0.0, $0.1] }
        }
    }

    private func run(_ example: ReferencePage.Example, etcd: String? = nil, engine: String? = nil) throws {
        let place = try Place(example)
        let text = place.adapted(example.text, etcd: etcd, engine: engine)
        var flags = place.flags(without: example.settings)
        if example.text.firstMatch(of: /certificate|tls\.ca|SSL_CERT/) != nil {
            try place.addCertificates()
            if example.isCatalogue {
                flags += ["--https", "\(place.network).1:8443", "--certificates", place.path("etc/certificates")]
            }
        }
        if example.isCatalogue {
            try TextFile.replace(place.path("etc/services.yaml"), with: text)
        } else {
            try TextFile.write(text, to: place.path("etc/meshd.yaml"))
            flags += ["--config", place.path("etc/meshd.yaml")]
        }
        let child = try ChildProcess(Binary.path, ["run"] + flags, files: place.path("meshd"))
        do {
            try awaitReady(child, place, isUnix: example.settings.contains("admin"))
            try demandEqual(complaints(child, example), [], "what is not in force")
            child.signal(SIGTERM)
            try demandEqual(try child.waitExit(), 0, "exit status")
        } catch {
            throw Failure("\(error)\n--- example ---\n\(text)--- log ---\n\(child.errors)")
        }
    }

    /// Instances need not be there.
    private func complaints(_ child: ChildProcess, _ example: ReferencePage.Example) -> [Substring] {
        child.errors.split(separator: "\n").filter { line in
            let isTold = line.contains(#""level":"error""#) || line.contains(#""level":"warning""#)
            return isTold && !line.contains("instance unhealthy") && !(example.warns && line.contains("warning"))
        }
    }

    private func awaitReady(_ child: ChildProcess, _ place: Place, isUnix: Bool) throws {
        try eventually(within: 20, "meshd is ready") {
            if let status = child.poll() { throw Failure("meshd ended with \(status)") }
            let admin = "\(place.network).1"
            guard isUnix else {
                return (try? HTTPTestClient.once(9900, admin, "GET", "/ready", host: "\(admin):9900"))?.status == 200
            }
            let flags = ["status", "--admin", "unix:\(place.path("run/admin.sock"))"]
            return try CommandResult.run(flags, files: place.path("status")).status == 0
        }
    }

    private static func needs(_ what: String, _ example: ReferencePage.Example) -> Bool { example.text.contains(what) }

    @Test(arguments: ReferencePage.examples.filter { !needs("etcd://", $0) })
    func runs(example: ReferencePage.Example) throws { try run(example) }

    @Test func runWithEtcd() throws {
        let cluster = try EtcdCluster()
        try cluster.putService("shop", "shop.company.com")
        let examples = ReferencePage.examples.filter { Self.needs("etcd://", $0) && !Self.needs("docker://", $0) }
        try demand(!examples.isEmpty, "examples with etcd")
        for example in examples { try run(example, etcd: cluster.endpoints) }
    }

    /// The one kind of example that a machine without an engine, or without the right to start one, cannot run.
    @Test(.enabled(if: DockerEngine.isAllowed, DockerEngine.why)) func runWithAnEngine() throws {
        let engine = try DockerEngine()
        let cluster = try EtcdCluster()
        try cluster.putService("shop", "shop.company.com")
        let examples = ReferencePage.examples.filter { Self.needs("docker://", $0) }
        try demand(!examples.isEmpty, "examples with an engine")
        for example in examples { try run(example, etcd: cluster.endpoints, engine: engine.socket) }
    }
}
