import Glibc

/// A node of the cluster: its network, its meshd and the instances on it.
final class MeshNode {
    let number: Int
    let network: NetworkNamespace
    private let directory: TemporaryDirectory
    private var meshd: ChildProcess?
    private var runs = 0
    private var asked = 0
    /// They run until they are killed, or the node is gone.
    private var children: [ChildProcess] = []

    var name: String { "node-\(number)" }
    var address: String { "192.0.2.1\(number)" }
    var files: String { "\(directory.path)/files-\(number)" }
    var admin: String { "unix:\(files)/admin.sock" }
    var pid: pid_t { meshd?.pid ?? 0 }
    var log: String { meshd?.errors ?? "" }

    init(_ number: Int, _ directory: TemporaryDirectory) throws {
        self.number = number
        self.directory = directory
        network = try NetworkNamespace("node-\(number)", in: directory)
        mkdir(files, 0o755)
    }

    // MARK: - meshd

    func startMesh(_ registry: String, _ flags: [String] = []) throws {
        runs += 1
        unlink("\(files)/admin.sock")
        meshd = try network.start(
            [
                Binary.path, "run", "--registry", registry, "--node", name, "--http", "\(address):80",
                "--dns", "\(address):53", "--vip-range", MeshCluster.vipRange, "--admin", admin,
                "--state-dir", "\(files)/state", "--workers", "2",
            ] + flags, "meshd-\(runs)")
    }

    func waitReady() throws {
        try eventually(within: 30, "\(name) is ready\n\(tail)") {
            if let status = meshd?.poll() { throw Failure("meshd of \(name) ended with \(status): \(log)") }
            return try run(["status", "--admin", admin]).output.contains(", ready,")
        }
    }

    func killMesh() throws {
        meshd?.signal(SIGKILL)
        _ = try meshd?.waitExit()
    }

    /// Ends it in order, which it must survive.
    func stopMesh() throws {
        meshd?.signal(SIGTERM)
        try demandEqual(try meshd?.waitExit(within: 60), 0, "exit status of \(name)\n\(tail)")
    }

    var tail: String {
        let lines = log.split(separator: "\n").suffix(25).joined(separator: "\n")
        return "--- log of \(name) ---\n\(lines)"
    }

    func run(_ arguments: [String]) throws -> CommandResult {
        asked += 1
        return try CommandResult.run(arguments, files: "\(files)/command-\(asked)")
    }

    func status() throws -> JSONValue {
        let result = try run(["status", "--json", "--admin", admin])
        try demandEqual(result.status, 0, "exit of status on \(name): \(result.errors)\n\(tail)")
        return try JSONValue(parsing: result.output)
    }

    func service(_ service: String) throws -> JSONValue? {
        try status()["services"]?.children.first { $0["name"]?.text == service }
    }

    /// IDs of the instances that it picks among.
    func healthy(_ service: String) throws -> Set<String> {
        let instances = try self.service(service)?["instances"]?.children ?? []
        return Set(instances.filter { $0["state"]?.text == "healthy" }.compactMap { $0["id"]?.text })
    }

    func vip(_ service: String) throws -> String {
        try awaited("VIP of \(service) on \(name)\n\(tail)") { try self.service(service)?["vip"]?.text }
    }

    func metric(_ name: String) throws -> Double {
        asked += 1
        let child = try ChildProcess(
            "/usr/bin/curl", ["-s", "--unix-socket", "\(files)/admin.sock", "http://localhost/metrics"],
            files: "\(files)/metrics-\(asked)")
        try demandEqual(try child.waitExit(), 0, "exit of curl")
        let lines = child.output.split(separator: "\n").filter { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }
        return lines.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +)
    }

    // MARK: - Instances

    /// Starts an instance at 172.18.N.`place`.
    func instance(_ place: Int, name given: String? = nil) throws -> MeshInstance {
        let address = "172.18.\(number).\(place)"
        try network.run("ip addr replace \(address)/32 dev lo")
        let name = given ?? "i\(number)-\(place)"
        let words = ["/usr/bin/python3", PythonProgram.path("mesh_instance.py"), name, address]
        let child = try network.start(words, name)
        children.append(child)
        return MeshInstance(name: name, address: address, node: self.name, child: child)
    }

    /// `meshd announce` here, in the foreground of a process of its own.
    @discardableResult
    func announce(_ words: [String], _ name: String) throws -> ChildProcess {
        let child = try network.start([Binary.path, "announce"] + words, "announce-\(name)")
        children.append(child)
        return child
    }
}

/// One process that is an instance of three services.
struct MeshInstance {
    let name: String
    let address: String
    let node: String
    let child: ChildProcess

    func waitReady() throws { try demandEqual(try child.firstLine(), "ready", "instance \(name)") }

    func kill() throws {
        child.signal(SIGKILL)
        _ = try child.waitExit()
    }
}
