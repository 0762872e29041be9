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
    public static let unsupportedFamily = EAFNOSUPPORT
    /// A handshake that failed.
    public static let brokenProtocol = EPROTO
    /// A certificate that is not trusted, or is another server's.
    public static let distrusted = EKEYREJECTED
    public static let outOfMemory = ENOMEM

    /// What the machine, not the peer, is short of; `nil` where it is another failure.
    public var shortage: Shortage? {
        switch code {
        case EMFILE, ENFILE: .descriptors
        case EADDRNOTAVAIL: .localPorts
        // ENOSPC: epoll_ctl at the limit of watched descriptors.
        case ENOBUFS, ENOMEM, ENOSPC: .memory
        default: nil
        }
    }

    public var isPermission: Bool { code == EPERM || code == EACCES }
    public var isNetworkDown: Bool { code == ENETDOWN }
    /// ENOENT or ENOTDIR.
    public var isMissingFile: Bool { code == ENOENT || code == ENOTDIR }
    /// The peer's port, host or network said that nobody is there.
    public var isUnreachable: Bool { [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ECONNRESET].contains(code) }

    public var isShortage: Bool { shortage != nil }
}

/// What a machine may be short of when it dials.
public enum Shortage: Sendable, Hashable, CaseIterable {
    /// Of the process or of the system.
    case descriptors
    /// No source port is free towards the address dialled.
    case localPorts
    /// Of the kernel.
    case memory
}

/// Dials that a shortage kept from being made. Numbers only grow.
public struct ShortageCounters: Sendable {
    public private(set) var descriptors: UInt64 = 0
    public private(set) var localPorts: UInt64 = 0
    public private(set) var memory: UInt64 = 0

    public init() {}

    public mutating func count(_ shortage: Shortage) {
        switch shortage {
        case .descriptors: descriptors += 1
        case .localPorts: localPorts += 1
        case .memory: memory += 1
        }
    }
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
