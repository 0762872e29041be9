public import NetAddress

/// Settings of relayed datagrams. Times are nanoseconds.
public struct DatagramOptions: Sendable {
    /// Without a datagram either way; above 0.
    public var idleTimeout: UInt64 = 30_000_000_000
    /// Flows of one worker.
    public var flowLimit = 65_536
    /// At the limit a flow that has been silent for so long gives its place to a new one.
    public var evictableAfter: UInt64 = 1_000_000_000
    /// Addresses that are local by a route, not by an interface.
    public var vipRange: IPNetwork?
    /// While the worker drains, a flow ends after this silence.
    public var drainIdle: UInt64 = 1_000_000_000

    public init() {}
}

/// What one worker has counted.
public struct DatagramCounters: Sendable {
    public var flowsBegun: UInt64 = 0
    public var flowsOpen: UInt64 = 0
    /// Ended at the limit, to make room.
    public var flowsEvicted: UInt64 = 0
    /// Ended because their instance or their port left.
    public var flowsMoved: UInt64 = 0
    /// Ended because the instance could not be reached.
    public var flowFailures: UInt64 = 0
    public var droppedAtLimit: UInt64 = 0
    public var droppedWithoutInstance: UInt64 = 0
    /// The system took them not, or gave no socket.
    public var droppedBySocket: UInt64 = 0
    public var datagramsFromClients: UInt64 = 0
    public var datagramsToClients: UInt64 = 0
    public var bytesFromClients: UInt64 = 0
    public var bytesToClients: UInt64 = 0

    public init() {}
}
