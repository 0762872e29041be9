import Testing

/// The admin address under clients that do not behave.
@Suite struct AdminFloodTests {
    @Test(arguments: [false, true]) func pipelinedRequestsAreAllAnswered(halfCloses: Bool) throws {
        let instance = try HTTPInstance("web")
        try Web.with([instance]) { mesh in
            let client = try HTTPTestClient(mesh.adminPort)
            let count = 1500
            for _ in 0..<count { try client.send("GET", "/live", host: "admin") }
            if halfCloses { client.connection.closeWrite() }
            for number in 0..<count { try demandEqual(try client.readResponse().text, "alive\n", "answer \(number)") }
            if halfCloses { try demand(client.connection.isClosedByPeer(), "closed") }
        }
    }

    @Test func silentAdminClientsDoNotKeepTrafficWaiting() throws {
        let instance = try HTTPInstance("web")
        try Web.with([instance]) { mesh in
            let clients = try (0..<300).map { _ in try Connection.open(mesh.adminPort) }
            for client in clients.prefix(200) { try client.send("GET /metrics HTTP/1.1\r\nHost: admin\r\n\r\n") }
            for _ in 0..<20 { try demandEqual(try mesh.get(Web.host).text, "web", "a request meanwhile") }
            for client in clients { client.close() }
            try eventually("the admin address answers again") { (try? mesh.adminGet("/live").status) == 200 }
        }
    }
}
