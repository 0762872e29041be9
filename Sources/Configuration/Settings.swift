public import NetAddress

/// What `meshd run` is told: flags over `meshd.yaml` over defaults.
///
/// `SettingsTable` declares each one's name, range, unit and help.
public struct Settings: Sendable, Equatable {
    /// Where services and instances are announced, as written.
    public var registries: [String] = []
    /// The web listener; `nil`: none.
    public var http: SocketAddress?
    public var tls = TLSSettings()
    /// Where published ports listen that name no address.
    public var publishAddress: IPAddress
    public var vipRange: IPNetwork
    /// The DNS listener, UDP and TCP; `nil`: none.
    public var dns: SocketAddress?
    public var dnsUpstreams: [SocketAddress] = []
    public var dnsTTLSeconds = 5
    /// Peers whose connections begin with a PROXY header.
    public var proxyProtocolFrom: [IPNetwork] = []
    /// Listeners where they do: `web`, `published`, `vip`.
    public var proxyProtocolOn = ["web", "published"]
    /// Lower case, without a dot at either end.
    public var routingDomain: String?
    public var admin: AdminEndpoint? = .usual
    /// Worker loops, 1...256.
    public var workers: Int
    /// This node's name.
    public var node: String
    /// Where this node stands; `nil`: not said.
    public var zone: String?
    public var stateDirectory: String?
    /// Registry in which this node announces what its engines run; `nil`: it does not.
    public var announce: String?
    public var announceTTLSeconds = 10
    /// Key of session cookies, the same on all nodes.
    public var sessionSecret: String?
    /// How long instances stay that a registry loses all at once; 0: not at all.
    public var registryEmptyHoldSeconds = 30.0
    public var logLevel = LogLevel.info
    public var accessLog = AccessLog.off
    public var accessLogFormat = AccessLogFormat.json

    public var graceSeconds = 30.0
    public var headTimeoutSeconds = 10.0
    /// Between two reads of a body.
    public var bodyTimeoutSeconds = 60.0
    public var connectTimeoutSeconds = 3.0
    public var responseTimeoutSeconds = 60.0
    /// A downstream connection between two requests.
    public var idleTimeoutSeconds = 75.0
    public var upstreamIdleTimeoutSeconds = 30.0
    /// A relayed TCP session without a byte either way; 0: no limit.
    public var tcpIdleTimeoutSeconds = 0.0
    /// A UDP flow without a datagram either way.
    public var udpIdleTimeoutSeconds = 30.0
    /// An upgraded connection (WebSocket) without a byte either way; 0: no limit.
    public var tunnelIdleTimeoutSeconds = 3_600.0

    public var maxHeadBytes = 15_360
    public var maxHeaders = 100
    public var retries = 2
    public var dialAttempts = 3
    public var forwardingHeaders = ForwardingHeaders.xForwarded
    /// Peers whose claims of a client's address, scheme, host and request id are believed.
    public var trustedProxies: [IPNetwork] = []
    /// Responses carry `X-Request-ID`, too.
    public var tellsClientRequestID = false
    public var traceParent = TraceParentMode.pass
    public var servesLocalNames = false
    /// 404 or 503.
    public var unknownHostStatus = 404
    /// 0: from the descriptor limit.
    public var maxConnections = 0
    /// Streams open at one time on one HTTP/2 connection.
    public var http2ConcurrentStreams = 128
    /// Streams reset a second on one HTTP/2 connection; 0: no limit.
    public var http2ResetsPerSecond = 100
    /// Frames without content a second on one HTTP/2 connection; 0: no limit.
    public var http2ControlFramesPerSecond = 1_000
    /// UDP flows of the node.
    public var maxUDPFlows = 65_536
    /// Per worker, in MiB.
    public var bufferLimitMiB = 512

    /// - Parameters:
    ///   - node: the default of `--node`, the host's name.
    ///   - workers: the default of `--workers`, the processors this process may use.
    ///   - hasIPv6: whether the system has IPv6, which the default of `--publish-address` depends on.
    public init(node: String, workers: Int, hasIPv6: Bool) {
        guard let range = IPNetwork("127.96.0.0/16") else { preconditionFailure("a constant") }
        vipRange = range
        publishAddress = hasIPv6 ? .anyV6 : .anyV4
        self.node = node
        self.workers = workers
    }
}

/// Where the admin interface listens.
public enum AdminEndpoint: Hashable, Sendable, CustomStringConvertible {
    case tcp(SocketAddress)
    case unix(path: String)

    /// Where a node is asked when nobody says otherwise.
    public static let usual = AdminEndpoint.tcp(SocketAddress(.loopbackV4, 9900))

    /// Reads `ADDRESS:PORT` or `unix:PATH`; a path has at most 107 bytes (`sun_path` of unix(7)).
    public init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard (1...107).contains(path.utf8.count), !path.utf8.contains(0) else { return nil }
            self = .unix(path: path)
        } else if let address = SocketAddress(text) {
            self = .tcp(address)
        } else {
            return nil
        }
    }

    public var description: String {
        switch self {
        case .tcp(let address): address.description
        case .unix(let path): "unix:\(path)"
        }
    }
}

/// Which fields tell instances of the client.
public enum ForwardingHeaders: String, Sendable, CaseIterable {
    case xForwarded = "x-forwarded"
    case forwarded, both, none
}

/// What becomes of requests without a valid `traceparent`.
public enum TraceParentMode: String, Sendable, CaseIterable {
    case pass, generate
}

/// The least severe lines that are logged.
public enum LogLevel: String, Sendable, CaseIterable {
    case debug, info, warning, error
}

/// Where one line per request goes.
public enum AccessLog: Hashable, Sendable, CustomStringConvertible {
    case off, stdout
    case file(path: String)

    public var description: String {
        switch self {
        case .off: "off"
        case .stdout: "stdout"
        case .file(let path): path
        }
    }
}

/// How a line of the access log is written.
public enum AccessLogFormat: String, Sendable, CaseIterable {
    case json, combined
}

/// Why the settings are not taken, on one line.
public struct SettingsProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// `--retries`, or `meshd.yaml:3:10: retries`, or a file.
    public let place: String
    public let message: String

    public init(place: String, message: String) {
        self.place = place
        self.message = message
    }

    public var description: String {
        let text = "\(place): \(message)"
        var line = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value)
            line.append(isControl || scalar.value == 0x2028 || scalar.value == 0x2029 ? "?" : scalar)
        }
        return String(line)
    }
}
