import Glibc
import TestSupport
import Testing

/// Seeded disorder on both sides of the mesh; afterwards nothing may be left of it.
@Suite struct ChaosTests {
    private static let flags = [
        Flag.bodyTimeout, "1", Flag.responseTimeout, "1", Flag.headTimeout, "1", Flag.idleTimeout, "1",
        "--upstream-idle-timeout-seconds", "1",
    ]

    @Test(arguments: [UInt64(1), 2]) func nothingIsLeftOfDisorder(seed: UInt64) throws {
        let instances = try (0..<2).map { try HTTPInstance("i\($0)", ChaosInstance.serve) }
        let quiet = try HTTPInstance("quiet", Behave.echoBody)
        let relay = try TCPInstance(serve: Relay.echo)
        let port = FreePort.take()
        let catalogue = Catalogue([
            .web("chaos", "chaos.example", instances), .web("web", Web.host, [quiet]),
            Catalogue.Service.tcp("relay", [relay]).publishing(port, to: 7000),
        ])
        try withMesh(catalogue, .init(Self.flags)) { mesh in
            let before = mesh.socketCount
            let running = Counter()
            let wrong = Counter()
            for thread in 0..<8 {
                running.add()
                let (http, seed) = (mesh.http, seed &* 1000 &+ UInt64(thread))
                startThread {
                    var random = SeededRandom(seed: seed)
                    for _ in 0..<10 {
                        ChaosClient(port: Bool.random(using: &random) ? http : port).run(&random)
                        if !ChaosClient.echoes(http, &random) { wrong.add() }
                    }
                    running.add(-1)
                }
            }
            try eventually(within: 120, "all clients end") { running.value == 0 }
            try demand(mesh.child.poll() == nil, "meshd ended, seed \(seed)")
            try demandEqual(wrong.value, 0, "wrong answers on the untouched service, seed \(seed)")
            try mesh.settles()
            try eventually(within: 20, "sockets are back at \(before): \(mesh.socketCount), seed \(seed)") {
                mesh.socketCount <= before
            }
            try demandEqual(try mesh.metric("meshd_worker_buffer_bytes"), 0, "octets in buffers, seed \(seed)")
            try demandEqual(quiet.malformed, [], "malformed at the untouched service, seed \(seed)")
        }
    }
}

/// An instance that does what the request's target tells it, most of it wrong.
enum ChaosInstance {
    static let kinds = [
        "ok", "reset", "close", "early", "garbage", "interim", "silent", "short", "extra", "chunks", "untilclose",
        "upgrade", "halfhead", "badchunk",
    ]

    static let serve: HTTPInstance.Behaviour = { exchange in
        let send = { (text: String) in try exchange.connection.send(text) }
        switch exchange.target.dropFirst() {
        case "reset": return .reset
        case "close": return .close
        case "early": try exchange.answer(413, text: "no")
        case "garbage":
            try send("\u{1}\u{2} nonsense\r\n\r\n")
            return .close
        case "interim":
            for _ in 0..<30 { try send("HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n") }
        case "silent":
            try exchange.readBody()
            _ = try? exchange.connection.readSome()
            return .close
        case "short":
            try send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegun")
            return exchange.number % 2 == 0 ? .reset : .close
        case "extra":
            try send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        case "chunks":
            try exchange.readBody()
            try send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for size in [1, 15, 16, 17, 4096, 70_000] {
                try send(String(size, radix: 16) + ";x=y\r\n" + String(repeating: "c", count: size) + "\r\n")
            }
            try send("0\r\nX-Sum: 1\r\n\r\n")
        case "untilclose":
            try exchange.readBody()
            try send("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "u", count: 300_000))
            return .close
        case "upgrade":
            try send("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly bytes")
            Relay.echo(exchange.connection)
            return .close
        case "halfhead":
            try send("HTTP/1.1 200 O")
            return .close
        case "badchunk":
            try send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
        default:
            let body = try exchange.readBody()
            try exchange.answer(body: body)
        }
        return .keep
    }
}

/// A client that sends a few requests, whole, cut or mutated, and leaves in one of several ways.
struct ChaosClient {
    let port: UInt16

