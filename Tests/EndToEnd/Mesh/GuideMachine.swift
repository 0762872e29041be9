import Glibc

/// A machine for a guide to be followed on: a network, processes, a host name and an `/etc`, `/var`, `/usr/local` and
/// `/run` of its own. Everything is gone with its owner.
final class GuideMachine {
    let name: String
    private let keeper: ChildProcess
    private let files: String
    private var runs = 0

    /// - Parameter content: a folder with what the guide says is in the present one.
    init(_ name: String, _ directory: TemporaryDirectory, content: String) throws {
        self.name = name
        files = "\(directory.path)/\(name)"
        let place = "\(files)-root"
        mkdir(place, 0o755)
        let script = """
            set -e
            hostname \(name)
            ip link set lo up
            mount -t tmpfs tmpfs \(place)
            for folder in etc var usr/local; do
                mkdir -p \(place)/$folder/upper \(place)/$folder/work
                mount -t overlay overlay \
                    -o lowerdir=/$folder,upperdir=\(place)/$folder/upper,workdir=\(place)/$folder/work /$folder
            done
            mount -t tmpfs tmpfs /run
            for folder in /var/lib/docker /var/lib/containerd; do
                mkdir -p $folder
                mount -t tmpfs tmpfs $folder
            done
            mkdir -p /var/lib/etcd /opt/guide
            echo up
            exec sleep 900
            """
        keeper = try ChildProcess(
            "/usr/bin/unshare",
            [
                "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c", script,
            ], files: files)
        _ = try keeper.firstLine()
        self.content = content
    }

    private let content: String

    var wrapper: [String] {
        let space = "/proc/\(keeper.pid)/ns"
        return [
            "/usr/bin/nsenter", "--net=\(space)/net", "--mount=\(space)/mnt", "--uts=\(space)/uts",
            "--pid=\(space)/pid_for_children",
        ]
    }

    var networkPath: String { "/proc/\(keeper.pid)/ns/net" }

    /// Runs a shell script there, in the folder with the guide's files; its exit status and all that it said.
    func run(_ script: String) throws -> (status: Int32, output: String) {
        runs += 1
        let paths = "export \(EtcdPrograms.path) ETCDCTL_API=3\nexport PATH=\(content)/stand-ins:$PATH"
        let text = "cd \(content)\n\(paths)\nset -e\nexec 2>&1\n\(script)"
        let words = wrapper + ["/bin/bash", "-c", text]
        let child = try ChildProcess(words[0], Array(words.dropFirst()), files: "\(files)-run-\(runs)")
        return (try child.waitExit(within: 90), child.output + child.errors)
    }
}
