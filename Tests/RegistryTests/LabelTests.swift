import MeshCore
import NetAddress
import Registry
import Testing

@Suite struct LabelTests {
    // MARK: - Forms of labels

    @Test func mapsAndListsAreTheSame() throws {
        let map = try service("labels: {aliyun.scale: 3, aliyun.routing.port_80: a.com, other: true, empty: null}")
        let list = try service("labels:\n- aliyun.scale=3\n- aliyun.routing.port_80=a.com\n- other=x=y\n- empty")
        #expect(map == list)
        #expect(map.scale == 3)
    }

    @Test func deployLabelsCount() throws {
        let body = "labels: {aliyun.scale: 3}\ndeploy: {labels: {aliyun.scale: 4, mesh.vip: 127.96.0.9}}"
        let found = try catalogue(body)
        #expect(found.services[0].scale == 3)
        #expect(found.services[0].vip == IPAddress("127.96.0.9"))
        #expect(found.warnings.count == 1)
        #expect(found.warnings[0].key == "services.web.deploy.labels.aliyun.scale")
    }

    @Test func meshWinsWithAWarning() throws {
        let found = try catalogue("labels: {mesh.routing.port_80: m.com, aliyun.routing.port_80: a.com}")
        #expect(found.services[0].routes.map(\.host) == [.exact("m.com")])
        #expect(found.warnings.map(\.key) == ["services.web.labels.aliyun.routing.port_80"])
    }

