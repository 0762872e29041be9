import Glibc
import Synchronization
import Testing

/// A `meshd run` with a catalogue file, ports, VIP range and state of its own.
final class MeshProcess {
    struct Options {
        var flags: [String] = []
        /// `nil`: as many as meshd chooses.
        var workers: Int? = 2
        /// Address that DNS is served on, as in a URL.
        var dnsAddress = "127.0.0.1"
        /// Words before the command, such as `taskset`.
        var wrapper: [String] = []
        /// `nil`: a file of its own.
        var cataloguePath: String?
        /// Whether there is a catalogue file at start.
        var hasCatalogue = true
        var descriptorLimit: Int?
        var isAdminUnix = false
        /// Second octet of the VIP range; `nil`: one nobody else uses.
        var vipOctet: Int?
        /// Another range than the one with that octet.
        var vipRange: String?
        var stateDirectory: String?
        var node = "node-1"
        var publishAddress = "127.0.0.1"
        /// In place of the catalogue file.
        var registries: [String]?
        /// Listening sockets that the process is started with, as the service manager does it.
        var passed: [PassedListener] = []
        /// Variables of its environment beside the tests' own.
        var environment: [String: String] = [:]

        init(_ flags: [String] = [], workers: Int? = 2, descriptorLimit: Int? = nil) {
            self.flags = flags
            self.workers = workers
            self.descriptorLimit = descriptorLimit
        }
    }

    private static let nextOctet = Atomic<Int>(Int(getpid()) % 150)

    let directory: TemporaryDirectory
    let http: UInt16
    let dns = FreePort.take()
    let adminPort: UInt16
    let admin: String
    let vipOctet: Int
    let child: ChildProcess

    let cataloguePath: String
    var log: String { child.errors }
    var pid: pid_t { child.pid }

    /// Starts without waiting for anything.
    init(text: String, _ options: Options = Options()) throws {
        directory = try TemporaryDirectory()
        http = options.passed.first { $0.name == "http" }?.port ?? FreePort.take()
        adminPort = options.passed.first { $0.name == "admin" }?.port ?? FreePort.take()
        admin = options.isAdminUnix ? "unix:\(directory.path)/admin.sock" : "127.0.0.1:\(adminPort)"
        vipOctet = options.vipOctet ?? 100 + Self.nextOctet.add(1, ordering: .relaxed).newValue % 150
        let catalogue = options.cataloguePath ?? directory.path + "/services.yaml"
        cataloguePath = catalogue
        if options.hasCatalogue { try TextFile.write(text, to: catalogue) }
        var arguments =
            [
                "run", "--http", "127.0.0.1:\(http)", "--admin", admin,
                "--dns", "\(options.dnsAddress):\(dns)", "--publish-address", options.publishAddress, "--vip-range",
                options.vipRange ?? "127.\(vipOctet).0.0/16",
                "--state-dir", options.stateDirectory ?? directory.path + "/state", "--node", options.node,
            ] + (options.registries ?? ["file:\(catalogue)"]).flatMap { ["--registry", $0] } + options.flags
        if let workers = options.workers { arguments += ["--workers", String(workers)] }
        let words =
            ServiceManagerSide.wrapper(options.passed, options.environment) + options.wrapper + [Binary.path]
            + arguments
        child = try ChildProcess(
            words[0], Array(words.dropFirst()), files: directory.path + "/meshd",
            descriptorLimit: options.descriptorLimit, descriptors: options.passed.map(\.fd))
    }

    /// Starts and waits until it is ready. A port somebody took meanwhile is worth another attempt.
    static func started(text: String, _ options: Options = Options()) throws -> MeshProcess {
        for attempt in 1... {
            let mesh = try MeshProcess(text: text, options)
            do {
                try mesh.waitReady()
                return mesh
            } catch {
                guard attempt < 3, mesh.child.poll() != nil, mesh.log.contains("in use") else {
                    throw Failure("\(error)\n\(mesh.tail)")
                }
            }
        }
        throw Failure("unreachable")
    }

    func waitReady() throws {
        try eventually(within: 20, "meshd is ready") {
            if let status = child.poll() { throw Failure("meshd ended with \(status)") }
            return try isReady()
        }
    }

    private func isReady() throws -> Bool {
        if admin.hasPrefix("unix:") {
            // It answers before it serves.
            return try run(["status", "--admin", admin]).output.contains(", ready, ")
        }
        guard let response = try? adminGet("/ready") else { return false }
        return response.status == 200
    }

