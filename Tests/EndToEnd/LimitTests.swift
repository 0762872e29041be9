import CLinux
import Glibc
import Testing

/// Timeouts and bounds on what a peer may send.
@Suite struct LimitTests {
    // MARK: - Time

    @Test func slowHeadIsTimedOut() throws {
        try Web.with(Behave.named, [Flag.headTimeout, "1"]) { mesh, instance in
            let client = try mesh.client()
            try client.connection.send("GET / HTTP/1.1\r\nHost: \(Web.host)\r\nX-Half")
            let response = try client.readResponse()
            try demandEqual(response.status, 408, "status")
            try demand(response.isMade(), "Proxy-Status \(response.proxyStatus ?? "none")")
            try demand(client.connection.isClosedByPeer(), "closed")
            try demandEqual(instance.requests.count, 0, "requests at the instance")
        }
    }

    @Test func trickleDoesNotExtendTheHeadTimeout() throws {
        try Web.with(Behave.named, [Flag.headTimeout, "1"]) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send("GET / HTTP/1.1\r\nHost: \(Web.host)\r\nX-Trickle: ")
            client.connection.setDeadline(0.05)
            try eventually(within: 15, "the head times out") {
                guard client.connection.sendAsFarAsTaken([UInt8(ascii: "x")]) == 1 else { return true }
                do { try client.connection.fill() } catch ReadError.timedOut { return false } catch { return true }
                return true
            }
        }
    }

    @Test func silentConnectionIsClosed() throws {
        try Web.with(Behave.named, [Flag.headTimeout, "1", Flag.idleTimeout, "1"]) { mesh, _ in
            let connection = try Connection.open(mesh.http)
            connection.setDeadline(20)
            _ = try connection.readToEndOrReset()
        }
    }

    @Test func idleConnectionIsClosed() throws {
        try Web.with(Behave.named, [Flag.idleTimeout, "1"]) { mesh, _ in
            let client = try mesh.client()
            _ = try client.exchange(host: Web.host)
            try demand(client.connection.isClosedByPeer(within: 20), "closed, without a word")
        }
    }

    @Test func silentInstanceIsTimedOut() throws {
        let gate = Gate()
        defer { gate.open() }
        try Web.with(Behave.held(gate), [Flag.responseTimeout, "1"]) { mesh, instance in
            let response = try HTTPTestClient.once(
                mesh.http, "127.0.0.1", "POST", "/", host: Web.host, body: Array("x".utf8))
            try demandEqual(response.status, 504, "status")
            try demand(
                response.isMade(because: ProxyError.responseTimeout), "Proxy-Status \(response.proxyStatus ?? "none")")
            try demandEqual(instance.requests.count, 1, "attempts")
        }
    }

    @Test func stalledHeadOfAnAnswerIsTimedOut() throws {
        let gate = Gate()
        defer { gate.open() }
        try Web.with(
            { exchange in
                try exchange.connection.send("HTTP/1.1 200 OK\r\nContent-Le")
                gate.wait()
                return .close
            }, [Flag.responseTimeout, "1"]
        ) { mesh, _ in
            try demandEqual(try mesh.get(Web.host).status, 504, "status")
        }
    }

    @Test func unansweredDialIsTimedOut() throws {
        let hole = try FullBacklog()
        let service = Catalogue.Service(
            name: "hole", labels: [("aliyun.routing.port_8080", Web.host)], instances: ["127.0.0.1:\(hole.port)"])
        try withMesh(Catalogue([service]), .init([Flag.connectTimeout, "1"])) { mesh in
            let response = try HTTPTestClient.once(
                mesh.http, "127.0.0.1", "POST", "/", host: Web.host, body: Array("x".utf8))
            try demand([502, 503, 504].contains(response.status), "status \(response.status)")
            try demand(
                response.isMade(because: ProxyError.connectTimeout), "Proxy-Status \(response.proxyStatus ?? "none")")
        }
    }

    @Test func unansweredDialFallsToAnotherInstance() throws {
        let hole = try FullBacklog()
        let good = try HTTPInstance("good")
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host)],
            instances: ["127.0.0.1:\(hole.port)", good.address])
        try withMesh(Catalogue([service]), .init([Flag.connectTimeout, "1"])) { mesh in
            for _ in 0..<4 { try demandEqual(try mesh.get(Web.host).text, "good", "answer") }
        }
    }

    // MARK: - Size

    private func refused(_ bytes: String, _ statuses: [Int]) throws {
        try Web.with(Behave.named) { mesh, instance in
            let client = try mesh.client()
            client.connection.sendAsFarAsTaken(Array(bytes.utf8))
            let response = try client.readResponse()
            try demand(statuses.contains(response.status), "status \(response.status), wanted \(statuses)")
            try demand(response.isMade(), "Proxy-Status \(response.proxyStatus ?? "none")")
            _ = try client.connection.readToEndOrReset()
            try demandEqual(instance.requests.count, 0, "requests at the instance")
            try demandEqual(try mesh.get(Web.host).status, 200, "a decent request afterwards")
        }
    }

    @Test func largeFieldIsRefused() throws {
        let value = String(repeating: "a", count: 300_000)
        try refused("GET / HTTP/1.1\r\nHost: \(Web.host)\r\nX-Large: \(value)\r\n\r\n", [431])
    }

    @Test func endlessHeadIsRefused() throws {
        try refused("GET / HTTP/1.1\r\nHost: \(Web.host)\r\nX-Large: " + String(repeating: "a", count: 300_000), [431])
    }

    @Test func manyFieldsAreRefused() throws {
        let fields = (0..<3000).map { "X-\($0): 1\r\n" }.joined()
        try refused("GET / HTTP/1.1\r\nHost: \(Web.host)\r\n\(fields)\r\n", [431])
    }

    @Test func longTargetIsRefused() throws {
        let path = String(repeating: "a", count: 200_000)
        try refused("GET /\(path) HTTP/1.1\r\nHost: \(Web.host)\r\n\r\n", [414])
    }

    @Test func usualSizesPass() throws {
        try Web.with(Behave.named) { mesh, instance in
            let fields = (0..<60).map { ("X-Field-\($0)", String(repeating: "v", count: 100)) }
            let target = "/" + String(repeating: "p", count: 4000)
            try demandEqual(try mesh.get(Web.host, target, fields).status, 200, "status")
            let seen = try #require(instance.requests.first)
            try demandEqual(seen.target, target, "target")
            try demandEqual(seen.head["X-Field-59"]?.count, 100, "last field")
        }
    }

    @Test func withoutABufferTheAnswerIsStillGiven() throws {
        try Web.with([try HTTPInstance("web")], ["--buffer-limit-mib", "1"], workers: 1) { mesh in
            // Each unfinished head holds a buffer; 64 are all there are.
            var holders = try (0..<64).map { _ in try mesh.client() }
            for holder in holders { try holder.connection.send("GET / HTTP/1.1\r\nHost: ") }
            try eventually("all buffers are leased") {
                try mesh.metric("meshd_worker_buffer_bytes") == 1_048_576
            }
            for _ in 0..<20 {
                let client = try mesh.client()
                try client.send(host: Web.host)
                let response = try client.readResponse()
                try demandEqual(response.status, 503, "status")
                try demandEqual(response.proxyStatus, Self.outOfBuffers, "Proxy-Status")
                try demandEqual(response.text, "503 Service Unavailable: out of buffers\n", "body")
                try demandEqual(response.head["Connection"], "close", "Connection")
                try demand(client.connection.isClosedByPeer(), "closed")
            }
            try demand(try mesh.metric("meshd_buffers_refused_total") ?? 0 >= 20, "counted")
            for holder in holders { holder.close() }
            holders = []
            try eventually("it serves again") { try mesh.get(Web.host).status == 200 }
            try demandEqual(try mesh.metric("meshd_worker_buffer_bytes"), 0, "buffers afterwards")
        }
    }

    private static let outOfBuffers = "meshd; error=proxy_internal_response; details=\"out of buffers\""

    @Test func largeHeadOfAnAnswerIsABadGateway() throws {
        let answer =
            "HTTP/1.1 200 OK\r\nX-Large: \(String(repeating: "a", count: 400_000))\r\nContent-Length: 0\r\n\r\n"
        try Web.with(Behave.raw(answer)) { mesh, _ in
            let response = try mesh.get(Web.host)
            try demandEqual(response.status, 502, "status")
            try demand(response.isMade(), "Proxy-Status \(response.proxyStatus ?? "none")")
        }
    }
}

/// A port whose queue of pending connections is full: a dial is neither taken nor refused.
final class FullBacklog {
    let port = FreePort.take()
    private let listener: Int32
    private var fillers: [Int32] = []

    init() throws {
        listener = try FreePort.listen(on: port, backlog: 0)
        for _ in 0..<4 {
            let flags = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            let fd = socket(AF_INET, flags, 0)
            _ = withIPv4("127.0.0.1", port) { connect(fd, $0, $1) }
            fillers.append(fd)
        }
    }

    deinit {
        for fd in fillers { close(fd) }
        close(listener)
    }
}
