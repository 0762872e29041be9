import Glibc

/// A network of its own: a process that only keeps the namespace, gone with its owner.
final class NetworkNamespace {
    private let keeper: ChildProcess
    private let files: String

    static var isAllowed: Bool { geteuid() == 0 && access("/usr/bin/unshare", X_OK) == 0 }

    init(_ name: String, in directory: TemporaryDirectory) throws {
        files = "\(directory.path)/\(name)"
        keeper = try ChildProcess(
            "/usr/bin/unshare", ["--net", "/bin/sh", "-c", "ip link set lo up && echo up && exec sleep 600"],
            files: files)
        _ = try keeper.firstLine()
    }

    var pid: pid_t { keeper.pid }

    /// Words before a command that is to run inside.
    var wrapper: [String] { ["/usr/bin/nsenter", "--net=/proc/\(pid)/ns/net"] }

    func start(_ words: [String], _ name: String) throws -> ChildProcess {
        let all = wrapper + words
        return try ChildProcess(all[0], Array(all.dropFirst()), files: "\(files)-\(name)")
    }

    /// Runs a shell command inside and returns its output; a failure throws.
    @discardableResult
    func run(_ command: String) throws -> String {
        let child = try start(["/bin/sh", "-c", command], "run")
        let status = try child.waitExit(within: 20)
        guard status == 0 else { throw Failure("'\(command)' ended with \(status): \(child.errors)") }
        return child.output
    }

    /// Joins this namespace and another by a cable, each end with its address.
    func connect(to other: NetworkNamespace, _ own: String, _ others: String) throws {
        try run("ip link add cable type veth peer name cable netns /proc/\(other.pid)/ns/net")
        for (side, address) in [(self, own), (other, others)] {
            let family = address.contains(":") ? "-6" : "-4"
            let nodad = address.contains(":") ? "nodad" : ""
            try side.run("ip link set cable up && ip \(family) addr add \(address) dev cable \(nodad)")
        }
    }
}
