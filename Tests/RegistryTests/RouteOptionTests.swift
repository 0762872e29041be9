import MeshCore
import Registry
import Testing

/// What a route demands of a request, and what becomes of the request.
@Suite struct RouteOptionTests {
    private func route(_ option: String, _ host: String = "a.com/cart") throws -> RouteSpec {
        let web = try service(
            "labels: {aliyun.routing.port_80: '\(host)', aliyun.routing.port_80.\(option)}")
        return try #require(web.routes.first)
    }

    @Test(arguments: [
        ("method=GET", [RouteCondition.method(["GET"])]),
        ("method = POST, GET ,", [.method(["GET", "POST"])]),
        ("header=X-Canary", [.header(name: "x-canary", .present)]),
        ("header=X-Canary:yes", [.header(name: "x-canary", .exact("yes"))]),
        ("header=X-Canary: a b*", [.header(name: "x-canary", .prefix("a b"))]),
        ("header=X-Canary:*", [.header(name: "x-canary", .present)]),
        ("header=X-Canary:", [.header(name: "x-canary", .exact(""))]),
        ("query=beta", [.query(name: "beta", .present)]),
        ("query=beta=1=2", [.query(name: "beta", .exact("1=2"))]),
        (
            "query=b; method=GET;; header=a:1",
            [.header(name: "a", .exact("1")), .method(["GET"]), .query(name: "b", .present)]
        ),
    ])
    func conditions(text: String, expected: [RouteCondition]) throws {
        #expect(try route("match: '\(text)'").conditions == expected)
    }

    @Test(arguments: [
        ("strip_prefix: 'true'", "/cart", ""), ("strip_prefix: 'false'", nil, ""), ("strip_prefix: /ca/", "/ca", ""),
        ("rewrite: /v2", "/cart", "/v2"), ("rewrite: /", "/cart", ""), ("rewrite: /v2/x/", "/cart", "/v2/x"),
        ("rewrite: /v2, aliyun.routing.port_80.strip_prefix: 'false'", nil, "/v2"),
    ])
    func paths(option: String, strip: String?, insert: String) throws {
        let transform = try route(option).transform
        #expect(transform.stripPrefix == strip && transform.insertPrefix == insert)
    }

    @Test func aWholeHostHasNoContextToTakeOff() throws {
        #expect(try route("strip_prefix: 'true'", "a.com").transform.isEmpty)
        #expect(try route("rewrite: /v2", "a.com").transform == RouteTransform(insertPrefix: "/v2"))
    }

    @Test(arguments: [
        ("https", RouteRedirect(.https(port: 443))), ("https:8443", RouteRedirect(.https(port: 8443))),
        ("307 https", RouteRedirect(.https(port: 443), status: 307)),
        ("301 https://new.company.com/", RouteRedirect(.location("https://new.company.com/"), status: 301)),
        ("http://new.company.com/*", RouteRedirect(.locationWithTarget("http://new.company.com/"))),
        ("/elsewhere", RouteRedirect(.location("/elsewhere"))),
    ])
    func redirects(text: String, expected: RouteRedirect) throws {
        #expect(try route("redirect: '\(text)'").transform.redirect == expected)
    }

    @Test func transportSecurity() throws {
        let policy = try route("hsts: '31536000; includeSubDomains; preload'").transform.transportSecurity
        #expect(policy == TransportSecurity(maxAge: 31_536_000, includesSubdomains: true, isPreloaded: true))
        #expect(try route("hsts: 0").transform.transportSecurity == TransportSecurity(maxAge: 0))
    }

    @Test(arguments: [
        "match: ''", "match: GET", "match: 'methods=GET'", "match: 'method='", "match: 'method=G T'",
        "match: 'header=a b'", "match: 'header=:x'", "match: 'query='", "match: 'header=é:1'",
        "match: '\(String(repeating: "query=a;", count: 17))'", "strip_prefix: cart", "rewrite: v2",
        "rewrite: '/a?b'", "rewrite: '/a b'", "redirect: ''", "redirect: '300 https'", "redirect: 'ftp://a.com'",
        "redirect: 'a b c'", "redirect: 'https:99999'", "redirect: 'x https'", "redirect: '/é'", "hsts: ''",
        "hsts: -1", "hsts: '1; what'", "hsts: '99999999999'",
    ])
    func faults(option: String) throws {
        let found = problem("labels: {aliyun.routing.port_80: a.com, mesh.routing.port_80.\(option)}")
        #expect(found?.key.hasPrefix("services.web.labels.mesh.routing.port_80.") == true)
    }

    @Test func optionsBelongToTheirPort() throws {
        let web = try service(
            """
            labels:
              aliyun.routing.port_80: a.com;b.com/x
              aliyun.routing.port_81: c.com
              mesh.routing.port_80.strip_prefix: 'true'
              mesh.routing.port_80.match: method=GET
            """)
        #expect(web.routes.map(\.transform.stripPrefix) == [nil, "/x", nil])
        #expect(web.routes.map(\.conditions.count) == [1, 1, 0])
    }

    @Test func anOptionWithoutARouteIsAWarning() throws {
        let found = try catalogue("labels: {aliyun.routing.port_80: a.com, mesh.routing.port_81.match: method=GET}")
        #expect(found.warnings.count == 1)
        #expect(problem("labels: {aliyun.routing.port_80.watch: x}") != nil, "no such option")
    }

    @Test(arguments: [("true", true), ("TRUE", true), ("false", false), (nil, false)])
    func stickiness(value: String?, isSticky: Bool) throws {
        let label = value.map { "aliyun.routing.session_sticky: '\($0)'" } ?? ""
        #expect(try service("labels: {\(label)}").isSticky == isSticky)
        #expect(problem("labels: {aliyun.routing.session_sticky: 'maybe'}") != nil)
    }

    /// Plain requests have to meet the route that sends them to TLS.
    @Test func aRedirectToHTTPSMeetsPlainRequests() throws {
        #expect(try !route("redirect: https", "https://a.com").isSecureOnly)
        #expect(try route("redirect: 'https://b.com/'", "https://a.com").isSecureOnly)
    }
}
