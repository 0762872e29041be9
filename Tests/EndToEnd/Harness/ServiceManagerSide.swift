import CLinux
import Glibc

/// A listening socket that outlives the meshd that serves it.
final class PassedListener {
    /// As in `FileDescriptorName` of a socket unit.
    let name: String
    let fd: Int32
    let port: UInt16

    init(_ name: String, listens: Bool = true) throws {
        self.name = name
        port = FreePort.take()
        fd =
            listens
            ? try FreePort.listen(on: port)
            : socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    }

    deinit { close(fd) }
}

/// How a service manager starts a process.
enum ServiceManagerSide {
    /// Words before the command that set the environment, the process's own id in LISTEN_PID.
    static func wrapper(_ passed: [PassedListener], _ environment: [String: String]) -> [String] {
        var words: [String] = []
        if !environment.isEmpty { words = ["/usr/bin/env"] + environment.map { "\($0.key)=\($0.value)" } }
        guard !passed.isEmpty else { return words }
        let names = passed.map(\.name).joined(separator: ":")
        let script =
            "export LISTEN_PID=$$ LISTEN_FDS=\(passed.count) LISTEN_FDNAMES=\(names); exec \"$@\""
        return words + ["/bin/sh", "-c", script, "sh"]
    }
}

/// The datagram socket that `NOTIFY_SOCKET` names.
final class NotifySocket {
    let path: String
    private let fd: Int32
    private(set) var messages: [[String: String]] = []

    init(in directory: TemporaryDirectory) throws {
        path = directory.path + "/notify"
        fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard fd >= 0, result == 0 else { throw Failure("bind \(path): errno \(errno)") }
    }

    deinit { close(fd) }

    var environment: [String: String] { ["NOTIFY_SOCKET": path] }

    /// Takes what has come; one message is one set of assignments.
    @discardableResult
    func drain() -> [[String: String]] {
        var new: [[String: String]] = []
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(fd, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            guard count >= 0 else { break }
            let lines = String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
            let pairs = lines.map { line -> (String, String) in
                let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
            }
            new.append(Dictionary(pairs, uniquingKeysWith: { first, _ in first }))
        }
        messages += new
        return new
    }

    /// Waits for the next message that assigns `key`; those before it are passed over.
    func next(_ key: String, within seconds: Double = 15) throws -> [String: String] {
        if let index = unread.firstIndex(where: { $0[key] != nil }) { return take(index) }
        return try awaited(within: seconds, "\(key) from meshd; it said \(messages)") {
            unread += drain()
            return unread.firstIndex { $0[key] != nil }.map(take)
        }
    }

    private var unread: [[String: String]] = []

    private func take(_ index: Int) -> [String: String] {
        let message = unread[index]
        unread.removeFirst(index + 1)
        return message
    }
}
