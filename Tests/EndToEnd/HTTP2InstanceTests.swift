import Testing

/// Instances that speak HTTP/2 in clear (`mesh.protocol: h2c`).
@Suite struct HTTP2InstanceTests {
    private func with(_ flags: [String] = [], _ body: (MeshProcess) throws -> Void) throws {
        let files = try TemporaryDirectory()
        let instance = try PythonProgram.start("http2_instance.py", files: files.path + "/instance")
        let address = "127.0.0.1:\(try instance.firstLine())"
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2c")],
            instances: [address])
        try withMesh(Catalogue([service]), .init(flags, workers: 1)) { mesh in
            do { try body(mesh) } catch { throw Failure("\(error)\n\(instance.errors)") }
        }
    }

    /// The same over TLS; an instance that does not agree on `h2` is not spoken to.
    @Test func overTLS() throws {
        let files = try TemporaryDirectory()
        try TextFile.write("hello", to: files.path + "/index.html")
        try OpenSSL.pair(files.path, "instance", ["web"])
        let port = FreePort.take()
        let server = try ChildProcess(
            "/usr/sbin/nghttpd",
            [
                "-a", "127.0.0.1", "-d", files.path, String(port), "\(files.path)/instance.key",
                "\(files.path)/instance.crt",
            ], files: files.path + "/nghttpd")
        try eventually("nghttpd listens") { (try? Connection.open(port)) != nil }
        let service = Catalogue.Service(
            name: "web",
            labels: [
                ("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2"),
                ("mesh.tls.ca", "\(files.path)/instance.crt"),
            ], instances: ["127.0.0.1:\(port)"])
        try withMesh(Catalogue([service]), .init(workers: 1)) { mesh in
            for _ in 0..<20 { try demandEqual(try mesh.get(Web.host).text, "hello", "answer over TLS") }
            try demandEqual(try mesh.metric("meshd_upstream_connections_total"), 1, "connections")
            try demandEqual(server.poll(), nil, "nghttpd still runs")
            var distrusting = service
            distrusting.labels[2] = ("mesh.tls.name", "another.example")
            try mesh.write(Catalogue([distrusting]))
            try eventually("the certificate is not trusted") {
                try mesh.get(Web.host).head["Proxy-Status"]?.contains("tls_certificate_error") == true
            }
            var clear = service
            clear.labels = [service.labels[0], ("mesh.protocol", "h2c")]
            try mesh.write(Catalogue([clear]))
            try eventually("no HTTP/2 in clear where TLS is spoken") { try mesh.get(Web.host).status == 502 }
        }
    }

    @Test func requestsAndAnswers() throws {
        try with { mesh in
            let client = try mesh.client()
            let echo = try client.exchange("POST", "/a?b", host: Web.host, body: Array("hello".utf8))
            try demandEqual(echo.text, "hello", "body")
            try demandEqual(echo.head["x-method"], "POST", ":method")
            try demandEqual(echo.head["x-scheme"], "http", ":scheme")
            try demandEqual(echo.head["x-authority"], Web.host, ":authority")
            try demandEqual(echo.head.fields.filter { $0.name.lowercased() == "set-cookie" }.count, 2, "cookies")
            try demandEqual(try client.exchange("GET", "/", host: Web.host).text, "", "an empty answer")
            try demandEqual(try client.exchange("HEAD", "/", host: Web.host).status, 200, "HEAD")
            try demandEqual(try client.exchange("GET", "/empty", host: Web.host).status, 204, "204")
            try demandEqual(try mesh.metric("meshd_upstream_connections_total"), 1, "one connection for all")
            try demandEqual(try mesh.metric("meshd_http2_upstream_streams_total"), 4, "streams")
        }
    }

    @Test func trailersBothWays() throws {
        try with { mesh in
            let client = try mesh.client()
            try client.connection.send(
                "POST /trailers HTTP/1.1\r\nHost: \(Web.host)\r\nConnection: TE\r\nTE: trailers\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n")
            let response = try client.readResponse()
            try demandEqual(response.text, "abc", "body")
            try demandEqual(response.trailers.map(\.name), ["grpc-status"], "trailers to the client")
            try demandEqual(response.head["x-trailers"], "x-sum=3", "trailers to the instance")
            try demandEqual(response.head["x-te"], "trailers", "te")
        }
    }

    /// More than any window, both ways at once, several times.
    @Test func largeBodies() throws {
        try with { mesh in
            let body = Pattern.bytes(8 << 20)
            let client = try mesh.client()
            for _ in 0..<3 {
                let echo = try client.exchange("POST", "/", host: Web.host, body: body)
                try demand(echo.body == body, "\(echo.body.count) bytes came back")
            }
            try eventually("no buffer is left") { try mesh.metric("meshd_worker_buffer_bytes") == 0 }
        }
    }

    @Test func whatWasNotBegunIsTriedAgain() throws {
        for path in ["/refused", "/goaway"] {
            try with { mesh in
                // Even what must not be sent twice: the instance said that it did nothing.
                let answer = try HTTPTestClient.once(
                    mesh.http, "127.0.0.1", "POST", path, host: Web.host, body: Array("once".utf8))
                try demandEqual(answer.text, "once", path)
                try demandEqual(try mesh.metric("meshd_http_retries_total"), 1, "\(path): retries")
            }
        }
    }

    /// Beyond what the connections take, requests wait; an instance that ends meanwhile never sees them.
    @Test func whatWaitsForAStreamIsTriedAgain() throws {
        let files = try TemporaryDirectory()
        let instance = try PythonProgram.start("http2_full_instance.py", files: files.path + "/instance")
        let ports = try instance.firstLine().split(separator: " ").compactMap { UInt16($0) }
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(ports[0])"])
        try withMesh(Catalogue([service]), .init(workers: 1)) { mesh in
            // The instance's limit becomes known.
            try demandEqual(try mesh.get(Web.host).text, "done", "an answer")
            let clients = try (0..<12).map { number in
                let client = try mesh.client()
                try client.send("POST", "/", host: Web.host, body: [])
                // Each on a connection of its own, as far as there may be more.
                try eventually("request \(number) is under way") {
                    try mesh.metric("meshd_http2_upstream_streams_total") == Double(number + 2)
                }
                return client
            }
            try demandEqual(try mesh.metric("meshd_upstream_connections_total"), 8, "connections")
            let go = try Connection.open(ports[1])
            for client in clients { try demandEqual(try client.readResponse().text, "done", "answer") }
            go.close()
            try demandEqual(try mesh.metric("meshd_http_retries_total"), 4, "retries")
            // The streams serve others.
            for _ in 0..<40 { try demandEqual(try mesh.get(Web.host).text, "done", "an answer behind that") }
        }
    }

    /// Some programs take GOAWAY for the end of all streams: they hear it behind the last one.
    @Test func whatIsUnderWayEndsBeforeTheConnection() throws {
        try with { mesh in
            let client = try mesh.client()
            try client.connection.send("POST / HTTP/1.1\r\nHost: \(Web.host)\r\nContent-Length: 10\r\n\r\nhello")
            try eventually("it is under way") { try mesh.metric("meshd_http2_upstream_streams_total") == 1 }
            try demandEqual(try mesh.run(["drain", "web", "--admin", mesh.admin]).status, 0, "drain")
            try eventually("the worker has heard of it") { try mesh.get(Web.host).status == 503 }
            try client.connection.send("world")
            try demandEqual(try client.readResponse().text, "helloworld", "answer")
            try eventually("then it is ended") { try mesh.metric("meshd_upstream_connections") == 0 }
        }
    }

    @Test func anInvalidHeadCostsNoBuffer() throws {
        try with { mesh in
            for _ in 0..<8 { try demandEqual(try mesh.get(Web.host, "/invalid").status, 502, "status") }
            try demandEqual(try mesh.get(Web.host, "/").status, 200, "the connection goes on")
            try demandEqual(try mesh.metric("meshd_upstream_connections_total"), 1, "one connection for all")
            try eventually("no buffer is left") { try mesh.metric("meshd_worker_buffer_bytes") == 0 }
        }
    }

    @Test func failuresOfStreamsStayTheirs() throws {
        try with(["--response-timeout-seconds", "0.5"]) { mesh in
            try demandEqual(
                try HTTPTestClient.once(mesh.http, "127.0.0.1", "POST", "/reset", host: Web.host, body: []).status, 502,
                "reset")
            try demandEqual(try mesh.get(Web.host, "/silent").status, 504, "silent")
            let client = try mesh.client()
            try client.send("GET", "/cut", host: Web.host)
            _ = try client.connection.readHead()
            try demand((try? client.connection.readExactly(100)) == nil, "a cut answer")
            try demandEqual(try mesh.get(Web.host, "/").status, 200, "the connection goes on")
            try demandEqual(try mesh.metric("meshd_upstream_connections_total"), 1, "one connection for all")
        }
    }

    /// Streams to one instance belong to different clients: one that takes nothing holds up no other.
    @Test func clientsThatTakeNothingStopNobody() throws {
        let files = try TemporaryDirectory()
        try TextFile.write("hello", to: files.path + "/index.html")
        try TextFile.write(String(repeating: "x", count: 24 << 20), to: files.path + "/large")
        let port = FreePort.take()
        let server = try ChildProcess(
            "/usr/sbin/nghttpd", ["--no-tls", "-a", "127.0.0.1", "-d", files.path, String(port)],
            files: files.path + "/nghttpd")
        try eventually("nghttpd listens") { (try? Connection.open(port)) != nil }
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(port)"])
        try withMesh(Catalogue([service]), .init(workers: 1)) { mesh in
            let stalled = try (0..<12).map { _ in
                let client = try Connection.open(mesh.http, receiveBuffer: 4096)
                try client.send("GET /large HTTP/1.1\r\nHost: \(Web.host)\r\n\r\n")
                return client
            }
            var (sent, readings) = (0.0, 0)
            try eventually("nobody takes anything any more") {
                let now = try mesh.metric("meshd_http_sent_bytes_total") ?? 0
                (sent, readings) = (now, now == sent && now > 0 ? readings + 1 : 0)
                return readings == 20
            }
            try demandEqual(try mesh.get(Web.host).text, "hello", "somebody else's answer")
            try demandEqual(try mesh.metric("meshd_upstream_connections_total"), 1, "one connection for all")
            for client in stalled { client.close() }
            try demandEqual(server.poll(), nil, "nghttpd still runs")
        }
    }

    @Test func anInstanceThatIsNotThereIsRefused() throws {
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(FreePort.take())"])
        try withMesh(Catalogue([service])) { mesh in
            let answer = try mesh.get(Web.host)
            try demandEqual(answer.status, 502, "status")
            try demand(answer.head["Proxy-Status"]?.contains("connection_refused") == true, "\(answer.head)")
        }
    }

    /// The fields that are added do not make it too many.
    @Test func asManyFieldsAsAreAllowed() throws {
        try with(["--max-headers", "128"]) { mesh in
            let fields = (0..<126).map { ("X-Field-\($0)", "value") }
            try demandEqual(try mesh.get(Web.host, "/", fields).status, 200, "status")
        }
    }

    /// Several clients at once share connections, as many as the instance's limit makes necessary.
    @Test func streamsShareConnections() throws {
        let files = try TemporaryDirectory()
        try TextFile.write("hello", to: files.path + "/index.html")
        let port = FreePort.take()
        let server = try ChildProcess(
            "/usr/sbin/nghttpd", ["--no-tls", "-m", "4", "-a", "127.0.0.1", "-d", files.path, String(port)],
            files: files.path + "/nghttpd")
        try eventually("nghttpd listens") { (try? Connection.open(port)) != nil }
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(port)"])
        try withMesh(Catalogue([service]), .init(workers: 1)) { mesh in
            // The instance's limit becomes known.
            try demandEqual(try mesh.get(Web.host).text, "hello", "answer of nghttpd")
            let load = try ChildProcess(
                "/usr/bin/h2load",
                ["-n", "600", "-c", "3", "-m", "8", "-H", ":authority: \(Web.host)", "http://127.0.0.1:\(mesh.http)/"],
                files: mesh.directory.path + "/h2load")
            try demandEqual(try load.waitExit(within: 40), 0, "exit of h2load")
            try demand(load.output.contains("status codes: 600 2xx"), load.output)
            let made = try mesh.metric("meshd_upstream_connections_total") ?? 0
            try demand((2...8).contains(made), "\(made) connections")
            try demandEqual(server.poll(), nil, "nghttpd still runs")
        }
    }
}
