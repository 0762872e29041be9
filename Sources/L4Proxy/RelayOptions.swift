public import Reactor

/// Settings of relayed connections. Times are nanoseconds.
public struct RelayOptions: Sendable {
    /// For one dial.
    public var connectTimeout: UInt64 = 3_000_000_000
    /// Without a byte either way, where the service does not say; 0: none, so that idle sessions live as long as both
    /// ends do.
    public var idleTimeout: UInt64 = 0
    /// Dials for one session.
    public var dialAttempts = 3

    public init() {}
}

/// What one worker has counted.
public struct RelayCounters: Sendable {
    public var sessionsAccepted: UInt64 = 0
    public var sessionsOpen: UInt64 = 0
    /// Ended because no instance could be reached.
    public var sessionsRefused: UInt64 = 0
    /// Dials that failed, those of `shortages` included.
    public var dialFailures: UInt64 = 0
    public var shortages = ShortageCounters()
    public var idleTimeouts: UInt64 = 0
    public var resets: UInt64 = 0
    /// Ended because one side acknowledged nothing any more.
    public var unanswered: UInt64 = 0
    public var bytesFromClients: UInt64 = 0
    public var bytesToClients: UInt64 = 0

    public init() {}
}
