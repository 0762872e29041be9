import CLinux
import Glibc

/// A system call that failed for a reason other than "not now".
public struct SystemError: Error, Hashable, CustomStringConvertible {
    /// The `errno` value.
    public let code: Int32
    /// The call, as in its manual page.
    public let call: String

    public init(_ call: String, _ code: Int32) {
        self.call = call
        self.code = code
    }

    public var description: String { "\(call): \(Self.text(code))" }

    public static func text(_ code: Int32) -> String { String(cString: strerror(code)) }

    public static let connectionRefused = ECONNREFUSED
    public static let connectionReset = ECONNRESET
    public static let timedOut = ETIMEDOUT

    public static let outOfDescriptors: Set<Int32> = [EMFILE, ENFILE, ENOBUFS, ENOMEM]

    /// The machine, not the peer, is short of something: descriptors, memory, or local ports.
    public var isShortage: Bool { Self.outOfDescriptors.contains(code) || code == EADDRNOTAVAIL }
}

/// What became of a `recv` or `send` on a non-blocking descriptor.
public enum IOResult {
    /// Bytes moved; of a read, 0 is the peer's end of stream.
    case count(Int)
    case wouldBlock
    /// The `errno` value.
    case failed(Int32)

    @inline(__always)
    init(countOrMinusError result: Int) {
        if result >= 0 {
            self = .count(result)
        } else {
            self = result == -Int(EAGAIN) ? .wouldBlock : .failed(Int32(truncatingIfNeeded: -result))
        }
    }
}

/// Runs a call until it is not interrupted. Never inlined: nothing may touch `errno` between the call and its reading.
@inline(never)
func retrying(_ call: () -> Int) -> IOResult {
    while true {
        let result = call()
        if result >= 0 { return .count(result) }
        let code = errno
        if code == EINTR { continue }
        return code == EAGAIN ? .wouldBlock : .failed(code)
    }
}
