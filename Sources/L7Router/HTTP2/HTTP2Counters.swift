/// What one worker has counted of HTTP/2.
public struct HTTP2Counters: Sendable {
    public var connections: UInt64 = 0
    public var connectionsOpen: UInt64 = 0
    public var streams: UInt64 = 0
    public var streamsOpen: UInt64 = 0
    /// RST_STREAM frames, by who sent them.
    public var resetsReceived: UInt64 = 0
    public var resetsSent: UInt64 = 0
    /// Connections ended because of what the client sent.
    public var rapidResets: UInt64 = 0
    public var frameFloods: UInt64 = 0
    public var headFloods: UInt64 = 0
    public var protocolErrors: UInt64 = 0
    /// Requests sent to instances by HTTP/2.
    public var upstreamStreams: UInt64 = 0
    /// Times that an instance had no stream left for another tunnel.
    public var tunnelsRefused: UInt64 = 0
    public var timeouts: UInt64 = 0

    public init() {}
}
