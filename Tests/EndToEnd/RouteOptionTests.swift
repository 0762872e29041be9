import Testing

/// Conditions, rewritten paths, redirects and virtual hosts, each on the built binary.
@Suite struct RouteOptionTests {
    private static let host = "app.example"

    /// One instance a service, with these labels beside its route.
    private func with(
        _ services: [(name: String, route: String, labels: [(String, String)])],
        _ body: (MeshProcess, [String: HTTPInstance]) throws -> Void
    ) throws {
        var instances: [String: HTTPInstance] = [:]
        var all: [Catalogue.Service] = []
        for service in services {
            let instance = try HTTPInstance(service.name)
            instances[service.name] = instance
            var entry = Catalogue.Service.web(service.name, service.route, [instance])
            if service.route.isEmpty { entry.labels = [] }
            for (name, value) in service.labels { entry = entry.label(name, value) }
            all.append(entry)
        }
        try withMesh(Catalogue(all)) { try body($0, instances) }
    }

    @Test func conditionsChooseTheService() throws {
        let name = "mesh.routing.port_8080.match"
        try with([
            ("base", Self.host, []), ("writes", Self.host, [(name, "method=POST,PUT")]),
            ("canary", Self.host, [(name, "header=X-Canary:yes")]),
            ("agents", Self.host, [(name, "header=User-Agent:Bot/*")]),
            ("beta", Self.host, [(name, "query=beta=1")]),
            ("both", Self.host, [(name, "header=X-Canary:yes; query=beta=1; method=GET")]),
        ]) { mesh, _ in
            let cases: [(String, String, [(String, String)], String)] = [
                ("GET", "/", [], "base"), ("POST", "/", [], "writes"), ("DELETE", "/", [], "base"),
                ("GET", "/", [("x-canary", "yes")], "canary"), ("GET", "/", [("X-Canary", "no")], "base"),
                ("GET", "/", [("X-Canary", "no"), ("X-Canary", "yes")], "canary"),
                ("GET", "/", [("User-Agent", "Bot/2.1")], "agents"), ("GET", "/x?a&beta=1", [], "beta"),
                ("GET", "/?beta=2", [], "base"), ("GET", "/?b%65ta=1", [("X-Canary", "yes")], "both"),
            ]
            let client = try mesh.client()
            for (method, target, fields, wanted) in cases {
                let body: [UInt8]? = method == "POST" ? [1, 2] : nil
                let response = try client.exchange(method, target, host: Self.host, fields, body: body)
                try demandEqual(response.text, wanted, "\(method) \(target) \(fields)")
            }
        }
    }

    @Test func pathsAreStrippedAndRewritten() throws {
        let option = "mesh.routing.port_8080."
        try with([
            ("strip", "a.example/cart", [(option + "strip_prefix", "true")]),
            ("other", "b.example", [(option + "strip_prefix", "/old")]),
            ("rewrite", "c.example/api", [(option + "rewrite", "/v2")]),
        ]) { mesh, instances in
            let cases = [
                ("a.example", "/cart/1?x=/cart", "strip", "/1?x=/cart"), ("a.example", "/cart", "strip", "/"),
                ("a.example", "/cart?q", "strip", "/?q"), ("b.example", "/old/1", "other", "/1"),
                ("b.example", "/older", "other", "/older"), ("c.example", "/api/orders?x", "rewrite", "/v2/orders?x"),
            ]
            let client = try mesh.client()
            for (host, target, service, seen) in cases {
                try demandEqual(try client.exchange("GET", target, host: host).text, service, "\(host)\(target)")
                try demandEqual(instances[service]?.requests.last?.target, seen, "what \(service) saw of \(target)")
            }
        }
    }

    @Test func redirectsAreAnsweredWithoutTheInstance() throws {
        let option = "mesh.routing.port_8080.redirect"
        try with([
            ("tls", "a.example", [(option, "https"), ("mesh.routing.port_8080.hsts", "600")]),
            ("secure", "https://d.example", [(option, "https:8443")]),
            ("moved", "b.example", [(option, "301 https://new.example/")]),
            ("kept", "c.example", [(option, "http://new.example/*")]),
            ("only", "https://e.example", []),
        ]) { mesh, instances in
            let cases: [(String, String, String, Int, String?)] = [
                ("GET", "a.example", "/x?y", 301, "https://a.example/x?y"),
                ("POST", "a.example:8080", "/x", 308, "https://a.example/x"),
                ("GET", "d.example", "/", 301, "https://d.example:8443/"),
                ("GET", "b.example", "/x", 301, "https://new.example/"),
                ("GET", "c.example", "/x?y", 302, "http://new.example/x?y"),
                ("DELETE", "c.example", "/x", 307, "http://new.example/x"),
                ("GET", "e.example", "/", 404, nil),
            ]
            let client = try mesh.client()
            for (method, host, target, status, location) in cases {
                let response = try client.exchange(method, target, host: host)
                try demandEqual(response.status, status, "\(method) \(host)\(target)")
                try demandEqual(response.head["Location"], location, "Location of \(host)\(target)")
                try demandEqual(response.head["Strict-Transport-Security"], nil, "not in clear")
            }
            let posted = try mesh.client().exchange("POST", "/", host: "b.example", body: [1, 2, 3])
            try demandEqual(posted.status, 301, "a redirect before the body is read")
            for (name, instance) in instances { try demandEqual(instance.requests.count, 0, "requests at \(name)") }
        }
    }

