import Glibc
import Testing

/// What one exchange leaves behind must not reach the next one.
@Suite struct LeftoverTests {
    /// A body too large to be kept beside its head is still here when no instance can be had; the next request on the
    /// connection must not be followed by it.
    @Test func bodyOfARefusedRequestIsNotSentAfterTheNextOne() throws {
        let web = try HTTPInstance("web")
        let dead = try HTTPInstance("dead")
        dead.stop()
        let catalogue = Catalogue([.web("web", Web.host, [web]), .web("dead", "dead.example", [dead])])
        try withMesh(catalogue, .init(workers: 1)) { mesh in
            let smuggled = "GET /smuggled HTTP/1.1\r\nHost: web.example\r\n\r\n"
            let pad = String(repeating: "p", count: 8000)
            let body = Array(String(repeating: smuggled, count: 200).utf8)
            for size in stride(from: 8000, through: 8400, by: 13) {
                let client = try mesh.client()
                let refused = try client.exchange(
                    "POST", "/", host: "dead.example", [("X-Pad", pad)], body: Array(body[..<size]))
                try demand([502, 503].contains(refused.status), "status \(refused.status)")
                if refused.head.list("Connection").contains("close") { continue }
                try demandEqual(try client.exchange("GET", "/next", host: Web.host).text, "web", "size \(size)")
                client.close()
            }
            try demandEqual(Set(web.requests.map(\.target)), ["/next"], "what the instance saw")
            try demandEqual(web.malformed, [], "malformed at the instance")
        }
    }

    /// An instance that refuses a large body early is heard although the client goes on sending.
    @Test func earlyRefusalReachesAClientThatGoesOnSending() throws {
        let gate = Gate()
        try Web.with({ exchange in
            try exchange.answer(413, [("Connection", "close")], text: "too large")
            gate.wait()
            return .close
        }) { mesh, _ in
            for _ in 0..<5 {
                let client = try mesh.client()
                let total = 16 << 20
                try client.connection.send(
                    "POST / HTTP/1.1\r\nHost: \(Web.host)\r\nContent-Length: \(total)\r\n\r\n")
                client.connection.sendAsFarAsTaken(Pattern.bytes(total))
                let response = try client.readResponse(to: "POST")
                try demandEqual(response.status, 413, "status")
                try demandEqual(response.text, "too large", "body")
            }
            gate.open()
            try mesh.settles()
        }
    }

    /// Some clients put a line end behind a body. Where it is not read when the connection is closed behind the answer,
    /// closing must not throw the answer away. meshd is stopped while both come, the answer first.
    @Test func aLineEndThatCrossesTheAnswerCostsNothing() throws {
        let (arrived, answered, gate) = (Counter(), Counter(), Gate())
        defer { gate.open() }
        try Web.with({ exchange in
            arrived.add()
            gate.wait()
            try exchange.answer(200, [], text: "hello")
            answered.add()
            return .keep
        }) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send(
                "POST / HTTP/1.1\r\nHost: \(Web.host)\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab")
            try eventually("the request is at the instance") { arrived.value == 1 }
            mesh.child.signal(SIGSTOP)
            defer { mesh.child.signal(SIGCONT) }
            gate.open()
            try eventually("the answer is on its way") { answered.value == 1 }
            try client.connection.send("\r\n")
            mesh.child.signal(SIGCONT)
            try demandEqual(try client.readResponse(to: "POST").text, "hello", "body")
        }
    }

    /// More connections come free at once than are kept: the kept ones stay usable.
    @Test func fullPoolKeepsWhatItHolds() throws {
        let instance = try HTTPInstance("web")
        try Web.with([instance], workers: 1) { mesh in
            try burst(576, instance, mesh)
            try eventually("the surplus is closed") { instance.openConnections <= 512 }
            let accepted = instance.acceptedCount
            try burst(480, instance, mesh)
            try demandEqual(instance.acceptedCount - accepted, 0, "new connections in the second burst")
        }
    }

    private func burst(_ count: Int, _ instance: HTTPInstance, _ mesh: MeshProcess) throws {
        let gate = Gate()
        let arrived = Counter()
        instance.setBehaviour(Behave.held(gate, arrived))
        let clients = try (0..<count).map { _ in try mesh.client() }
        for client in clients { try client.send(host: Web.host) }
        try eventually(within: 30, "all requests are at the instance") { arrived.value == count }
        gate.open()
        for client in clients {
            try demandEqual(try client.readResponse().status, 200, "status")
            client.close()
        }
    }
}
