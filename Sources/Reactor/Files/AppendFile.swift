import CLinux
import Glibc

/// A file, or standard output, that blocks of bytes are appended to.
public struct AppendFile: ~Copyable {
    private let descriptor: Int32

    /// - Parameter path: `stdout` for standard output.
    public init(_ path: String) throws(SystemError) {
        descriptor =
            path == "stdout" ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SystemError("open", errno) }
    }

    deinit { close(descriptor) }

    /// Writes the block in one call, so that blocks of several threads do not mix. `false`: not all of it was taken.
    public func append(_ block: [UInt8]) -> Bool {
        let fd = descriptor
        guard case .count(let count) = retrying({ block.withUnsafeBytes { write(fd, $0.baseAddress, $0.count) } })
        else {
            return false
        }
        return count == block.count
    }
}
