import CLinux
import Glibc

/// A pipe that bytes are spliced through without being copied.
public struct PipePair: Sendable {
    public let readEnd: Int32
    public let writeEnd: Int32

    /// - Parameter capacity: bytes asked for; the system may grant less.
    public init(capacity: Int) throws(SystemError) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &ends) {
            pipe2($0.baseAddress!.assumingMemoryBound(to: Int32.self), O_NONBLOCK | O_CLOEXEC)
        }
        guard result == 0 else { throw SystemError("pipe2", errno) }
        (readEnd, writeEnd) = ends
        // Without the larger size it works all the same, with more calls.
        _ = fcntl(writeEnd, meshd_f_setpipe_sz, Int32(clamping: capacity))
    }

    public func close() {
        _ = Glibc.close(readEnd)
        _ = Glibc.close(writeEnd)
    }
}
