import Testing

/// WebSocket with a real client and a real server (RFC 6455).
@Suite struct WebSocketTests {
    @Test func aTunnelOutlivesAHundredCatalogueChanges() throws {
        let files = try TemporaryDirectory()
        let server = try PythonProgram.start("websocket_echo.py", files: files.path + "/server")
        let address = "127.0.0.1:\(try server.firstLine())"
        let others = try (0..<2).map { try HTTPInstance("other-\($0)", Behave.named) }
        var catalogue = Catalogue([
            .init(name: "chat", labels: [("aliyun.routing.port_8080", "chat.example")], instances: [address]),
            .web("web", Web.host, others),
        ])
        try withMesh(catalogue) { mesh in
            let stop = files.path + "/stop"
            let client = try PythonProgram.start(
                "websocket_client.py", [String(mesh.http), "chat.example", stop], files: files.path + "/client")
            try demandEqual(try client.firstLine(), "open", "the client's first line")
            for change in 1...100 {
                catalogue["web"].labels = [("aliyun.routing.port_8080", "web-\(change).example")]
                // Another instance beside the tunnel's own comes and goes.
                catalogue["chat"].instances = change % 2 == 0 ? [address] : [address, others[0].address]
                try mesh.write(catalogue)
                try eventually("change \(change) is in force") {
                    try mesh.get("web-\(change).example").status == 200
                }
            }
            try TextFile.write("", to: stop)
            try demandEqual(try client.waitExit(), 0, "exit of the client: \(client.errors)")
            let messages = client.output.split(separator: "\n").last.flatMap { Int($0) } ?? 0
            try demand(messages > 100, "\(messages) messages came back")
        }
    }

    @Test func anIdleTunnelIsEnded() throws {
        try Web.with(
            { exchange in
                try exchange.connection.send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                Relay.echo(exchange.connection)
                return .close
            }, ["--tunnel-idle-timeout-seconds", "0.4", "--idle-timeout-seconds", "0.1"]
        ) { mesh, _ in
            let client = try mesh.client()
            try client.send("GET", "/", host: Web.host, [("Connection", "Upgrade"), ("Upgrade", "websocket")])
            _ = try client.connection.readHead()
            try Relay.checkEcho(client.connection, "the time of idle connections is not the tunnel's")
            try demandEqual(try client.connection.readToEnd(), [], "bytes after the end")
            try demandEqual(try mesh.metric("meshd_http_tunnel_idle_timeouts_total"), 1, "counted")
        }
    }
}