    /// The end of the log and of standard output, for people.
    var tail: String {
        let lines = log.split(separator: "\n").suffix(40).joined(separator: "\n")
        return "--- log of meshd ---\n\(lines)\n--- output ---\n\(child.output.suffix(500))"
    }

    // MARK: - Catalogue

    func write(_ catalogue: Catalogue) throws { try TextFile.replace(cataloguePath, with: catalogue.text) }

    // MARK: - Asking it

    func adminGet(_ path: String) throws -> HTTPResponse {
        try HTTPTestClient.once(adminPort, "127.0.0.1", "GET", path, host: "127.0.0.1:\(adminPort)")
    }

    /// Runs another meshd command in this one's directory.
    func run(_ arguments: [String]) throws -> CommandResult {
        try CommandResult.run(arguments, files: directory.path + "/command")
    }

    func status() throws -> JSONValue {
        let result = try run(["status", "--json", "--admin", admin])
        try demandEqual(result.status, 0, "exit of meshd status: \(result.errors)")
        return try JSONValue(parsing: result.output)
    }

    func statusText() throws -> String { try run(["status", "--admin", admin]).output }

    func vip(_ service: String) throws -> String {
        try awaited("VIP of \(service) in status") { try status().object(named: service, having: "vip")?["vip"]?.text }
    }

    /// What `status` says of the instance at `address`, lower case; `nil` when it is not listed.
    func state(of address: String) throws -> String? { try status().instanceState(address)?.lowercased() }

    /// The value of a metric without labels or summed over those that hold `label`; `nil` when absent.
    func metric(_ name: String, _ label: String = "") throws -> Double? {
        var sum: Double?
        for line in try adminGet("/metrics").text.split(separator: "\n") where line.hasPrefix(name) {
            let rest = line.dropFirst(name.count)
            guard rest.first == " " || rest.first == "{", label.isEmpty || rest.contains(label),
                let value = rest.split(separator: " ").last
            else { continue }
            sum = (sum ?? 0) + (Double(value) ?? 0)
        }
        return sum
    }

    // MARK: - Traffic

    func client() throws -> HTTPTestClient { try HTTPTestClient(http) }

    func get(_ host: String, _ target: String = "/", _ fields: [(String, String)] = []) throws -> HTTPResponse {
        try HTTPTestClient.once(http, "127.0.0.1", "GET", target, host: host, fields)
    }

    // MARK: - Process facts

    /// Resident memory in KiB.
    func residentKiB() throws -> Int {
        let line = TextFile.read("/proc/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        guard let line, let value = Int(line.filter(\.isNumber)) else { throw Failure("no VmRSS of \(pid)") }
        return value
    }

    /// Processor time used so far, user and system, in seconds.
    func processorSeconds() throws -> Double {
        let text = TextFile.read("/proc/\(pid)/stat")
        guard let name = text.lastIndex(of: ")") else { throw Failure("no stat of \(pid)") }
        let parts = text[name...].split(separator: " ")
        guard parts.count > 13, let user = Double(parts[12]), let system = Double(parts[13]) else {
            throw Failure("stat of \(pid): \(text)")
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}

/// Runs `body` against a ready meshd. What it throws becomes a failed test with the log beside it.
func withMesh(
    _ catalogue: Catalogue, _ options: MeshProcess.Options = .init(), _ body: (MeshProcess) throws -> Void
) throws {
    let mesh = try MeshProcess.started(text: catalogue.text, options)
    do {
        try body(mesh)
    } catch {
        throw Failure("\(error)\n\(mesh.tail)")
    }
}

/// The binary under test: built beside the test bundle, or named by `MESHD_BINARY`.
enum Binary {
    static let path: String = {
        if let named = getenv("MESHD_BINARY") { return String(cString: named) }
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let own = String(decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        let candidates = [own] + CommandLine.arguments
        for candidate in candidates {
            guard let slash = candidate.lastIndex(of: "/") else { continue }
            let path = candidate[..<slash] + "/meshd"
            if access(String(path), X_OK) == 0 { return String(path) }
        }
        return "meshd-not-found-beside-the-tests"
    }()
}

/// What a short command said and how it ended.
struct CommandResult {
    let status: Int32
    let output: String
    let errors: String

    var lines: [Substring] { (output + errors).split(separator: "\n") }

    private static let serial = Atomic<Int>(0)

    static func run(_ arguments: [String], files: String) throws -> CommandResult {
        let number = serial.add(1, ordering: .relaxed).newValue
        let child = try ChildProcess(Binary.path, arguments, files: "\(files)-\(number)")
        let status = try child.waitExit(within: 20)
        return CommandResult(status: status, output: child.output, errors: child.errors)
    }
}
