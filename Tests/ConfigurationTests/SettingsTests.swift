import Configuration
import Glibc
import NetAddress
import Testing

@Suite struct SettingsTests {
    private static let defaults = Settings(node: "here", workers: 2, hasIPv6: false)

    private struct NoFile: Error, CustomStringConvertible {
        let description = "No such file or directory"
    }

    private func parse(_ arguments: [String], file: String? = nil) throws(SettingsProblem) -> Settings {
        try Settings.parse(arguments, defaults: Self.defaults) { _ throws(NoFile) in
            guard let file else { throw NoFile() }
            return Array(file.utf8)
        }
    }

    private func problem(_ arguments: [String], file: String? = nil) -> String? {
        do throws(SettingsProblem) {
            _ = try parse(arguments, file: file)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func defaults() throws {
        let settings = try parse([])
        #expect(settings == Self.defaults)
        #expect(settings.publishAddress == IPAddress("0.0.0.0"))
        #expect(settings.vipRange.description == "127.96.0.0/16")
        #expect(Settings(node: "", workers: 1, hasIPv6: true).publishAddress == .anyV6)
        #expect((settings.http, settings.dns, settings.admin) == (nil, nil, .usual))
        #expect(settings.admin?.description == "127.0.0.1:9900")
        #expect((settings.node, settings.workers) == ("here", 2))
        #expect((settings.maxHeadBytes, settings.maxHeaders, settings.retries) == (15_360, 100, 2))
    }

    private static let every: [(name: String, value: String)] = [
        ("registry", "file:a.yaml"), ("http", "127.0.0.1:8080"), ("publish-address", "127.0.0.1"),
        ("vip-range", "127.97.0.0/16"), ("dns", "[::1]:53"), ("routing-domain", "Company.com"),
        ("admin", "unix:/run/meshd.sock"), ("workers", "4"), ("node", "n1"), ("zone", "east"),
        ("proxy-protocol-from", "10.0.0.0/8"), ("proxy-protocol-on", "vip"),
        ("state-dir", "/var/lib/meshd"), ("announce", "etcd://h/mesh"), ("announce-ttl-seconds", "20"),
        ("dns-upstream", "1.1.1.1:53"), ("log-level", "debug"), ("access-log", "stdout"),
        ("access-log-format", "combined"), ("grace-seconds", "1.5"),
        ("head-timeout-seconds", "1"), ("body-timeout-seconds", "2"), ("connect-timeout-seconds", "0.25"),
        ("response-timeout-seconds", "4"), ("idle-timeout-seconds", "5"), ("upstream-idle-timeout-seconds", "6"),
        ("udp-idle-timeout-seconds", "9"), ("max-udp-flows", "99"),
        ("registry-empty-hold-seconds", "9"), ("tcp-idle-timeout-seconds", "7"), ("tunnel-idle-timeout-seconds", "8"),
        ("max-head-bytes", "2048"), ("max-headers", "64"), ("retries", "0"),
        ("dial-attempts", "1"), ("serve-local-names", "true"), ("unknown-host-status", "503"),
        ("forwarding-headers", "both"), ("trusted-proxies", "10.0.0.0/8"), ("request-id-to-client", "true"),
        ("trace-parent", "generate"),
        ("https", "127.0.0.1:8443"), ("certificates", "/etc/meshd/tls"), ("default-certificate", "web"),
        ("tls-minimum", "1.3"), ("tls-ciphers", "ECDHE+AESGCM"), ("tls-cipher-suites", "TLS_AES_128_GCM_SHA256"),
        ("tls-groups", "P-256"), ("handshake-timeout-seconds", "3"), ("max-handshakes", "10"),
        ("ticket-rotation-seconds", "60"), ("ticket-keys", "/k"), ("client-ca", "/ca.pem"),
        ("client-certificates", "optional"), ("hsts-max-age", "9"), ("redirect-https", "8443"),
        ("session-secret", "a b c"),
        ("max-connections", "1000"), ("dns-ttl-seconds", "1"), ("buffer-limit-mib", "64"),
        ("http2-concurrent-streams", "7"), ("http2-resets-per-second", "8"), ("http2-control-frames-per-second", "9"),
    ]

    private static var tls: TLSSettings {
        var tls = TLSSettings()
        tls.https = SocketAddress("127.0.0.1:8443")
        (tls.certificates, tls.defaultCertificate) = ("/etc/meshd/tls", "web")
        (tls.minimum, tls.ciphers, tls.cipherSuites) = (.v13, "ECDHE+AESGCM", "TLS_AES_128_GCM_SHA256")
        (tls.groups, tls.handshakeTimeoutSeconds, tls.maxHandshakes) = ("P-256", 3, 10)
        (tls.ticketRotationSeconds, tls.ticketKeys) = (60, "/k")
        (tls.clientAuthorities, tls.clientCertificates) = ("/ca.pem", .optional)
        (tls.hstsMaxAgeSeconds, tls.redirectPort) = (9, 8443)
        return tls
    }

    private static var expected: Settings {
        var settings = Settings(node: "n1", workers: 4, hasIPv6: false)
        settings.registries = ["file:a.yaml"]
        settings.zone = "east"
        settings.announce = "etcd://h/mesh"
        settings.announceTTLSeconds = 20
        settings.udpIdleTimeoutSeconds = 9
        settings.maxUDPFlows = 99
        settings.proxyProtocolFrom = [IPNetwork("10.0.0.0/8")].compactMap { $0 }
        settings.proxyProtocolOn = ["vip"]
        settings.http = SocketAddress("127.0.0.1:8080")
        settings.tls = tls
        settings.publishAddress = .loopbackV4
        settings.vipRange = IPNetwork("127.97.0.0/16") ?? settings.vipRange
        settings.dns = SocketAddress("[::1]:53")
        settings.routingDomain = "company.com"
        settings.sessionSecret = "a b c"
        settings.admin = .unix(path: "/run/meshd.sock")
        settings.stateDirectory = "/var/lib/meshd"
        settings.dnsUpstreams = [SocketAddress(IPAddress(v4: 0x0101_0101), 53)]
        (settings.logLevel, settings.accessLog, settings.accessLogFormat) = (.debug, .stdout, .combined)
        (settings.graceSeconds, settings.headTimeoutSeconds, settings.bodyTimeoutSeconds) = (1.5, 1, 2)
        (settings.connectTimeoutSeconds, settings.responseTimeoutSeconds) = (0.25, 4)
        (settings.idleTimeoutSeconds, settings.upstreamIdleTimeoutSeconds, settings.tcpIdleTimeoutSeconds) = (5, 6, 7)
        (settings.maxHeadBytes, settings.maxHeaders, settings.retries, settings.dialAttempts) = (2048, 64, 0, 1)
        (settings.servesLocalNames, settings.unknownHostStatus, settings.maxConnections) = (true, 503, 1000)
        (settings.dnsTTLSeconds, settings.bufferLimitMiB, settings.tunnelIdleTimeoutSeconds) = (1, 64, 8)
        (settings.forwardingHeaders, settings.traceParent) = (.both, .generate)
        (settings.trustedProxies, settings.tellsClientRequestID) = ([IPNetwork("10.0.0.0/8")].compactMap { $0 }, true)
        (settings.http2ConcurrentStreams, settings.http2ResetsPerSecond) = (7, 8)
        settings.http2ControlFramesPerSecond = 9
        settings.registryEmptyHoldSeconds = 9
        return settings
    }

    @Test func everySettingAsFlagAndAsKey() throws {
        #expect(
            try parse(
                Self.every.flatMap { $0.value == "true" ? ["--\($0.name)"] : ["--\($0.name)", $0.value] })
                == Self.expected)
        #expect(try parse(Self.every.map { "--\($0.name)=\($0.value)" }) == Self.expected)
        let file = Self.every.map { "\($0.name): '\($0.value)'\n" }.joined()
        #expect(try parse(["--config", "m.yaml"], file: file) == Self.expected)
        // The list above is the whole table.
        let rows = Settings.reference().split(separator: "\n").count - 2
        #expect(rows == Self.every.count)
        for (name, _) in Self.every {
            #expect(Settings.reference().contains("| `\(name)`"))
            #expect(Settings.help().contains("--\(name) "))
        }
    }

    @Test func flagsWinOverTheFile() throws {
        let file = "registry: [file:a, file:b]\nworkers: 3\nretries: 5\ndns-upstream: 1.1.1.1:53\n"
        let settings = try parse(
            ["--registry", "file:c", "--config=m", "--workers", "1", "--registry=file:d"], file: file)
        #expect(settings.registries == ["file:c", "file:d"])
        #expect((settings.workers, settings.retries) == (1, 5))
        #expect(settings.dnsUpstreams.count == 1)
        #expect(try parse(["--config", "m"], file: "registry: [file:a, file:b]").registries == ["file:a", "file:b"])
        #expect(try parse(["--config", "m"], file: "# nothing\n") == Self.defaults)
    }

    @Test(arguments: [
        (["--retries", "11"], "--retries: '11' is not a whole number from 0 to 10"),
        (["--retries", "-1"], "--retries: '-1' is not"), (["--retries", "1.0"], "--retries: '1.0' is not"),
        (["--retries", "99999999999999999999"], "--retries: '99999999999999999999' is not"),
        (["--retries"], "--retries: has no value"), (["--retries", "1", "--retries", "2"], "--retries: given more"),
        (["--config"], "--config: has no value"),
        (["--retires", "1"], "--retires: unknown flag; did you mean '--retries'?"),
        (["--entirely-else"], "--entirely-else: unknown flag"), (["x"], "x: unexpected"), (["--"], "--: unexpected"),
        (["-v"], "-v: unexpected"), (["--http", "8080"], "--http: '8080' is not ADDRESS:PORT"),
        (["--http", "localhost:80"], "--http: 'localhost:80' is not"),
        (["--vip-range", "127.96.0.1/16"], "--vip-range: "),
        (["--vip-range", "127.96.0.0/30"], "--vip-range: '127.96.0.0/30' has room"),
        (["--publish-address", "x"], "--publish-address: 'x' is not an IP address"),
        (["--admin", "unix:"], "--admin: "),
        (["--admin", "unix:/" + String(repeating: "x", count: 107)], "--admin: "), (["--workers", "0"], "--workers: "),
        (["--routing-domain", "a..b"], "--routing-domain: 'a..b' is not"),
        (["--log-level", "loud"], "--log-level: 'loud' is not one of debug, info, warning, error"),
        (["--forwarding-headers", "via"], "--forwarding-headers: 'via' is not one of x-forwarded, forwarded, both"),
        (["--trace-parent", ""], "--trace-parent: '' is not one of pass, generate"),
        (["--trusted-proxies", "10.0.0.1/8"], "--trusted-proxies: '10.0.0.1/8' is not ADDRESS or ADDRESS/LENGTH"),
        (["--trusted-proxies", "proxy.example"], "--trusted-proxies: 'proxy.example' is not"),
        (Array(repeating: "--trusted-proxies=::1", count: 65), "--trusted-proxies: given more than 64 times"),
        (["--access-log", ""], "--access-log: the value is empty"),
        (["--unknown-host-status", "500"], "--unknown-host-status: '500' is not 404 or 503"),
        (["--grace-seconds", "inf"], "--grace-seconds: 'inf'"),
        (["--connect-timeout-seconds", "0"], "--connect-timeout-seconds: "),
        (["--max-head-bytes", "15361"], "--max-head-bytes: "), (["--max-headers", "7"], "--max-headers: "),
        (["--serve-local-names=yes"], "--serve-local-names: 'yes' is not true or false"),
        (["--serve-local-names", "true"], "true: unexpected"), (["--node", "a\nb"], "--node: the value is longer"),
        (["--config", "gone.yaml"], "gone.yaml: cannot read: No such file or directory"),
        (Array(repeating: "--dns-upstream=1.1.1.1:53", count: 9), "--dns-upstream: given more than 8 times"),
    ])
    func flagFaults(_ arguments: [String], _ expected: String) throws {
        let found = try #require(problem(arguments), "\(arguments)")
        #expect(found.hasPrefix(expected), "\(found)")
        #expect(!found.contains("\n"))
    }

    @Test(arguments: [
        ("retries: 11", "m.yaml:1:10: retries: '11' is not a whole number from 0 to 10"),
        ("http: 127.0.0.1:80\nretires: 1", "m.yaml:2:1: retires: unknown setting; did you mean 'retries'?"),
        ("config: x", "m.yaml:1:1: config: unknown setting"), ("qqqqqqqq: x", "m.yaml:1:1: qqqqqqqq: unknown setting"),
        ("retries: [1]", "m.yaml:1:10: retries: must be one value"), ("retries:", "m.yaml:1:9: retries: has no value"),
        ("registry: [[x]]", "m.yaml:1:12: registry: must be a list of values"),
        ("retries: 1\nretries: 2", "m.yaml:2:1: retries: this key is already there"),
        ("- a", "m.yaml:1:1: must be a mapping"), ("a: [", "m.yaml:"),
        ("serve-local-names: yes", "m.yaml:1:20: serve-local-names: 'yes'"),
    ])
    func fileFaults(_ text: String, _ expected: String) throws {
        let found = try #require(problem(["--config", "m.yaml"], file: text), "\(text)")
        #expect(found.hasPrefix(expected), "\(found)")
    }

    @Test func otherFormsOfValues() throws {
        #expect(try parse(["--admin", "127.0.0.1:9900"]).admin == .tcp(SocketAddress(.loopbackV4, 9900)))
        #expect(try parse(["--access-log=off"]).accessLog == .off)
        #expect(try parse(["--access-log", "/var/log/a"]).accessLog == .file(path: "/var/log/a"))
        #expect(try parse(["--serve-local-names=false"]).servesLocalNames == false)
        #expect(try parse(["--vip-range", "fd00::/64"]).vipRange.description == "fd00::/64")
        let proxies = ["--trusted-proxies", "127.0.0.1", "--trusted-proxies=fd00::/8", "--trusted-proxies=::1"]
        #expect(try parse(proxies).trustedProxies.map(\.description) == ["127.0.0.1/32", "fd00::/8", "::1/128"])
        #expect(try parse(["--state-dir=a=b"]).stateDirectory == "a=b")
    }

    private static func documentation() throws -> String {
        let folder = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try #require(fopen("\(folder)/docs/configuration.md", "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    @Test func theReferenceIsWhatTheDocumentationShows() throws {
        let text = try Self.documentation()
        let marked = "<!-- settings:begin -->\n\(Settings.reference())<!-- settings:end -->\n"
        let hint = "docs/configuration.md is behind; between its markers belongs:\n\(Settings.reference())"
        #expect(text.contains(marked), "\(hint)")
    }

    @Test func examplesOfTheDocumentationAreWithoutFaults() throws {
        let blocks = try Self.documentation().split(separator: "```yaml\n# meshd.yaml").dropFirst()
        #expect(blocks.count >= 2)
        for block in blocks {
            let text = "#" + (block.split(separator: "```").first ?? "")
            #expect(try parse(["--config", "meshd.yaml"], file: text) != Self.defaults, "\(text)")
        }
    }
}
