/// One setting: a flag of `meshd run` and a key of `meshd.yaml`.
struct Setting {
    /// Without dashes; the key of `meshd.yaml`.
    let name: String
    let kind: SettingKind
    /// Said instead of the value that `Settings` begins with.
    var defaultText: String?
    var unit = ""
    let help: String

    init(_ name: String, _ kind: SettingKind, default text: String? = nil, unit: String = "", _ help: String) {
        self.name = name
        self.kind = kind
        defaultText = text
        self.unit = unit
        self.help = help
    }

    func shownDefault(_ settings: Settings) -> String { defaultText ?? kind.current(settings) ?? "none" }
}

/// Every setting, declared once: for flags, `meshd.yaml`, `--help` and the reference.
enum SettingsTable {
    static var all: [Setting] { whatIsServed + tls + names + forwarding + logs + timeouts + limits + http2 }

    private static var whatIsServed: [Setting] {
        [
            Setting(
                "registry", .texts(\.registries, limit: 32),
                "Where services and instances are announced: `file:PATH`, `etcd://HOST:PORT/PREFIX`, "
                    + "`etcds://` for TLS, `docker:///var/run/docker.sock`. Several are merged by service name."),
            Setting(
                "registry-empty-hold-seconds", .seconds(\.registryEmptyHoldSeconds, 0...86_400), unit: "s",
                "How long instances stay in force that a registry loses all at once; 0: not at all."),
            Setting("http", .endpoint(\.http), "Web listener: Host and path choose the service. None: no web routing."),
            Setting(
                "publish-address", .ip(\.publishAddress), default: "::, or 0.0.0.0 where the system has no IPv6",
                "Where published ports listen that name no address. `::` is every address of both families."),
            Setting(
                "vip-range", .network(\.vipRange),
                "Addresses that services get their VIP from. Outside 127.0.0.0/8 meshd adds a local route."
            ),
            Setting(
                "admin", .admin(\.admin),
                "Where `/live`, `/ready`, `/metrics`, `meshd status` and `meshd explain` are answered."),
            Setting(
                "proxy-protocol-from", .networks(\.proxyProtocolFrom, limit: 64),
                "Trusted peers: their connections begin with a PROXY header, which names the client."),
            Setting(
                "proxy-protocol-on", .someOf(\.proxyProtocolOn, ["web", "published", "vip"]),
                "Listeners where they do."),
            Setting("workers", .integer(\.workers, 1...256), default: "usable processors", "Worker loops."),
            Setting("node", .text(\.node), default: "host name", "This node's name."),
            Setting(
                "zone", .name(\.zone),
                "Where this node stands, for services that prefer the instances of their clients' zone."),
            Setting(
                "state-dir", .path(\.stateDirectory),
                "Folder that keeps services' VIPs, their weights and the last good catalogues over restarts."),
            Setting(
                "announce", .url(\.announce),
                "etcd registry in which this node announces, under a lease, what its Docker engines run."),
            Setting(
                "announce-ttl-seconds", .integer(\.announceTTLSeconds, 2...86_400), unit: "s",
                "How long that outlives this process when it cannot take it back."),
        ]
    }

    private static var names: [Setting] {
        [
            Setting("dns", .endpoint(\.dns), "DNS listener for aliases, UDP and TCP."),
            Setting(
                "dns-upstream", .endpoints(\.dnsUpstreams, limit: 8),
                "DNS server that other names are forwarded to. None: they are refused."),
            Setting(
                "dns-ttl-seconds", .integer(\.dnsTTLSeconds, 0...86_400), unit: "s", "Time to live of DNS answers."),
            Setting(
                "routing-domain", .domain(\.routingDomain),
                "Completes route hosts without a dot: `shop` becomes `shop.DOMAIN`."),
            Setting(
                "serve-local-names", .flag(\.servesLocalNames),
                "Serve `*.local` hosts on the web listener, too, not only inside the mesh."),
            Setting(
                "session-secret", .secret(\.sessionSecret),
                "Seals session cookies; the same on all nodes, and better in the file than in a flag."),
            Setting(
                "unknown-host-status", .choice(\.unknownHostStatus, [404, 503]),
                "Answer to a request that no route takes."),
        ]
    }

    private static var forwarding: [Setting] {
        [
            Setting(
                "forwarding-headers", .word(\.forwardingHeaders),
                "What tells instances of the client: `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`, or `Forwarded`."
            ),
            Setting(
                "trusted-proxies", .networks(\.trustedProxies, limit: 64),
                "Peers whose forwarding headers and `X-Request-ID` are believed and added to; others' are replaced."),
            Setting(
                "request-id-to-client", .flag(\.tellsClientRequestID), "Tell clients the `X-Request-ID`, too."),
            Setting(
                "trace-parent", .word(\.traceParent),
                "`generate` gives a request without a valid `traceparent` one."),
        ]
    }