    @Test func unknownLabelsWarnOnce() throws {
        let text = """
            services:
              a: {labels: {aliyun.rooting: x, com.other: y}}
              b: {labels: {aliyun.rooting: x, mesh.what: z, aliyun.vip: 1.2.3.4}}
            """
        let warnings = try parse(text).warnings
        #expect(
            warnings.map(\.key) == [
                "services.a.labels.aliyun.rooting", "services.b.labels.aliyun.vip", "services.b.labels.mesh.what",
            ])
    }

    @Test func controlPlaneLabelsPassInSilence() throws {
        let body = """
            labels:
              aliyun.global: true
              aliyun.rolling_updates: 'true'
              aliyun.rolling_updates.parallelism: 2
              aliyun.depends: db
              aliyun.auto_scaling.max_cpu: 70
              aliyun.log_store_x: stdout
            """
        #expect(try catalogue(body).warnings.isEmpty)
    }

    @Test func whatIsNotServedYetWarnsOnce() throws {
        let body = """
            labels:
              aliyun.routing.session_sticky: true
              aliyun.lb.port_80: tcp://x:80
              aliyun.lb.port_81: tcp://x:81
              aliyun.proxy.VIRTUAL_HOST: a.com
              aliyun.proxy.BALANCE: source
            """
        #expect(try catalogue(body).warnings.count == 1)
        #expect(try catalogue("labels: {aliyun.routing.session_sticky: false}").warnings.isEmpty)
    }

    @Test(arguments: [
        ("labels: 5", "labels"),
        ("labels: {a: [1]}", "labels.a"),
        ("labels: [[a]]", "labels.0"),
        ("labels: ['a=1', 'a=2']", "labels.a"),
        ("labels: {mesh.scale: -1}", "labels.mesh.scale"),
        ("labels: {mesh.scale: many}", "labels.mesh.scale"),
        ("labels: {mesh.balance: random}", "labels.mesh.balance"),
        ("labels: {mesh.balance.slow_start_seconds: 3601}", "labels.mesh.balance.slow_start_seconds"),
        ("labels: {mesh.proxy_protocol: v3}", "labels.mesh.proxy_protocol"),
        ("labels: {mesh.proxy_protocol: v2, mesh.protocol: h2c}", "labels.mesh.proxy_protocol"),
        ("labels: {mesh.proxy_protocol: v2, mesh.protocol: https}", "labels.mesh.proxy_protocol"),
        ("labels: {mesh.probe.proxy_protocol: v2}", "labels.mesh.probe.proxy_protocol"),
        ("labels: {mesh.balance.prefer: rack}", "labels.mesh.balance.prefer"),
        ("labels: {mesh.balance.spill_below_percent: 50}", "labels.mesh.balance.spill_below_percent"),
        (
            "labels: {mesh.balance.prefer: node, mesh.balance.spill_below_percent: 0}",
            "labels.mesh.balance.spill_below_percent"
        ),
        ("labels: {mesh.vip: web}", "labels.mesh.vip"),
        ("labels: {mesh.vip: 0.0.0.0}", "labels.mesh.vip"),
        ("labels: {mesh.aliases: 'a;B'}", "labels.mesh.aliases"),
        ("labels: {mesh.aliases: 'a_.-'}", "labels.mesh.aliases"),
        ("labels: {mesh.aliases: 1.2.3.4}", "labels.mesh.aliases"),
        ("labels: {mesh.vip.80.protocol: tcp}", "labels.mesh.vip.80.protocol"),
        ("ports: ['81:80']\nlabels: {mesh.publish.80.protocol: http}", "labels.mesh.publish.80.protocol"),
        ("ports: ['81:80/udp']\nlabels: {mesh.publish.81.protocol: http}", "labels.mesh.publish.81.protocol"),
        ("ports: ['81:80']\nlabels: {mesh.publish.81.protocol: udp}", "labels.mesh.publish.81.protocol"),
        ("ports: ['81:80']\nlabels: {mesh.publish.x.protocol: tcp}", "labels.mesh.publish.x.protocol"),
    ])
    func faults(_ body: String, _ key: String) throws {
        #expect(try #require(problem(body)).key == "services.web.\(key)")
    }

    @Test func meshLabels() throws {
        let web = try service(
            """
            ports: ['127.0.0.1:81:80', '[::1]:81:80', '82:80', '81:80/udp']
            labels:
              mesh.publish.81.protocol: http
              mesh.vip.80.protocol: tcp
              mesh.balance: power_of_two
              mesh.vip: 10.1.2.3
              mesh.aliases: 'api; api.internal ;;api'
            """)
        #expect(web.publishedPorts.map(\.layer) == [.http, .http, .tcp, .tcp])
        #expect(web.vipProtocols == [80: .tcp])
        #expect(web.policy == .powerOfTwoChoices)
        #expect(web.vip == IPAddress("10.1.2.3"))
        #expect(web.aliases == ["api", "api.internal"])
    }

    @Test func proxyProtocol() throws {
        let probe = "aliyun.probe.url: 'http://container/'"
        let both = try service("labels: {mesh.proxy_protocol: v2, \(probe)}")
        #expect(both.proxyVersion == .v2 && both.probe?.proxyVersion == .v2)
        let one = try service("labels: {mesh.proxy_protocol: v1, mesh.probe.proxy_protocol: false, \(probe)}")
        #expect(one.proxyVersion == .v1 && one.probe?.proxyVersion == nil)
        #expect(try service("labels: {\(probe)}").probe?.proxyVersion == nil)
    }

    @Test func labelsOfBalancing() throws {
        let web = try service(
            """
            labels:
              mesh.balance: maglev
              mesh.balance.slow_start_seconds: 2.5
              mesh.balance.prefer: zone
              mesh.balance.spill_below_percent: 70
            """)
        #expect(web.policy == .maglev && web.slowStartSeconds == 2.5)
        #expect(web.tcpIdleMilliseconds == nil)
        for (text, wanted) in [("900", 900_000), ("0", 0), ("0.25", 250), ("604800", 604_800_000)] {
            let read = try service("labels: {mesh.tcp.idle_timeout_seconds: \(text)}").tcpIdleMilliseconds
            #expect(read == UInt32(wanted), "\(text)")
        }
        for text in ["-1", "604801", "soon", "nan"] {
            #expect(throws: CatalogueProblem.self) {
                try service("labels: {mesh.tcp.idle_timeout_seconds: \(text)}")
            }
        }
        #expect(web.preference == LocalityPreference(.zone, spillBelowPercent: 70))
        #expect(
            try service("labels: {mesh.balance.prefer: node}").preference
                == LocalityPreference(.node, spillBelowPercent: 50))
        #expect(try service("labels: {}").preference == nil)
    }

    @Test(arguments: BalancePolicy.allCases) func policies(_ policy: BalancePolicy) throws {
        #expect(try service("labels: {mesh.balance: \(policy.rawValue)}").policy == policy)
    }

    // MARK: - Probes, semantics 1.4

    @Test(arguments: [
        ("http://container", ProbeSpec.Kind.http(containerPort: 80, path: "/")),
        ("http://container:80", .http(containerPort: 80, path: "/")),
        ("http://container:8080/health", .http(containerPort: 8080, path: "/health")),
        ("http://container/h?a=b", .http(containerPort: 80, path: "/h?a=b")),
        ("http://container?a", .http(containerPort: 80, path: "/?a")),
        ("HTTP://container/", .http(containerPort: 80, path: "/")),
        ("tcp://container:3306", .tcp(containerPort: 3306)),
    ])
    func probes(_ url: String, _ kind: ProbeSpec.Kind) throws {
        let web = try service("labels: {aliyun.probe.url: '\(url)'}")
        #expect(web.probe == ProbeSpec(kind: kind))
        #expect(web.containerPorts.count == 1)
    }

    @Test(arguments: [
        ("container:80", "no scheme"), ("", "no scheme"), ("http://web", "word 'container'"),
        ("http://127.0.0.1/", "word 'container'"), ("http://container:0", "not a port"),
        ("http://container:", "not a port"), ("http://container:65536", "not a port"),
        ("tcp://container", "names its port"), ("tcp://container:80/x", "not a port"),
        ("grpc://other:1", "is the word 'container'"),
        ("grpc://container:1/a b", "visible ASCII"),
        ("udp://container:1", "not a scheme"), ("http://container/a b", "path of a probe"),
    ])
    func probeFaults(_ url: String, _ message: String) throws {
        let found = try #require(problem("labels: {aliyun.probe.url: '\(url)'}"))
        #expect(found.message.contains(message), "\(found)")
        #expect(found.key == "services.web.labels.aliyun.probe.url")
    }

    @Test func probeNumbers() throws {
        let web = try service(
            """
            labels:
              aliyun.probe.url: http://container
              aliyun.probe.initial_delay_seconds: "10"
              aliyun.probe.timeout_seconds: 3
              mesh.probe.interval_seconds: 0.5
              mesh.probe.rise: 3
              mesh.probe.fall: 4
            """)
        let expected = ProbeSpec(
            kind: .http(containerPort: 80, path: "/"), initialDelaySeconds: 10, timeoutSeconds: 3,
            intervalSeconds: 0.5, rise: 3, fall: 4)
        #expect(web.probe == expected)
    }

    @Test(arguments: [
        "initial_delay_seconds: 86401", "initial_delay_seconds: -1", "timeout_seconds: 0", "timeout_seconds: 3601",
        "timeout_seconds: nan", "timeout_seconds: 1e3", "timeout_seconds: 0x1", "timeout_seconds: 1.", "rise: 0",
        "interval_seconds: 0.05", "interval_seconds: inf", "rise: 101", "fall: 0", "fall: 1.5",
        "fall: 999999999999999999999",
    ])
    func probeNumberFaults(_ label: String) throws {
        #expect(problem("labels:\n  aliyun.probe.url: http://container\n  aliyun.probe.\(label)")?.line == 5)
    }

    @Test func commandProbes() throws {
        let only = try catalogue("labels: {aliyun.probe.cmd: /check, aliyun.probe.timeout_seconds: 3}")
        #expect(only.services[0].probe?.kind == .command(["/bin/sh", "-c", "/check"]))
        #expect(only.warnings.isEmpty)
        let listed = try catalogue("labels: {aliyun.probe.cmd: /check}\nx-mesh-instances: [127.0.0.1]")
        #expect(listed.warnings.map { $0.message.prefix(29) } == ["the instances listed here are"])
        #expect(problem("labels: {aliyun.probe.cmd: '[1]'}")?.message.contains("no JSON array") == true)
        let both = problem("labels: {aliyun.probe.cmd: /check, mesh.probe.url: http://container}")
        #expect(both?.message.contains("not both") == true)
    }

    @Test func portsPublishedByLabel() throws {
        let spec = try service(
            """
            labels:
              mesh.publish: '8080:80; 5353:53/udp'
              mesh.publish.8080.protocol: http
              mesh.publish.5353.mode: host
            """
        )
        #expect(spec.publishedPorts.map(\.port) == [8080, 5353])
        #expect(spec.publishedPorts.map(\.layer) == [.http, .tcp])
        #expect(spec.publishedPorts.map(\.mode) == [.ingress, .host])
        #expect(spec.containerPorts == [80] && spec.udpPorts == [53])
        #expect(problem("ports: ['8080:80']\nlabels: {mesh.publish: '8080:81'}")?.message.contains("twice") == true)
        #expect(problem("labels: {mesh.publish: nonsense}") != nil)
        #expect(problem("labels: {mesh.publish: '80', mesh.publish.81.mode: host}") != nil)
        #expect(problem("labels: {mesh.publish: '8080:80', mesh.publish.8080.mode: near}") != nil)
    }

    @Test func probeNumbersWithoutAProbeWarn() throws {
        #expect(try catalogue("labels: {aliyun.probe.rise: 3}").warnings.count == 1)
    }
}
