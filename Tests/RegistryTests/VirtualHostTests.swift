import MeshCore
import Registry
import Testing

/// The matching table of custom routing (semantics 1.7), on the table that requests are routed by.
@Suite struct VirtualHostTests {
    /// The table of services, each with its labels, and the service that a URL reaches.
    private struct Router {
        let table: HostTable

        init(_ services: [(name: String, labels: String)]) throws {
            let bodies = services.map {
                "  \($0.name):\n    labels: {\($0.labels)}\n    x-mesh-instances: [127.0.0.1]\n"
            }
            let specs = try parse("services:\n\(bodies.joined())").services
            var targets: [RuleKey: [RuleTarget]] = [:]
            for spec in specs {
                for route in spec.routes {
                    targets[route.key, default: []].append(RuleTarget(pool: 0, weight: 1, service: spec.name))
                }
            }
            table = HostTable(targets.map { RouteRule($0.key, targets: $0.value) })
        }

        /// `[https://]host[:port][/path]`
        func service(_ url: String) -> String? {
            let isSecure = url.hasPrefix("https://")
            let rest = isSecure ? url.dropFirst(8) : url[...]
            let slash = rest.firstIndex(of: "/") ?? rest.endIndex
            let parts = rest[..<slash].split(separator: ":", omittingEmptySubsequences: false)
            let path = slash == rest.endIndex ? "/" : String(rest[slash...])
            let port = parts.count > 1 ? UInt16(parts[1]) ?? 0 : 0
            let rule = Array(String(parts[0]).utf8).withUnsafeBytes { host in
                Array(path.utf8).withUnsafeBytes {
                    table.match(RouteRequest(host: host, path: $0, port: port, isSecure: isSecure))
                }
            }
            return rule.flatMap { table.rules[$0].targets.first?.service }
        }
    }

