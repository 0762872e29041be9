public import HTTPCodec
public import MeshCore

/// Settings of the HTTP path. Times are nanoseconds.
public struct RouterOptions: Sendable {
    public var limits = MessageLimits()
    /// From the first byte of a head, or from accepting, to its end.
    public var headTimeout: UInt64 = 10_000_000_000
    /// Between two reads or two writes of a body, on either side.
    public var bodyTimeout: UInt64 = 60_000_000_000
    public var connectTimeout: UInt64 = 3_000_000_000
    /// From the end of the request to the head of the response.
    public var responseTimeout: UInt64 = 60_000_000_000
    /// A client's connection between two requests.
    public var idleTimeout: UInt64 = 75_000_000_000
    /// An instance's connection between two requests.
    public var instanceIdleTimeout: UInt64 = 30_000_000_000
    /// An upgraded connection without a byte either way; 0: none.
    public var tunnelIdleTimeout: UInt64 = 0
    /// Further tries of a request that may be repeated.
    public var retries = 2
    /// Dials for one request.
    public var dialAttempts = 3
    /// Status for a Host that no route takes: 404, or 503 as older meshes answered.
    public var unknownHostStatus = 404
    /// Idle connections kept for one instance by one worker.
    public var idlePerEndpoint = 512
    public var forwarding = ForwardingOptions()

    /// The same on all nodes.
    public var sessionKey = SessionKey.none
    public var http2 = HTTP2Options()

    /// Of TLS sessions whose route has no policy of its own.
    public var transportSecurity: TransportSecurity?
    /// Where requests in clear of the web listener are redirected; 0: they are served.
    public var httpsPort: UInt16 = 0

    public init() {}
}

/// What one HTTP/2 connection of a client may have and do, and one to an instance.
public struct HTTP2Options: Sendable {
    /// Streams open at one time.
    public var concurrentStreams = 128
    /// Octets of one body that wait for the other side at the most.
    public var streamWindowBytes = 128 << 10
    /// The same of all requests of a client: more than one, so that a stream nobody reads does not stop the others.
    /// Streams to an instance are different clients': there is no such limit, lest some of them stop the others.
    public var connectionWindowBytes = 1 << 20
    /// Streams at one time on one connection to an instance, whatever more the instance allows.
    public var upstreamStreams = 256
    /// Connections to one instance of one worker; beyond them requests wait for a stream.
    public var upstreamConnections = 8
    /// The same for tunnels, which have connections of their own; beyond them a tunnel is refused.
    public var upstreamTunnelConnections = 64
    /// Streams reset a second, five times as many at once; 0: no limit.
    public var resetsPerSecond = 100
    /// Frames a second that carry nothing: pings, settings, priorities, empty data; five times as many at once.
    /// 0: no limit.
    public var controlFramesPerSecond = 1000
    /// Octets of one head, as HTTP/2 counts them, beyond which the connection is ended.
    public var headFloodBytes = 128 << 10

    public init() {}
}
