import MeshCore
import Registry
import TestSupport
import Testing

/// Texts of routing labels at random: each is taken or refused with a place, and what is taken can be routed by.
@Suite struct RouteTextFuzzTests {
    private static let tokens = [
        "a", "b.com", "*", "*.", "/", "//", "://", "http", "https", "wss", "tcp", ":", "80", "65536", ",", ";", "=",
        "?",
        "%2a", " ", "method=", "header=", "query=", "GET", "301", "true", "preload", "check", "inter", "2s", "é",
        "[::1]",
        "..", "-", "_", "#", "\\\\", "~",
    ]
    private static let labels = [
        "aliyun.routing.port_80", "mesh.routing.port_80.match", "mesh.routing.port_80.strip_prefix",
        "mesh.routing.port_80.rewrite", "mesh.routing.port_80.redirect", "mesh.routing.port_80.hsts",
        "aliyun.routing.session_sticky", "aliyun.proxy.VIRTUAL_HOST", "aliyun.proxy.VIRTUAL_HOST_WEIGHT",
        "aliyun.proxy.BALANCE", "aliyun.proxy.COOKIE", "aliyun.proxy.FORCE_SSL", "aliyun.proxy.HSTS_MAX_AGE",
        "aliyun.proxy.EXCLUDE_PORTS", "aliyun.proxy.TCP_PORTS", "aliyun.proxy.HTTP_CHECK", "aliyun.proxy.HEALTH_CHECK",
    ]

    @Test(arguments: 0..<40)
    func anyTextIsTakenOrRefused(seed: Int) {
        var random = TestSupport.SeededRandom(seed: UInt64(seed))
        for _ in 0..<25 {
            var lines = ["aliyun.routing.port_80: a.com/x"]
            for label in Self.labels.dropFirst(random.below(2)) where random.once(in: 3) {
                if label == Self.labels[0] { lines = [] }
                let text = (0..<random.below(7)).map { _ in random.element(of: Self.tokens) }.joined()
                lines.append("\(label): \"\(text)\"")
            }
            do throws(CatalogueProblem) {
                check(try catalogue("labels:\n" + lines.map { "  \($0)\n" }.joined()).services[0].routes)
            } catch {
                #expect(error.line > 0 && error.key.hasPrefix("services.web.labels."), "\(error)")
            }
        }
    }

    private func check(_ routes: [RouteSpec]) {
        let keys = Set(routes.map(\.key))
        let table = HostTable(keys.map { RouteRule($0, targets: [RuleTarget(pool: 0, weight: 1)]) })
        for name in ["a", "b.com", "x.b.com", ""] {
            Array(name.utf8).withUnsafeBytes { host in
                Array("/a/b?c".utf8).withUnsafeBytes { _ = table.match(RouteRequest(host: host, path: $0)) }
            }
        }
        for route in routes {
            #expect(route.path.hasPrefix("/") || route.pathKind == .glob && route.path.hasPrefix("*"))
            #expect("\(route.host)\(route.path)".count { $0 == "*" } <= 8)
            #expect(route.conditions.count <= 16)
        }
    }
}
