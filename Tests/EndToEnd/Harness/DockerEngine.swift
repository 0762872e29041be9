import Glibc
import Testing

/// A real Docker engine in namespaces of its own, gone with all its containers when its owner lets go of it.
final class DockerEngine {
    static let isAllowed = NetworkNamespace.isAllowed && access("/usr/sbin/dockerd", X_OK) == 0
    static let why: Comment = "needs dockerd and the right to make network namespaces"

    let directory: TemporaryDirectory
    let network: NetworkNamespace
    private var keeper: ChildProcess
    private var calls = 0

    var socket: String { "\(directory.path)/docker.sock" }
    /// The registry of a mesh on this machine.
    var registry: String { "docker://\(socket)" }
    var log: String { TextFile.read("\(directory.path)/engine.log") }

    /// - Parameters:
    ///   - network: where it runs; `nil`: a namespace of its own.
    ///   - bridge: the engine's own address on its default network.
    ///   - port: where it listens on the namespace's loopback, too.
    ///   - authority: of clients that it takes there, and of its own pair `engine`; `nil`: it takes anybody, in clear.
    ///   - flags: further ones of `dockerd`.
    init(
        in network: NetworkNamespace? = nil, bridge: String = "172.18.1.1/24", port: UInt16? = nil,
        authority: CertificateAuthority? = nil, flags: String = ""
    ) throws {
        directory = try TemporaryDirectory()
        self.network = try network ?? NetworkNamespace("engine", in: directory)
        let place = directory.path
        let tcp = port.map { "--host tcp://127.0.0.1:\($0) \(Self.security(authority))" } ?? ""
        // It comes back when it was killed, unless it is held; the first process of the namespace takes all along.
        let script = """
            while :; do
                dockerd --host unix://\(place)/docker.sock \(tcp) --data-root \(place)/data --exec-root \(place)/exec \
                    --pidfile \(place)/pid --bip \(bridge) --iptables=false --ip6tables=false --shutdown-timeout 1 \
                    \(flags) \
                    >>\(place)/engine.log 2>&1
                while [ -e \(place)/hold ]; do sleep 0.02; done
            done
            """
        keeper = try self.network.start(
            [
                "/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c",
                script,
            ],
            "keeper")
        try waitReady()
        let command = "CMD [\"/app\", \"serve\", \"app\"]"
        try docker("import", "--change", "EXPOSE 8080", "--change", command, try Self.image(), "app")
    }

    deinit {
        // Empties the control groups; what is left goes with the process namespace.
        _ = try? run(["ps", "--all", "--quiet"]).output.split(separator: "\n").forEach { id in
            _ = try? run(["rm", "--force", String(id)])
        }
        // Before its files go.
        let engine = try? pid
        keeper.signal(SIGKILL)
        _ = try? keeper.waitExit()
        try? eventually(within: 5, "the engine ends") { engine.map { kill($0, 0) != 0 } ?? true }
    }

    private static func security(_ authority: CertificateAuthority?) -> String {
        guard let authority else { return "--tls=false" }
        let pair = "--tlscert \(authority.path("engine.crt")) --tlskey \(authority.path("engine.key"))"
        return "--tlsverify --tlscacert \(authority.path("ca.crt")) \(pair)"
    }

    func waitReady() throws {
        try eventually(within: 30, "the engine answers: \(log.suffix(800))") { try run(["version"]).status == 0 }
    }

    /// The engine's process as this machine sees it.
    var pid: pid_t {
        get throws {
            func children(_ pid: pid_t) -> [pid_t] {
                TextFile.read("/proc/\(pid)/task/\(pid)/children").split(separator: " ").compactMap { pid_t($0) }
            }
            let shell = children(keeper.pid).first ?? 0
            guard let pid = children(shell).first(where: { TextFile.read("/proc/\($0)/comm") == "dockerd\n" }) else {
                throw Failure("the engine does not run")
            }
            return pid
        }
    }

    /// Kills the engine with -9; it stays away until `resume`.
    func crash() throws {
        try TextFile.write("", to: "\(directory.path)/hold")
        kill(try pid, SIGKILL)
    }

    func resume() { unlink("\(directory.path)/hold") }

    // MARK: - Containers