    /// TLS that ended at a trusted proxy is TLS: otherwise a redirect to it would never end.
    @Test func whoCameOverTLSToATrustedProxyIsServed() throws {
        let option = "mesh.routing.port_8080."
        let instance = try HTTPInstance("tls")
        let service = Catalogue.Service.web("tls", "a.example", [instance]).label(option + "redirect", "https")
            .label(option + "hsts", "600; includeSubDomains").label("mesh.routing.session_sticky", "true")
        for (proxies, isServed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
            try withMesh(Catalogue([service]), .init(["--trusted-proxies", proxies])) { mesh in
                let plain = try mesh.get("a.example", "/", [("X-Forwarded-Proto", "http")])
                try demandEqual(plain.status, 301, "in clear")
                let response = try mesh.get("a.example", "/", [("X-Forwarded-Proto", "https")])
                try demandEqual(response.status, isServed ? 200 : 301, "what \(proxies) says")
                let policy = response.head["Strict-Transport-Security"]
                try demandEqual(policy, isServed ? "max-age=600; includeSubDomains" : nil, "the policy")
                let cookie = response.head["Set-Cookie"]
                try demandEqual(cookie?.hasSuffix("; Secure"), isServed ? true : nil, "the cookie \(cookie ?? "none")")
                guard isServed else { return }
                instance.setBehaviour { exchange in
                    try exchange.answer(200, [("strict-transport-security", "max-age=1")], text: "own")
                    return .keep
                }
                let own = try mesh.get("a.example", "/", [("X-Forwarded-Proto", "https")])
                try demandEqual(own.head.values("Strict-Transport-Security"), ["max-age=1"], "the instance's own")
            }
        }
    }

    @Test func virtualHostsArePatterns() throws {
        let host = "aliyun.proxy.VIRTUAL_HOST"
        let rules = [
            ("exact", "", [(host, "www.domain.com")]), ("suffix", "", [(host, "*.domain.com")]),
            ("loose", "", [(host, "*domain.com")]), ("middle", "", [(host, "www.e*e.org")]),
            ("images", "", [(host, "*/*.jpg"), ("aliyun.proxy.VIRTUAL_HOST_WEIGHT", "2")]),
            ("deep", "", [(host, "*/*/path/*")]), ("any", "", [(host, "*")]),
        ]
        let port = [("mesh.vip.8080.protocol", "http"), ("mesh.routing.port_8080", "")]
        try with(rules.map { ($0.0, $0.1, $0.2 + port) }) { mesh, _ in
            let cases = [
                ("www.domain.com", "/", "exact"), ("a.b.domain.com", "/", "suffix"), ("mydomain.com", "/", "loose"),
                ("www.exampleee.org", "/", "middle"), ("x.org", "/a/b.jpg?c", "images"), ("x.org", "/a/path/b", "deep"),
                ("x.org", "/", "any"), ("www.domain.com", "/a.jpg", "exact"),
            ]
            for (host, path, wanted) in cases {
                try demandEqual(try mesh.get(host, path).text, wanted, "\(host)\(path)")
            }
        }
    }

    @Test func explainSaysWhyEachRuleIsTakenOrNot() throws {
        try with([
            ("base", Self.host, []), ("canary", Self.host, [("mesh.routing.port_8080.match", "header=X-Canary:yes")]),
            ("cart", "\(Self.host)/cart", []), ("secure", "https://\(Self.host)", []), ("any", "*.example", []),
        ]) { mesh, _ in
            func explain(_ arguments: String...) throws -> String {
                let result = try mesh.run(["explain"] + arguments + ["--admin", mesh.admin])
                try demandEqual(result.status, 0, "exit of explain: \(result.errors)")
                return result.output
            }
            let plain = try explain("http://\(Self.host)/x")
            for part in [
                "service   base,", "[header=x-canary:yes] -> canary: header=x-canary:yes does not hold",
                "/cart -> cart: the path does not match", "-> secure: only over TLS",
                "*.example -> any: matches, too, but is less specific",
            ] { try demand(plain.contains(part), "no '\(part)' in \(plain)") }
            let canary = try explain("http://\(Self.host)/x", "--header", "X-Canary: yes", "--method", "PUT")
            try demand(canary.contains("service   canary,") && canary.contains("PUT, host \(Self.host)"), canary)
            try demand(try explain("https://\(Self.host)/x").contains("service   secure,"), "over TLS")
        }
    }
}
