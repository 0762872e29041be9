public import Reactor

/// What one worker has counted. Plain values: written by the worker, copied to whoever asks.
public struct RouterCounters: Sendable {
    /// Upper bounds of the latency histogram in nanoseconds; the last bucket has none.
    public static let latencyBounds: [UInt64] = [
        500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
        500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]

    public var connectionsAccepted: UInt64 = 0
    public var connectionsOpen: UInt64 = 0
    public var instanceConnectionsOpened: UInt64 = 0
    public var instanceConnectionsOpen: UInt64 = 0
    public var requests: UInt64 = 0
    /// By class: 1xx ... 5xx.
    public var responses: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
    /// Answers that meshd made itself.
    public var madeHere: UInt64 = 0
    /// Requests sent again; a dial that failed is none.
    public var retries: UInt64 = 0
    /// Dials that failed, those of `shortages` included.
    public var dialFailures: UInt64 = 0
    public var shortages = ShortageCounters()
    /// Connections to instances given up because nothing was acknowledged any more.
    public var unanswered: UInt64 = 0
    public var malformedRequests: UInt64 = 0
    public var malformedResponses: UInt64 = 0
    public var clientAborts: UInt64 = 0
    public var cutResponses: UInt64 = 0
    public var timeouts: UInt64 = 0
    public var buffersRefused: UInt64 = 0
    public var upgrades: UInt64 = 0
    public var tunnelIdleTimeouts: UInt64 = 0
    public var bytesFromClients: UInt64 = 0
    public var bytesToClients: UInt64 = 0
    public var http2 = HTTP2Counters()
    /// Lines of the access log that found no room.
    public var accessLinesDropped: UInt64 = 0
    public var latencyBuckets = [UInt64](repeating: 0, count: Self.latencyBounds.count + 1)
    public var latencySumNanoseconds: UInt64 = 0

    public init() {}

    mutating func countResponse(_ status: Int) {
        switch status / 100 {
        case 1: responses.0 += 1
        case 2: responses.1 += 1
        case 3: responses.2 += 1
        case 4: responses.3 += 1
        default: responses.4 += 1
        }
    }

    mutating func countLatency(_ nanoseconds: UInt64) {
        latencySumNanoseconds &+= nanoseconds
        var bucket = 0
        while bucket < Self.latencyBounds.count, nanoseconds > Self.latencyBounds[bucket] { bucket += 1 }
        latencyBuckets[bucket] += 1
    }
}