    func run(_ random: inout SeededRandom) {
        let buffer: Int32? = Int.random(in: 0..<4, using: &random) == 0 ? 4096 : nil
        guard let connection = try? Connection.open(port, deadline: 0.3, receiveBuffer: buffer) else { return }
        defer { connection.close() }
        var bytes: [UInt8] = []
        for _ in 0..<[1, 1, 2, 20].randomElement(using: &random)! { bytes += request(&random) }
        if Int.random(in: 0..<5, using: &random) == 0 {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        if Int.random(in: 0..<3, using: &random) == 0 {
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
        }
        let cut = Int.random(in: 0...bytes.count, using: &random)
        connection.sendAsFarAsTaken(Array(bytes[..<cut]))
        if Bool.random(using: &random) { _ = try? connection.readSome() }
        connection.sendAsFarAsTaken(Array(bytes[cut...]))
        switch Int.random(in: 0..<5, using: &random) {
        case 0: connection.prepareReset()
        case 1: break
        case 2:
            connection.closeWrite()
            _ = try? connection.readToEndOrReset()
        case 3: _ = try? connection.readSome()
        default:
            for _ in 0..<20 where (try? connection.readSome()) != nil {}
            if Bool.random(using: &random) { connection.prepareReset() }
        }
    }

    private func request(_ random: inout SeededRandom) -> [UInt8] {
        let target = "/" + ChaosInstance.kinds.randomElement(using: &random)!
        let host = ["chaos.example", "chaos.example", "chaos.example", "none.example"].randomElement(using: &random)!
        let size = [0, 1, 8200, 16_384, 300_000].randomElement(using: &random)!
        switch Int.random(in: 0..<7, using: &random) {
        case 0: return HTTPTestClient.request("HEAD", target, host: host)
        case 1, 2: return HTTPTestClient.request("POST", target, host: host, body: Pattern.bytes(size))
        case 3:
            let chunk = Array((String(max(size, 1), radix: 16) + "\r\n").utf8) + Pattern.bytes(max(size, 1))
            return HTTPTestClient.request("POST", target, host: host, [("Transfer-Encoding", "chunked")]) + chunk
                + Array("\r\n0\r\nX-T: 1\r\n\r\n".utf8)
        case 4:
            return HTTPTestClient.request(
                "GET", target, host: host, [("Connection", "Upgrade"), ("Upgrade", "x")]) + Array("early".utf8)
        case 5:
            return HTTPTestClient.request(
                "PUT", target, host: host, [("Expect", "100-continue"), ("Content-Length", String(size))])
        default: return HTTPTestClient.request("GET", target, host: host)
        }
    }

    /// Bodies around the sizes of buffers, in chunks of any size, come back as they were sent.
    static func echoes(_ port: UInt16, _ random: inout SeededRandom) -> Bool {
        let near = [0, 8200, 16_359, 16_384, 262_119, 262_144].randomElement(using: &random)!
        let count = near + Int.random(in: 0..<40, using: &random)
        let body = Pattern.bytes(count, from: Int.random(in: 0..<1000, using: &random))
        var text = HTTPTestClient.request("POST", "/", host: Web.host, [("Transfer-Encoding", "chunked")])
        var start = 0
        while start < count {
            let size = min(count - start, [1, 15, 16, 17, 255, 256, 4096, 65_537].randomElement(using: &random)!)
            text += Array((String(size, radix: 16) + "\r\n").utf8) + body[start..<start + size] + [13, 10]
            start += size
        }
        text += Array("0\r\nA:b\r\n\r\n".utf8)
        guard let client = try? HTTPTestClient(port, deadline: 20) else { return false }
        defer { client.close() }
        let isChunked = Bool.random(using: &random)
        let whole = HTTPTestClient.request("POST", "/", host: Web.host, body: body)
        guard (try? client.connection.send(isChunked ? text : whole)) != nil else { return false }
        return (try? client.readResponse(to: "POST").body) == body
    }
}
