import Glibc

/// etcd's own programs: those of the system, or those in the folder that `MESHD_TEST_ETCD` names, of another version.
enum EtcdPrograms {
    static let folder = getenv("MESHD_TEST_ETCD").map { String(cString: $0) } ?? "/usr/bin"
    static let server = "\(folder)/etcd"
    static let control = "\(folder)/etcdctl"
    /// For shells.
    static let path = "PATH=\(folder):$PATH"
}

/// Real etcd members with data of their own, on loopback or elsewhere, and `etcdctl` as an operator uses it.
final class EtcdCluster {
    /// Where a member runs: its address, and words before its command that lead there.
    struct Place {
        var address = "127.0.0.1"
        var wrapper: [String] = []
    }

    final class Member {
        let name: String
        let clientPort = FreePort.take()
        let peerPort = FreePort.take()
        fileprivate(set) var process: ChildProcess?
        fileprivate let directory: TemporaryDirectory
        fileprivate let place: Place

        fileprivate init(_ name: String, _ directory: TemporaryDirectory, _ place: Place) {
            self.name = name
            self.directory = directory
            self.place = place
        }

        var endpoint: String { "\(place.address):\(clientPort)" }
        var peerURL: String { "http://\(place.address):\(peerPort)" }
        var log: String { process?.errors ?? "" }

        fileprivate func start(cluster: String, _ authority: CertificateAuthority?) throws {
            let scheme = authority == nil ? "http" : "https"
            let secure = authority.map {
                [
                    "--cert-file", $0.path("etcd.crt"), "--key-file", $0.path("etcd.key"), "--client-cert-auth",
                    "--trusted-ca-file", $0.path("ca.crt"),
                ]
            }
            let arguments =
                (secure ?? []) + [
                    "--name", name, "--data-dir", "\(directory.path)/\(name)",
                    "--listen-client-urls", "\(scheme)://\(endpoint)",
                    "--advertise-client-urls", "\(scheme)://\(endpoint)", "--listen-peer-urls", peerURL,
                    "--initial-advertise-peer-urls", peerURL, "--initial-cluster", cluster,
                    "--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap",
                ]
            let words = place.wrapper + [EtcdPrograms.server] + arguments
            process = try ChildProcess(words[0], Array(words.dropFirst()), files: "\(directory.path)/\(name)-log")
        }

        func kill() throws {
            process?.signal(SIGKILL)
            _ = try process?.waitExit()
        }

        func pause() { process?.signal(SIGSTOP) }
        func resume() { process?.signal(SIGCONT) }
    }

    let directory: TemporaryDirectory
    let members: [Member]
    /// Flags of `etcdctl` that say who asks.
    var credentials: [String] = []
    private let authority: CertificateAuthority?
    private var calls = 0

    var endpoints: String { members.map(\.endpoint).joined(separator: ",") }
    /// The registry of a mesh whose keys begin with `/mesh/`.
    var registry: String { "etcd://\(endpoints)/mesh" }

    /// - Parameter authority: makes the members speak TLS, with the pair `etcd`, and demand certificates of it.
    convenience init(members count: Int = 1, _ authority: CertificateAuthority? = nil) throws {
        try self.init(places: Array(repeating: Place(), count: count), authority)
    }

    init(places: [Place], _ authority: CertificateAuthority? = nil) throws {
        self.authority = authority
        let directory = try TemporaryDirectory()
        self.directory = directory
        members = places.enumerated().map { Member("m\($0.offset)", directory, $0.element) }
        for member in members { try start(member) }
        try waitHealthy()
    }

    /// Starts a member, again with its data where it has run before.
    func start(_ member: Member) throws {
        let peers = members.map { "\($0.name)=\($0.peerURL)" }
        try member.start(cluster: peers.joined(separator: ","), authority)
    }

    /// Removes what a member that does not run has on disk.
    func wipe(_ member: Member) throws {
        _ = try Tool.run(["/bin/rm", "-rf", "\(directory.path)/\(member.name)"], in: directory.path)
    }

    /// Ends the one member there is, and starts it with what it had when the backup was made, as an operator does.
    func restore(_ backup: String) throws {
        let member = members[0]
        try member.kill()
        try wipe(member)
        let peers = "\(member.name)=\(member.peerURL)"
        try ctl(
            "snapshot", "restore", backup, "--name", member.name, "--data-dir", "\(directory.path)/\(member.name)",
            "--initial-cluster", peers, "--initial-advertise-peer-urls", member.peerURL)
        try start(member)
        try waitHealthy()
    }

    func waitHealthy() throws {
        try eventually(within: 30, "etcd is healthy: \(members.map { $0.log.suffix(500) })") {
            try run(["endpoint", "health"]).status == 0
        }
    }

    /// Runs `etcdctl`.
    func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        calls += 1
        // One that is down would be asked in vain for seconds.
        let live = members.filter { $0.process?.poll() == nil }.map(\.endpoint)
        let scheme = authority == nil ? "http" : "https"
        let secure = authority.map {
            ["--cacert", $0.path("ca.crt"), "--cert", $0.path("etcd.crt"), "--key", $0.path("etcd.key")]
        }
        let endpoints = live.map { "\(scheme)://\($0)" }.joined(separator: ",")
        let program = members[0].place.wrapper + [EtcdPrograms.control, "--endpoints", endpoints]
        let words = program + (secure ?? []) + credentials + arguments
        let child = try ChildProcess(words[0], Array(words.dropFirst()), files: "\(directory.path)/ctl-\(calls)")
        let status = try child.waitExit(within: 30)
        return (status, child.output + child.errors)
    }

    /// Runs `etcdctl`, which must succeed, and hands over what it said.
    @discardableResult
    func ctl(_ arguments: String...) throws -> String {
        let result = try run(arguments)
        try demandEqual(result.status, 0, "etcdctl \(arguments): \(result.output)")
        return result.output
    }

    func put(_ key: String, _ value: String) throws { try ctl("put", "/mesh/\(key)", "--", value) }

    func delete(_ key: String) throws { try ctl("del", "/mesh/\(key)") }

    /// A service that is routed by `host`, in one key.
    func putService(_ name: String, _ host: String) throws {
        try put("services/\(name)", #"{"labels": {"aliyun.routing.port_8080": "\#(host)"}}"#)
    }

    func putInstance(_ service: String, _ id: String, _ instance: HTTPInstance) throws {
        try put("instances/\(service)/\(id)", #"{"address": "\#(instance.address)"}"#)
    }

    /// A lease's ID as `etcdctl` writes it.
    func grant(_ seconds: Int) throws -> String {
        let words = try ctl("lease", "grant", "\(seconds)").split(separator: " ")
        guard words.count > 1 else { throw Failure("lease grant said \(words)") }
        return String(words[1])
    }

    /// Compacts everything up to now.
    func compact() throws {
        let text = try ctl("get", "/none", "--write-out", "json")
        guard case .number(let revision)? = try JSONValue(parsing: text)["header"]?["revision"] else {
            throw Failure("get said \(text)")
        }
        try ctl("compact", "\(Int(revision))")
    }
}

extension MeshProcess {
    /// A mesh that watches these registries and no file.
    static func watching(_ registries: String..., flags: [String] = []) throws -> MeshProcess {
        var options = Options(flags)
        options.registries = registries
        return try started(text: "", options)
    }

    func awaitAnswer(_ host: String, _ wanted: String) throws {
        try eventually("\(host) is answered by \(wanted)\n\(tail)") {
            let response = try get(host)
            return wanted == (response.status == 200 ? response.text : String(response.status))
        }
    }
}
