import Testing

/// `Upgrade`: after 101 the connection is a relay (RFC 9110 section 7.8).
@Suite struct UpgradeTests {
    private static let fields = [
        ("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    private static let switching =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Instance: web\r\n\r\n"

    private func upgraded(_ mesh: MeshProcess) throws -> Connection {
        let client = try mesh.client()
        try client.send("GET", "/chat", host: Web.host, Self.fields)
        let head = try client.connection.readHead()
        try demandEqual(try HTTPTestClient.status(head), 101, "status")
        try demandEqual(head["Upgrade"]?.lowercased(), "websocket", "Upgrade")
        try demand(head.list("Connection").contains("upgrade"), "Connection: \(head.fields)")
        return client.connection
    }

    @Test func upgradedConnectionCarriesBytesBothWays() throws {
        try Web.with({ exchange in
            try exchange.connection.send(Self.switching)
            Relay.echo(exchange.connection)
            return .close
        }) { mesh, instance in
            let connection = try upgraded(mesh)
            for number in 0..<20 { try Relay.checkEcho(connection, "\u{81}frame \(number)\r\n\r\n") }
            let head = try #require(instance.requests.first?.head)
            try demandEqual(head["Upgrade"], "websocket", "Upgrade at the instance")
            try demand(head.list("Connection").contains("upgrade"), "Connection at the instance: \(head.fields)")
            try demandEqual(head["Sec-WebSocket-Key"], "dGhlIHNhbXBsZSBub25jZQ==", "key")
        }
    }

    @Test func bytesSentWithThe101AreNotLost() throws {
        try Web.with({ exchange in
            try exchange.connection.send(Self.switching + "first frame")
            _ = try exchange.connection.readToEnd()
            return .close
        }) { mesh, _ in
            let connection = try upgraded(mesh)
            try demandEqual(try connection.readExactly(11), Array("first frame".utf8), "bytes behind the head")
        }
    }

    @Test func halfCloseWorksBothWays() throws {
        try Web.with({ exchange in
            try exchange.connection.send(Self.switching)
            let got = try exchange.connection.readToEnd()
            try exchange.connection.send("after \(got.count)")
            return .close
        }) { mesh, _ in
            let connection = try upgraded(mesh)
            try connection.send(Pattern.bytes(70_000))
            connection.closeWrite()
            try demandEqual(
                String(decoding: try connection.readToEnd(), as: UTF8.self), "after 70000", "after half-close")
        }
        let received = Counter()
        try Web.with({ exchange in
            try exchange.connection.send(Self.switching + "bye")
            exchange.connection.closeWrite()
            received.add(try exchange.connection.readToEnd().count)
            return .close
        }) { mesh, _ in
            let connection = try upgraded(mesh)
            try demandEqual(try connection.readToEnd(), Array("bye".utf8), "last words of the instance")
            try connection.send(Pattern.bytes(30_000))
            connection.closeWrite()
            try eventually("the instance has it all: \(received.value)") { received.value == 30_000 }
        }
    }

    @Test func refusedUpgradeIsAPlainExchange() throws {
        try Web.with(Behave.named) { mesh, _ in
            let client = try mesh.client()
            try demandEqual(try client.exchange("GET", "/chat", host: Web.host, Self.fields).text, "web", "answer")
            try demandEqual(try client.exchange(host: Web.host).text, "web", "the next answer")
        }
    }
}
