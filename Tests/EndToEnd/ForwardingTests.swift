import Testing

/// Settings of what instances are told of clients.
@Suite struct ForwardingTests {
    /// The head that the instance got.
    private func head(_ flags: [String], _ fields: [(String, String)]) throws -> (HTTPHead, HTTPResponse) {
        var found: (HTTPHead, HTTPResponse)?
        try Web.with(Behave.named, flags) { mesh, instance in
            let response = try mesh.get(Web.host, "/", fields)
            found = (try #require(instance.requests.first).head, response)
        }
        return try #require(found)
    }

    @Test func forwardedInsteadOfXForwarded() throws {
        let (seen, _) = try head(["--forwarding-headers", "forwarded"], [("X-Forwarded-For", "203.0.113.9")])
        try demandEqual(seen.values("Forwarded"), ["for=127.0.0.1;host=\(Web.host);proto=http"], "Forwarded")
        try demandEqual(seen.fields.filter { $0.name.lowercased().hasPrefix("x-forwarded") }.count, 0, "X-Forwarded-*")
    }

    @Test func nothingIsSentWhereNothingIsToBe() throws {
        let (seen, _) = try head(["--forwarding-headers=none"], [("X-Forwarded-For", "203.0.113.9")])
        for name in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"] {
            try demandEqual(seen.values(name), [], name)
        }
    }

    @Test func claimsOfATrustedProxyAreAddedTo() throws {
        let claims = [
            ("X-Forwarded-For", "203.0.113.9, 192.0.2.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443"),
            ("Forwarded", "for=192.0.2.1"), ("X-Request-ID", "given-1"),
        ]
        let flags = ["--forwarding-headers", "both", "--trusted-proxies", "192.0.2.0/24"]
        let (trusted, _) = try head(flags + ["--trusted-proxies=127.0.0.1"], claims)
        try demandEqual(
            trusted.values("X-Forwarded-For"), ["203.0.113.9, 192.0.2.1, 127.0.0.1"], "X-Forwarded-For, trusted")
        try demandEqual(
            trusted.values("Forwarded"), ["for=192.0.2.1, for=127.0.0.1;host=\(Web.host);proto=http"], "Forwarded")
        try demandEqual(trusted.values("X-Forwarded-Proto"), ["https"], "X-Forwarded-Proto, trusted")
        try demandEqual(trusted.values("X-Forwarded-Port"), ["443"], "X-Forwarded-Port, trusted")
        try demandEqual(trusted.values("X-Request-ID"), ["given-1"], "X-Request-ID, trusted")
        let (others, _) = try head(flags, claims)
        try demandEqual(others.values("X-Forwarded-For"), ["127.0.0.1"], "X-Forwarded-For")
        try demandEqual(others.values("X-Forwarded-Proto"), ["http"], "X-Forwarded-Proto")
        try demand(others.values("X-Request-ID") != ["given-1"], "X-Request-ID of anybody")
    }

    @Test func thePortIsTheOneThatWasConnectedTo() throws {
        try Web.with(Behave.named) { mesh, instance in
            _ = try mesh.get(Web.host)
            let seen = try #require(instance.requests.first).head
            try demandEqual(seen.values("X-Forwarded-Port"), ["\(mesh.http)"], "X-Forwarded-Port")
        }
    }

    @Test func requestIDsDifferAndReachTheClientWhereAskedFor() throws {
        try Web.with(Behave.raw("HTTP/1.1 200 OK\r\nX-Request-ID: own\r\nContent-Length: 0\r\n\r\n", then: .keep)) {
            mesh, _ in
            try demandEqual(try mesh.get(Web.host).head.values("X-Request-ID"), ["own"], "not asked for")
        }
        try Web.with(
            Behave.raw("HTTP/1.1 200 OK\r\nX-Request-ID: own\r\nContent-Length: 0\r\n\r\n", then: .keep),
            ["--request-id-to-client"]
        ) { mesh, instance in
            let client = try mesh.client()
            let told = try (0..<20).map { _ in try client.exchange(host: Web.host).head.values("X-Request-ID") }
            let seen = instance.requests.map { $0.head.values("X-Request-ID") }
            try demandEqual(told, seen, "told and sent on")
            try demandEqual(Set(told.joined()).count, 20, "different ids in \(told)")
            let refused = try client.exchange(host: "nobody.example")
            try demandEqual(refused.status, 404, "status")
            try demand(!told.joined().contains(refused.head["X-Request-ID"] ?? ""), "an id of its own")
            try demandEqual(refused.head.values("X-Request-ID").first?.utf8.count, 36, "id of an answer made here")
        }
    }

    @Test func tracesPassAndBeginWhereAskedFor() throws {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let (passed, _) = try head([], [("Traceparent", trace), ("Tracestate", "a=1")])
        try demandEqual(passed.values("traceparent") + passed.values("tracestate"), [trace, "a=1"], "valid")
        let (dropped, _) = try head([], [("Traceparent", "00-0-0-00"), ("Tracestate", "a=1")])
        try demandEqual(dropped.values("traceparent") + dropped.values("tracestate"), [], "malformed")
        let (begun, _) = try head(["--trace-parent", "generate"], [])
        try demandEqual(begun.values("traceparent").map(\.utf8.count), [55], "begun here")
    }
}
