/// What an alias server may use at most.
public struct AliasDNSLimits: Hashable, Sendable {
    /// TCP clients at one time; more wait in the kernel's queue.
    public var clients = 256
    /// A TCP client without a whole query, or that reads no answer, is closed after this time.
    public var idleNanoseconds: UInt64 = 10_000_000_000
    /// Queries at the upstreams at one time; more get SERVFAIL.
    public var forwards = 1024
    /// Queries of one TCP client at the upstreams at one time; it is not read from meanwhile.
    public var forwardsPerClient = 16
    /// What one attempt at one upstream may take.
    public var forwardNanoseconds: UInt64 = 2_000_000_000

    public init() {}

    /// The longest query taken, in bytes. A longer one over UDP is dropped, over TCP its connection is closed.
    static let queryLength = 4096
    /// Datagrams handled in one turn of the loop.
    static let datagramsPerTurn = 64
    /// Bytes taken in from a TCP client and not yet handled.
    static let inboxLength = 16 << 10
    /// Answers that a TCP client has not read, in bytes; above it is closed.
    static let unreadLength = 256 << 10
}
