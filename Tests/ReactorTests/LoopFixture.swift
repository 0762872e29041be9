import CLinux
import Glibc

@testable import Reactor

/// A handler made of closures.
final class TestHandler: Handler {
    var onReady: (Readiness) -> Void = { _ in }
    var onDeadline: () -> Void = {}
    var onResume: () -> Void = {}
    var onEnd: () -> Void = {}

    override func ready(_ readiness: Readiness) { onReady(readiness) }
    override func deadlineReached() { onDeadline() }
    override func resume() { onResume() }

    deinit { onEnd() }
}

/// Two ends of a non-blocking stream; closed at the end.
final class SocketPair {
    let near: Socket
    let far: Socket

    init() {
        var ends: (Int32, Int32) = (-1, -1)
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let result = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { socketpair(AF_UNIX, kind, 0, $0) }
        }
        precondition(result == 0)
        near = Socket(descriptor: ends.0)
        far = Socket(descriptor: ends.1)
    }

    deinit {
        near.close()
        far.close()
    }
}

extension Socket {
    @discardableResult
    func write(_ text: String) -> Int {
        let bytes = Array(text.utf8)
        guard case .count(let count) = bytes.withUnsafeBytes({ send($0.baseAddress!, $0.count) }) else { return -1 }
        return count
    }

    /// What can be read now; `nil` at the end of the stream or on an error.
    func readText() -> String? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        switch bytes.withUnsafeMutableBytes({ receive($0.baseAddress!, $0.count) }) {
        case .count(0), .failed: return nil
        case .count(let count): return String(decoding: bytes[..<count], as: UTF8.self)
        case .wouldBlock: return ""
        }
    }
}

extension EventLoop {
    /// Runs until somebody stops the loop; a test that hangs is stopped here, which its expectations then show.
    func runGuarded() {
        let watchdog = TestHandler()
        attach(watchdog)
        watchdog.onDeadline = { [unowned self] in stop() }
        setDeadline(watchdog, after: 20_000_000_000)
        run()
        detach(watchdog)
    }
}

/// A folder of its own that goes with the value.
final class TemporaryFolder {
    let path: String

    init() {
        var template = Array("/tmp/meshd-test-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }

    deinit {
        guard let folder = opendir(path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { unlink("\(path)/\(name)") }
        }
        closedir(folder)
        rmdir(path)
    }

    var names: [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names.filter { $0 != "." && $0 != ".." }.sorted()
    }
}