    private static var logs: [Setting] {
        [
            Setting("log-level", .word(\.logLevel), "Least severe lines that are logged on standard error."),
            Setting(
                "access-log", .accessLog(\.accessLog),
                "Where one line per request goes. A file is opened anew on SIGUSR1."),
            Setting(
                "access-log-format", .word(\.accessLogFormat),
                "`json`, or the `combined` format of Apache and nginx."),
        ]
    }

    private static var timeouts: [Setting] {
        [
            Setting(
                "grace-seconds", .seconds(\.graceSeconds, 0...86_400), unit: "s",
                "How long what is in flight may finish after SIGTERM."),
            Setting(
                "head-timeout-seconds", .seconds(\.headTimeoutSeconds, 0.1...3_600), unit: "s",
                "For the whole head of a request, from its first byte."),
            Setting(
                "body-timeout-seconds", .seconds(\.bodyTimeoutSeconds, 0.1...86_400), unit: "s",
                "Between two reads of a body."),
            Setting(
                "connect-timeout-seconds", .seconds(\.connectTimeoutSeconds, 0.01...3_600), unit: "s",
                "For a connection to an instance."),
            Setting(
                "response-timeout-seconds", .seconds(\.responseTimeoutSeconds, 0.1...86_400), unit: "s",
                "From the sent request to the head of the response."),
            Setting(
                "idle-timeout-seconds", .seconds(\.idleTimeoutSeconds, 0.1...86_400), unit: "s",
                "Of a client's connection between two requests."),
            Setting(
                "upstream-idle-timeout-seconds", .seconds(\.upstreamIdleTimeoutSeconds, 0.1...86_400), unit: "s",
                "Of a pooled connection to an instance."),
            Setting(
                "tcp-idle-timeout-seconds", .seconds(\.tcpIdleTimeoutSeconds, 0...604_800), unit: "s",
                "Of a relayed TCP session without a byte either way; 0: none."),
            Setting(
                "udp-idle-timeout-seconds", .seconds(\.udpIdleTimeoutSeconds, 0.1...86_400), unit: "s",
                "Of a UDP flow without a datagram either way."),
            Setting(
                "tunnel-idle-timeout-seconds", .seconds(\.tunnelIdleTimeoutSeconds, 0...604_800), unit: "s",
                "Of an idle upgraded connection (WebSocket); 0: none."),
        ]
    }

    private static var limits: [Setting] {
        [
            Setting(
                "max-head-bytes", .integer(\.maxHeadBytes, 1_024...15_360), unit: "bytes",
                "Largest head of a request or response."),
            Setting("max-headers", .integer(\.maxHeaders, 8...128), "Most header fields of a head."),
            Setting(
                "retries", .integer(\.retries, 0...10),
                "Times a request is sent again because the connection to its instance broke."),
            Setting(
                "dial-attempts", .integer(\.dialAttempts, 1...10),
                "Instances dialled until one takes the connection; no part of `retries`."),
            Setting(
                "max-connections", .integer(\.maxConnections, 0...10_000_000),
                "Most client connections of the node; 0: from the descriptor limit."),
            Setting(
                "max-udp-flows", .integer(\.maxUDPFlows, 1...10_000_000),
                "Most UDP flows of the node, within a quarter of the descriptors."),
            Setting(
                "buffer-limit-mib", .integer(\.bufferLimitMiB, 1...65_536), unit: "MiB",
                "Most that one worker's connections hold in buffers."),
        ]
    }

    private static var http2: [Setting] {
        [
            Setting(
                "http2-concurrent-streams", .integer(\.http2ConcurrentStreams, 1...10_000),
                "Most requests at one time on one HTTP/2 connection."),
            Setting(
                "http2-resets-per-second", .integer(\.http2ResetsPerSecond, 0...1_000_000),
                "Streams that an HTTP/2 client may reset, five seconds' worth at once; 0: any number."),
            Setting(
                "http2-control-frames-per-second", .integer(\.http2ControlFramesPerSecond, 0...1_000_000),
                "Pings, settings, priorities, window updates and empty data that an HTTP/2 client may send, five "
                    + "seconds' worth at once; 0: any number."),
        ]
    }

    /// The known name nearest to a mistyped one, when it is near enough to be meant.
    static func suggestion(for name: String, among names: [String]) -> String? {
        guard name.utf8.count <= 64 else { return nil }
        let ranked = names.map { (name: $0, distance: distance(Array(name.utf8), Array($0.utf8))) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }), best.distance <= max(2, name.utf8.count / 4)
        else { return nil }
        return best.name
    }

    /// Insertions, deletions and replacements that lead from one text to the other (Levenshtein).
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let replaced = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
