import Glibc
import Testing

/// A real systemd as the first process of a machine of its own, with the packaged units and the binary under test.
/// Everything is gone with its owner.
final class ServiceMachine {
    static let isAllowed =
        NetworkNamespace.isAllowed && access("/lib/systemd/systemd", X_OK) == 0 && groups != nil
    static let why: Comment = "needs systemd, control groups (version 2) and the right to make namespaces"

    /// Where control groups of version 2 are; `nil`: nowhere.
    private static let groups: String? = {
        let mounts = TextFile.read("/proc/mounts").split(separator: "\n").map { $0.split(separator: " ") }
        return mounts.first { $0.count > 2 && $0[2] == "cgroup2" }.map { String($0[1]) }
    }()

    private static let sources = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")

    private let directory: TemporaryDirectory
    private let group: String
    private let keeper: ChildProcess
    private var runs = 0

    init() throws {
        directory = try TemporaryDirectory()
        let place = "\(directory.path)/root"
        mkdir(place, 0o755)
        group = "\(Self.groups ?? "")/\(directory.path.split(separator: "/").last ?? "meshd-test")"
        let program = "\(Self.sources)/Tests/EndToEnd/Programs/machine.sh"
        let script = """
            mkdir \(group) && echo $$ >\(group)/cgroup.procs && exec unshare --pid --fork --kill-child --mount --uts \
                --ipc --net --cgroup /bin/bash \(program) \(place) \(Binary.path) \(Self.sources)/packaging
            """
        keeper = try ChildProcess("/bin/bash", ["-c", script], files: "\(directory.path)/keeper")
        try eventually(within: 30, "the machine is up: \(keeper.errors)") {
            try first != nil && run("systemctl is-active machine.target").output == "active\n"
        }
    }

    deinit {
        if let first { kill(first, SIGKILL) }
        keeper.signal(SIGKILL)
        _ = try? keeper.waitExit()
        _ = try? eventually(within: 5, "its control groups are empty") {
            let words = ["/usr/bin/find", group, "-depth", "-type", "d", "-exec", "/bin/rmdir", "{}", ";"]
            _ = try Tool.run(words, in: directory.path)
            return access(group, F_OK) != 0
        }
    }

    /// The first process as this machine sees it.
    private var first: pid_t? {
        TextFile.read("/proc/\(keeper.pid)/task/\(keeper.pid)/children").split(separator: " ").first
            .flatMap { pid_t($0) }
    }

    /// Runs a shell script there.
    func run(_ script: String) throws -> (status: Int32, output: String) {
        runs += 1
        guard let first else { throw Failure("the machine is down: \(keeper.errors)") }
        let words = [
            "--target", "\(first)", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root", "--wd",
            "/usr/bin/env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "/bin/bash", "-c",
            "exec 2>&1\n\(script)",
        ]
        let child = try ChildProcess("/usr/bin/nsenter", words, files: "\(directory.path)/run-\(runs)")
        return (try child.waitExit(within: 60), child.output + child.errors)
    }

    /// Runs a shell script, which must succeed, and hands over what it said.
    @discardableResult
    func shell(_ script: String) throws -> String {
        let result = try run(script)
        try demandEqual(result.status, 0, "\(script): \(result.output)\n\(journal)")
        return result.output
    }

    func write(_ path: String, _ text: String) throws {
        try shell("mkdir -p $(dirname \(path)) && cat >\(path) <<'END'\n\(text)\nEND")
    }

    /// A property of the service.
    func property(_ name: String) throws -> String {
        String(try shell("systemctl show --property \(name) --value meshd").split(separator: "\n").first ?? "")
    }

    var journal: String { (try? run("journalctl --no-pager --lines 40").output) ?? "" }

    /// The status of an answer there, `000` where there is none.
    func answer(_ url: String, _ flags: String = "") throws -> String {
        try run("curl -s -m 20 -o /dev/null -w '%{http_code}' \(flags) \(url)").output
    }
}