    /// (VIRTUAL_HOST, what it takes, what it does not)
    @Test(arguments: [
        ("domain.com", ["domain.com", "domain.com/any/path", "DOMAIN.com"], ["www.domain.com", "domain.org"]),
        ("*.domain.com", ["www.domain.com", "a.b.domain.com"], ["domain.com", "anotherdomain.com"]),
        ("*domain.com", ["anotherdomain.com", "www.domain.com", "domain.com"], ["www.abc.com", "domain.com.org"]),
        ("www.e*e.com", ["www.example.com", "www.exampleeee.com"], ["www.axample.com", "example.com"]),
        ("www.domain.*", ["www.domain.com", "www.domain.co.uk"], ["domain.com", "a.www.domain.com"]),
        ("*", ["a.com", "b.org/x", "https://c.net"], []),
        ("https://*", ["https://a.com", "https://b.org/x"], ["a.com"]),
        ("https://domain.com", ["https://domain.com/x"], ["domain.com/x", "https://www.domain.com"]),
        ("http://domain.com:80", ["domain.com", "domain.com:8080"], []),
        ("domain.com:90", ["domain.com:90"], ["domain.com", "domain.com:91"]),
        ("https://a.com, https://a.com:222", ["https://a.com", "https://a.com:222"], ["a.com", "b.com"]),
        ("*/path", ["a.com/path", "b.org/path?u=user"], ["a.com/path/", "a.com/path/x", "a.com/a/path", "a.com"]),
        ("*/path/", ["a.com/path/", "b.org/path/?u=user"], ["a.com/path", "a.com/path/x"]),
        ("*/path/*", ["a.com/path/", "b.org/path/abc?x=/"], ["a.com/abc/path/", "a.com/path"]),
        ("*/*/path/*", ["a.com/path/", "b.org/abc/path/", "c.net/abc/d/path/123"], ["a.com/path", "a.com/apath/"]),
        ("*/*.js", ["a.com/abc.js", "b.org/path/abc.js?v=1"], ["a.com/abc.css", "a.com/abc.js/x"]),
        ("*/*.do/", ["a.com/abc.do/", "b.org/path/abc.do/"], ["a.com/abc.do"]),
        ("*/path/*.php", ["a.com/path/abc.php", "a.com/path/b/abc.php"], ["a.com/abc.php", "a.com/root/abc.php"]),
        ("*.domain.com/*.jpg", ["www.domain.com/abc.jpg", "abc.domain.com/1/2.jpg"], ["domain.com/abc.jpg"]),
        ("*/path, */path/", ["a.com/path", "a.com/path/"], ["a.com/path/abc", "a.com/abc/path"]),
        ("a.com,  b.com ,,", ["a.com", "b.com"], ["c.com"]),
        ("ws://a.com", ["a.com"], []), ("wss://a.com", ["https://a.com"], ["a.com"]),
        ("127.0.0.1", ["127.0.0.1/x"], ["127.0.0.2"]),
        ("domain.com/*", ["domain.com", "domain.com/x"], ["x.com"]),
    ])
    func table(virtualHost: String, taken: [String], notTaken: [String]) throws {
        let router = try Router([("web", "aliyun.proxy.VIRTUAL_HOST: '\(virtualHost)'")])
        for url in taken { #expect(router.service(url) == "web", "\(url)") }
        for url in notTaken { #expect(router.service(url) == nil, "\(url)") }
    }

    private static let overlapping = [
        ("exact", "aliyun.proxy.VIRTUAL_HOST: www.domain.com"),
        ("suffix", "aliyun.proxy.VIRTUAL_HOST: '*.domain.com'"),
        ("long", "aliyun.proxy.VIRTUAL_HOST: '*.eu.domain.com'"),
        ("part", "aliyun.proxy.VIRTUAL_HOST: '*shop.domain.com'"),
        ("loose", "aliyun.proxy.VIRTUAL_HOST: '*domain.com'"),
        ("name", "aliyun.proxy.VIRTUAL_HOST: 'www.*'"),
        ("any", "aliyun.proxy.VIRTUAL_HOST: '*'"),
        ("safe", "aliyun.proxy.VIRTUAL_HOST: 'https://*'"),
        ("image", "aliyun.proxy.VIRTUAL_HOST: '*.domain.com/*.jpg'"),
        ("late", "{aliyun.proxy.VIRTUAL_HOST: api.com, aliyun.proxy.VIRTUAL_HOST_WEIGHT: 1}"),
        ("soon", "{aliyun.proxy.VIRTUAL_HOST: api.com, aliyun.proxy.VIRTUAL_HOST_WEIGHT: 9}"),
        ("path", "aliyun.proxy.VIRTUAL_HOST: api.com/v1/*"),
        ("x1", "aliyun.proxy.VIRTUAL_HOST: 'a*b*.tie'"), ("x0", "aliyun.proxy.VIRTUAL_HOST: 'ab**.tie'"),
    ].map { ($0.0, $0.1.split(separator: "{").last!.split(separator: "}").first.map(String.init)!) }

    @Test(arguments: [
        ("www.domain.com", "exact"), ("a.domain.com", "suffix"), ("a.eu.domain.com", "long"),
        ("myshop.domain.com", "part"), ("a.shop.domain.com", "part"), ("domain.com", "loose"),
        ("mydomain.com", "loose"), ("www.other.org", "name"), ("other.org", "any"), ("https://other.org", "safe"),
        ("a.domain.com/x.jpg", "image"), ("www.domain.com/x.jpg", "exact"), ("api.com", "soon"),
        ("api.com/v1/x", "path"), ("ab.tie", "x0"), ("axb.tie", "x1"),
    ])
    func theMostSpecificRuleWins(url: String, service: String) throws {
        for services in [Self.overlapping, Self.overlapping.reversed()] {
            #expect(try Router(services).service(url) == service)
        }
    }

    @Test(arguments: [
        "ftp://a.com", "tcp://a.com", "a..com", "a.com:0", "a.com:x", "*..com", "a b.com", "a*b*c*d*e*.com",
        "a.com/*/*/*/*/*x", "http://", "[::1", "*_$.com",
    ])
    func faults(virtualHost: String) throws {
        let found = problem("labels: {aliyun.proxy.VIRTUAL_HOST: '\(virtualHost)'}")
        #expect(found?.key == "services.web.labels.aliyun.proxy.VIRTUAL_HOST")
    }

    @Test func otherLabelsAreMapped() throws {
        let web = try service(
            """
            expose: [80, 443, 2222]
            labels:
              aliyun.proxy.VIRTUAL_HOST: a.com
              aliyun.proxy.VIRTUAL_HOST_WEIGHT: 7
              aliyun.proxy.EXCLUDE_PORTS: 443
              aliyun.proxy.TCP_PORTS: 2222/ssl
              aliyun.proxy.FORCE_SSL: 'yes'
              aliyun.proxy.HSTS_MAX_AGE: 600
              aliyun.proxy.COOKIE: SRV insert indirect nocache
              aliyun.proxy.BALANCE: leastconn
              aliyun.proxy.HEALTH_CHECK: check inter 3s rise 4 fall 5
              aliyun.proxy.HTTP_CHECK: GET /status HTTP/1.1
            """)
        let route = try #require(web.routes.first)
        #expect(web.routes.count == 1)
        #expect(route.containerPort == 80 && route.priority == 7)
        #expect(route.transform.redirect == RouteRedirect(.https(port: 443)))
        #expect(route.transform.transportSecurity == TransportSecurity(maxAge: 600))
        #expect(web.isSticky && web.policy == .leastConnections)
        #expect(
            web.probe
                == ProbeSpec(kind: .http(containerPort: 80, path: "/status"), intervalSeconds: 3, rise: 4, fall: 5))
    }

    @Test(arguments: [
        ("BALANCE: roundrobin", BalancePolicy.weightedRoundRobin, 0), ("BALANCE: static-rr", .weightedRoundRobin, 0),
        ("BALANCE: source", .sourceHash, 0), ("BALANCE: uri", .roundRobin, 1), ("MAXCONN: 9", .roundRobin, 1),
        ("TCP_PORTS: 22", .roundRobin, 1),
        ("HTTP_CHECK: HEAD /x", .roundRobin, 1), ("HEALTH_CHECK: check port 9000", .roundRobin, 2),
        ("HEALTH_CHECK: check inter 2000", .roundRobin, 0), ("FORCE_SSL: 'no'", .roundRobin, 0),
        ("COOKIE: ''", .roundRobin, 0),
    ])
    func mappings(label: String, policy: BalancePolicy, warnings: Int) throws {
        let found = try catalogue("labels: {aliyun.proxy.VIRTUAL_HOST: a.com, aliyun.proxy.\(label)}")
        #expect(found.services[0].policy == policy)
        #expect(found.warnings.count == warnings, "\(found.warnings)")
        #expect(found.services[0].routes[0].transform.isEmpty && !found.services[0].isSticky)
    }

    @Test(arguments: [("true", true, 0), ("false", false, 1)])
    func stickinessThatIsSaidWins(text: String, isSticky: Bool, warnings: Int) throws {
        for prefix in ["aliyun", "mesh"] {
            let found = try catalogue(
                """
                labels:
                  aliyun.proxy.VIRTUAL_HOST: a.com
                  aliyun.proxy.COOKIE: SRV insert indirect nocache
                  \(prefix).routing.session_sticky: '\(text)'
                """)
            #expect(found.services[0].isSticky == isSticky)
            #expect(found.warnings.count == warnings, "\(found.warnings)")
        }
    }

    /// (labels beside a virtual host, the container port it leads to, warnings)
    @Test(arguments: [
        ("", 80, 1), ("EXCLUDE_PORTS: '80'", 443, 1), ("EXCLUDE_PORTS: '80,443'", 2222, 0),
        ("EXCLUDE_PORTS: '443, 2222'", 80, 0), ("EXCLUDE_PORTS: '80,443,2222'", 80, 0), ("TCP_PORTS: '80'", 443, 2),
        ("TCP_PORTS: '80,443/ssl'", 2222, 1), ("EXCLUDE_PORTS: '80', mesh.proxy.TCP_PORTS: '443/ssl'", 2222, 1),
        ("EXCLUDE_PORTS: '9'", 80, 1),
    ])
    func portsThatVirtualHostsLeadTo(labels: String, port: UInt16, warnings: Int) throws {
        let more = labels.isEmpty ? "" : ", mesh.proxy.\(labels)"
        let found = try catalogue("expose: [80, 443, 2222]\nlabels: {mesh.proxy.VIRTUAL_HOST: a.com\(more)}")
        #expect(found.services[0].routes.map(\.containerPort) == [port])
        // What is not led to stays a port of the service, and none is published.
        #expect(Set([80, 443, 2222]).isSubset(of: found.services[0].containerPorts))
        #expect(found.services[0].publishedPorts.isEmpty)
        #expect(found.warnings.count == warnings, "\(found.warnings)")
    }

    @Test func whatOtherLabelsSayIsSaidBetter() throws {
        let body = """
            labels:
              aliyun.proxy.VIRTUAL_HOST: a.com
              aliyun.proxy.BALANCE: leastconn
              mesh.balance: power_of_two
              aliyun.proxy.HEALTH_CHECK: check
              aliyun.probe.url: tcp://container:80
            """
        let found = try catalogue(body)
        #expect(found.services[0].policy == .powerOfTwoChoices)
        #expect(found.warnings.count == 2)
    }
}