    func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        calls += 1
        let words = ["--host", "unix://\(socket)"] + arguments
        let child = try ChildProcess("/usr/bin/docker", words, files: "\(directory.path)/docker-\(calls)")
        let status = try child.waitExit(within: 40)
        return (status, child.output + child.errors)
    }

    /// Runs `docker`, which must succeed.
    @discardableResult
    func docker(_ arguments: String...) throws -> String {
        let result = try run(arguments)
        try demandEqual(result.status, 0, "docker \(arguments): \(result.output)")
        return result.output
    }

    /// Runs a line as it is typed.
    func docker(shell line: String) throws {
        try network.run("export DOCKER_HOST=unix://\(socket) PATH=/usr/bin:/bin; \(line)")
    }

    /// Starts a container that answers with its name, in one of the ways of `container.c`.
    @discardableResult
    func start(
        _ name: String, _ labels: [String: String], as manner: String = "serve", _ flags: String...
    ) throws -> String {
        let words = ["run", "--detach", "--name", name] + labels.flatMap { ["--label", "\($0.key)=\($0.value)"] }
        let result = try run(words + flags + ["app", "/app", manner, name])
        try demandEqual(result.status, 0, "docker run \(name): \(result.output)")
        return String(result.output.prefix(12))
    }

    /// Begins `docker`, which may take a while.
    func begin(_ arguments: String...) throws -> ChildProcess {
        calls += 1
        let words = ["--host", "unix://\(socket)"] + arguments
        return try ChildProcess("/usr/bin/docker", words, files: "\(directory.path)/docker-\(calls)")
    }

    /// A request for `/held`, once its container has it.
    func heldRequest(_ name: String, _ network: NetworkNamespace, _ mesh: MeshProcess) throws -> ChildProcess {
        calls += 1
        let url = "http://127.0.0.1:\(mesh.http)/held"
        let words = ["/usr/bin/curl", "-s", "-m", "60", "-H", "Host: \(Web.host)", url]
        let client = try network.start(words, "held-\(calls)")
        try eventually("\(name) has the request") { try run(["exec", name, "/app", "absent", "/held"]).status == 3 }
        return client
    }

    /// Of a file in a running container.
    func touch(_ name: String, _ file: String) throws { try docker("exec", name, "/app", "touch", file) }

    // MARK: - The mesh beside it

    /// Options of a mesh in the engine's network namespace.
    func options(_ registries: [String], _ flags: [String] = []) -> MeshProcess.Options {
        var options = MeshProcess.Options(flags)
        options.registries = registries
        options.isAdminUnix = true
        options.wrapper = network.wrapper
        return options
    }

    /// A mesh in the engine's network namespace that watches it, until `body` ends.
    func withMesh(_ flags: [String] = [], registry other: String? = nil, _ body: (MeshProcess) throws -> Void) throws {
        let mesh = try MeshProcess.started(text: "", options([other ?? registry], flags))
        do {
            try body(mesh)
        } catch {
            throw Failure("\(error)\n\(mesh.tail)")
        }
    }

    /// What a client in the namespace is answered: the status where it is not 200, else the body.
    func answer(_ mesh: MeshProcess, _ host: String) throws -> String {
        let url = "http://127.0.0.1:\(mesh.http)/"
        let text = try network.run("curl -s -m 5 -H 'Host: \(host)' -w ' %{http_code}' \(url) || true")
        let words = text.split(separator: " ")
        return words.last == "200" ? String(words.first ?? "") : String(words.last ?? "")
    }

    func awaitAnswer(_ mesh: MeshProcess, _ host: String, _ wanted: String) throws {
        try eventually("\(host) is answered by \(wanted)") { try answer(mesh, host) == wanted }
    }

    // MARK: - The image

    /// A tar of one static program, built once for all tests.
    private static let built: Result<TemporaryDirectory, any Error> = Result {
        let directory = try TemporaryDirectory()
        let source = #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Programs/container.c"
        let script =
            "cd \(directory.path) && cc -static -O1 -o app /\(source) && mkdir tmp && tar -cf image.tar app tmp"
        let child = try ChildProcess("/bin/sh", ["-c", script], files: "\(directory.path)/build")
        try demandEqual(try child.waitExit(within: 60), 0, "the image is built: \(child.errors)")
        return directory
    }

    private static func image() throws -> String { try built.get().path + "/image.tar" }
}
