import CLinux
import Glibc

/// This process.
public enum Process {
    public static func exit(_ status: Int32) -> Never { Glibc.exit(status) }

    /// For a start that cannot go on, on whatever thread notices.
    public static func abort() -> Never { _exit(1) }

    public static var hostName: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard gethostname(buffer.baseAddress!, 255) == 0 else { return "localhost" }
            return String(cString: buffer.baseAddress!)
        }
    }

    /// Writes all of the text; what a closed descriptor does not take is lost.
    public static func write(_ text: String, to descriptor: Int32 = 1) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            guard
                case .count(let count) = retrying({
                    rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                })
            else { return }
            rest = rest.dropFirst(count)
        }
    }

    public static let standardError: Int32 = 2

    /// A variable of the environment; `nil` where it is not set.
    public static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// Device and inode of what standard error is, as `DEVICE:INODE` in decimal digits.
    public static var standardErrorIdentity: String? {
        var status = stat()
        return fstat(standardError, &status) == 0 ? "\(status.st_dev):\(status.st_ino)" : nil
    }
}
