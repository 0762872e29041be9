import Testing

/// What meshd adds to and takes from heads.
@Suite struct ForwardedFieldTests {
    private func seen(
        _ fields: [(String, String)], method: String = "GET", _ check: (HTTPHead, HTTPResponse) throws -> Void
    ) throws {
        try Web.with(Behave.named) { mesh, instance in
            let client = try mesh.client()
            let response = try client.exchange(method, "/path?q=1", host: Web.host, fields)
            let head = try #require(instance.requests.first?.head)
            try demandEqual(head.startLine, "\(method) /path?q=1 HTTP/1.1", "request line")
            try demandEqual(head.values("Host"), [Web.host], "Host")
            try check(head, response)
        }
    }

    @Test func clientAddressSchemeAndHostAreForwarded() throws {
        try seen([]) { head, _ in
            try demandEqual(head.values("X-Forwarded-For"), ["127.0.0.1"], "X-Forwarded-For")
            try demandEqual(head.values("X-Forwarded-Proto"), ["http"], "X-Forwarded-Proto")
            try demandEqual(head.values("X-Forwarded-Host"), [Web.host], "X-Forwarded-Host")
        }
    }

    @Test func forwardedFieldsOfTheClientDoNotHideIt() throws {
        let lies = [
            ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"),
        ]
        try seen(lies) { head, _ in
            try demandEqual(head.values("X-Forwarded-For"), ["127.0.0.1"], "X-Forwarded-For")
            try demandEqual(head.values("X-Forwarded-Proto"), ["http"], "X-Forwarded-Proto")
            try demandEqual(head.values("X-Forwarded-Host"), [Web.host], "X-Forwarded-Host")
        }
    }

    @Test func endToEndFieldsPassUnchangedAndInOrder() throws {
        let fields = [
            ("Accept", "text/html;q=0.9, */*"), ("Cookie", "a=b; c=d"), ("X-Empty", ""), ("X-Multi", "one"),
            ("X-Multi", "two"), ("Authorization", "Basic eDp5"), ("X-Long", String(repeating: "v", count: 3000)),
        ]
        try seen(fields) { head, _ in
            for name in Set(fields.map(\.0)) {
                try demandEqual(head.values(name), fields.filter { $0.0 == name }.map(\.1), name)
            }
        }
    }

    @Test func hopByHopFieldsStayHere() throws {
        let fields = [
            ("Connection", "keep-alive, X-Secret"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
            ("TE", "gzip"), ("X-Secret", "s"), ("X-Kept", "k"), ("Upgrade", "h2c"),
        ]
        try seen(fields) { head, _ in
            for name in ["Keep-Alive", "Proxy-Connection", "X-Secret", "Upgrade"] {
                try demand(head[name] == nil, "\(name) reached the instance: \(head.fields)")
            }
            try demand(!head.list("TE").contains("gzip"), "TE reached the instance")
            try demand(!head.list("Connection").contains("x-secret"), "Connection: \(head.fields)")
            try demandEqual(head["X-Kept"], "k", "X-Kept")
        }
    }

    @Test func connectionOptionsCannotRemoveWhatMeshdAdds() throws {
        try seen([("Connection", "X-Forwarded-For, Host, X-Forwarded-Proto")]) { head, _ in
            try demandEqual(head.list("X-Forwarded-For").last, "127.0.0.1", "X-Forwarded-For")
            try demandEqual(head.values("X-Forwarded-Proto"), ["http"], "X-Forwarded-Proto")
        }
    }

    @Test func hopByHopFieldsOfTheInstanceStayHere() throws {
        let answer =
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Inner\r\nKeep-Alive: timeout=5\r\nX-Inner: 1\r\n"
            + "X-Outer: 2\r\nContent-Length: 2\r\n\r\nok"
        try Web.with(Behave.raw(answer, then: .keep)) { mesh, _ in
            let head = try mesh.get(Web.host).head
            for name in ["Keep-Alive", "X-Inner"] { try demand(head[name] == nil, "\(name) in \(head.fields)") }
            try demandEqual(head["X-Outer"], "2", "X-Outer")
        }
    }

    @Test func connectionCloseOfTheInstanceDoesNotCloseTheClient() throws {
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
        try Web.with(Behave.raw(answer, then: .close)) { mesh, instance in
            let client = try mesh.client()
            for _ in 0..<5 { try demandEqual(try client.exchange(host: Web.host).text, "ok", "answer") }
            try demandEqual(instance.acceptedCount, 5, "upstream connections")
        }
    }

    @Test func bodyLengthIsForwardedAsSent() throws {
        try Web.with(Behave.echoBody) { mesh, instance in
            let client = try mesh.client()
            _ = try client.exchange("POST", "/", host: Web.host, body: Array("12345".utf8))
            let head = try #require(instance.requests.first?.head)
            try demandEqual(head.values("Content-Length"), ["5"], "Content-Length")
            try demand(head["Transfer-Encoding"] == nil, "Transfer-Encoding: \(head.fields)")
        }
    }
}
