import MeshCore
import Registry
import Testing

/// Semantics 1.1 and 1.3, sentence by sentence.
@Suite struct RouteLabelTests {
    @Test(arguments: [
        ("restserver.local", ["http://restserver.local/"]),
        ("http://a.com", ["http://a.com/"]),
        (
            "https://a.com;ws://a.com;wss://a.com;tcp://a.com",
            ["https://a.com/", "ws://a.com/", "wss://a.com/", "tcp://a.com/"]
        ),
        ("HTTP://A.Com", ["http://a.com/"]),
        (";; a.com ;; b.com;", ["http://a.com/", "http://b.com/"]),
        ("a.com/", ["http://a.com/"]),
        ("a.com/cart", ["http://a.com/cart"]),
        ("a.com/cart/", ["http://a.com/cart"]),
        ("a.com/cart/New", ["http://a.com/cart/New"]),
        ("a.com:/cart", ["http://a.com/cart"]),
        ("*.company.com", ["http://*.company.com/"]),
        ("*.Company.com/x", ["http://*.company.com/x"]),
        ("*", ["http://*/"]),
        ("*/x", ["http://*/x"]),
        ("127.0.0.1", ["http://127.0.0.1/"]),
        ("[::1]", ["http://[::1]/"]),
        ("[0:0::1]/a", ["http://[::1]/a"]),
        ("http://a.com;https://a.com;http://a.com/x", ["http://a.com/", "https://a.com/", "http://a.com/x"]),
        ("wordpress", ["http://wordpress/"]),
        ("my_app", ["http://my_app/"]),
        ("a.com/x%20y/z:1", ["http://a.com/x%20y/z:1"]),
    ])
    func items(_ value: String, _ expected: [String]) throws { #expect(try routes(value) == expected) }

    @Test(arguments: [
        ("wordpress", "http://wordpress.company.com/"),
        ("https://wordpress/x", "https://wordpress.company.com/x"),
        ("a.b", "http://a.b/"),
        ("*", "http://*/"),
    ])
    func prefixesAreCompleted(_ value: String, _ expected: String) throws {
        #expect(try routes(value, domain: "Company.com") == [expected])
    }

    @Test(arguments: [
        ("ftp://a.com", "scheme 'ftp'"),
        ("http://", "names a host"),
        ("/cart", "names a host"),
        (":/cart", "names a host"),
        ("a.com:", "no port"),
        ("a.com:8080", "no port"),
        ("a.com:8080/x", "no port"),
        ("https://wordpress", "routing domain"),
        ("a..com", "not a host name"),
        ("a.com.", "not a host name"),
        ("-a.com", "not a host name"),
        ("a b.com", "not a host name"),
        ("*a.com", "not a host name"),
        ("www.*.com", "not a host name"),
        ("*.", "not a host name"),
        ("1.2.3", "not a host name"),
        ("1.2.3.256", "not a host name"),
        ("ü.com", "not a host name"),
        ("[::1", "brackets"),
        ("[1.2.3.4]", "brackets"),
        ("a.com/x?y", "context"),
        ("a.com/x#y", "context"),
        ("a.com/x y", "context"),
        ("a.com;a.com", "twice"),
        ("a.com;http://A.COM/", "twice"),
        ("a.com/x;a.com:/x/", "twice"),
    ])
    func faults(_ value: String, _ message: String) throws {
        let found = try #require(problem("labels: {\"aliyun.routing.port_80\": \"\(value)\"}"), "\(value)")
        #expect(found.message.contains(message), "\(found)")
        #expect(found.key == "services.web.labels.aliyun.routing.port_80")
        #expect(found.line == 3)
    }

    @Test func lengthsStayBelow128() throws {
        let name = String(repeating: "a", count: 60) + "." + String(repeating: "b", count: 60)
        let host127 = name + ".local"
        #expect(host127.count == 127)
        #expect(try routes(host127) == ["http://\(host127)/"])
        #expect(problem("labels: {mesh.routing.port_80: x\(host127)}") != nil)
        let path127 = "/" + String(repeating: "p", count: 126)
        #expect(try routes("a.com" + path127) == ["http://a.com" + path127])
        #expect(problem("labels: {mesh.routing.port_80: a.com\(path127)p}") != nil)
        let prefix = String(repeating: "c", count: 63)
        #expect(problem("labels: {mesh.routing.port_80: \(prefix)}", domain: name) != nil)
    }

    @Test(arguments: ["0", "65536", "080", "x", "-1", "80 ", "99999999999999999999"])
    func portsOfLabels(_ port: String) throws {
        let found = try #require(problem("labels: {\"aliyun.routing.port_\(port)\": a.com}"))
        #expect(found.message.contains("not a container port"))
    }

    @Test func oneLabelAPort() throws {
        let web = try service("labels: {aliyun.routing.port_80: a.com, mesh.routing.port_8080: b.com/x}")
        #expect(
            Set(web.routes) == [
                RouteSpec(host: .exact("a.com"), containerPort: 80),
                RouteSpec(host: .exact("b.com"), path: "/x", containerPort: 8080),
            ])
        #expect(web.containerPorts == [80, 8080])
        let both = try #require(problem("labels: {mesh.routing.port_80: a.com, mesh.routing.port_81: a.com}"))
        #expect(both.message.contains("already leads to container port 80"))
    }

    @Test func localNamesBecomeAliases() throws {
        let value = "restserver.local;a.local/x;https://A.local;b.com;*.c.local"
        #expect(try service("labels: {mesh.routing.port_80: \"\(value)\"}").aliases == ["restserver.local", "a.local"])
    }

    @Test func theSameRouteOnTwoServicesIsShared() throws {
        let text = """
            services:
              blue: {labels: {aliyun.routing.port_80: a.com, aliyun.routing.weight: 100}}
              green: {labels: {aliyun.routing.port_80: a.com, aliyun.routing.weight: '0'}}
            """
        let services = try parse(text).services
        #expect(services[0].routes == services[1].routes)
        #expect(services.map(\.weight) == [100, 0])
    }

    @Test(arguments: ["-1", "101", "x", "", "1.5"]) func weights(_ value: String) {
        #expect(problem("labels: {aliyun.routing.weight: \"\(value)\"}")?.key.hasSuffix("routing.weight") == true)
    }

    @Test func weightIsAHundredWhenNotGiven() throws { #expect(try service("image: x").weight == 100) }

    @Test func anEmptyLabelIsAWarning() throws {
        let found = try catalogue("labels: [aliyun.routing.port_80]")
        #expect(found.services[0].routes.isEmpty)
        #expect(found.services[0].containerPorts == [80])
        #expect(found.warnings.map(\.message) == ["names no host; it has no effect"])
    }
}
