import CLinux
import Glibc

/// A child of the test process with its output in files. Killed, by its own id, when the owner lets go of it.
final class ChildProcess {
    let pid: pid_t
    let outputPath: String
    let errorPath: String
    private var status: Int32?

    var output: String { TextFile.read(outputPath) }
    var errors: String { TextFile.read(errorPath) }

    /// - Parameters:
    ///   - descriptorLimit: RLIMIT_NOFILE of the child, soft and hard.
    ///   - descriptors: what the child finds as its descriptors 3, 4, …
    init(
        _ path: String, _ arguments: [String], files: String, descriptorLimit: Int? = nil, descriptors: [Int32] = []
    ) throws {
        outputPath = files + ".out"
        errorPath = files + ".err"
        var words = [path] + arguments
        if let descriptorLimit {
            words = ["/bin/sh", "-c", "ulimit -n \(descriptorLimit); exec \"$0\" \"$@\""] + words
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        // Copies out of the way first: a target may be another's source.
        let copies = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 64) }
        defer { for copy in copies { close(copy) } }
        for (index, copy) in copies.enumerated() { posix_spawn_file_actions_adddup2(&actions, copy, 3 + Int32(index)) }
        // The tests run on threads that block most signals; a child would start so, too.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for word in argv { free(word) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, words[0], &actions, &attributes, &argv, environ)
        guard code == 0 else { throw Failure("cannot start \(words[0]): errno \(code)") }
        self.pid = pid
    }

    /// Exit status if it has ended: 0...255, or 128 + signal.
    func poll() -> Int32? {
        if let status { return status }
        var raw: Int32 = 0
        guard waitpid(pid, &raw, WNOHANG) == pid else { return nil }
        status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
        return status
    }

    func waitExit(within seconds: Double = 15) throws -> Int32 {
        try awaited(within: seconds, "process \(pid) ends") { poll() }
    }

    func signal(_ number: Int32) {
        if poll() == nil { kill(pid, number) }
    }

    deinit {
        if poll() == nil {
            kill(pid, SIGKILL)
            var raw: Int32 = 0
            waitpid(pid, &raw, 0)
        }
    }
}
