import Glibc
import Testing

/// TLS listeners as clients see them.
@Suite struct TLSTests {
    // MARK: - Which certificate

    struct Choice: Sendable, CustomTestStringConvertible {
        let name: String?
        var options: [String] = []
        let subject: String

        var testDescription: String { "\(name ?? "no name") \(options) -> \(subject)" }
    }

    static let choices: [Choice] = [
        .init(name: "web.example", subject: "web-ec"), .init(name: "WEB.Example", subject: "web-ec"),
        .init(
            name: "web.example", options: ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], subject: "web-rsa"),
        .init(name: "web.example", options: ["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], subject: "web-rsa"),
        .init(name: "web.example", options: ["-tls1_2"], subject: "web-ec"),
        .init(name: "shop.company.com", subject: "company"), .init(name: "exact.company.com", subject: "exact"),
        // A wildcard stands for one label.
        .init(name: "a.b.company.com", subject: "fallback"), .init(name: "company.com", subject: "fallback"),
        .init(name: "unknown.example", subject: "fallback"), .init(name: nil, subject: "fallback"),
    ]

    @Test func serverNamesChooseTheCertificate() throws {
        let secure = try SecureMesh(Catalogue([]), ["--default-certificate", "fallback"]) { folder in
            try OpenSSL.pair(folder, "company", ["*.company.com"])
            try OpenSSL.pair(folder, "exact", ["exact.company.com"])
            try OpenSSL.pair(folder, "fallback", ["fallback.example"])
            try OpenSSL.pair(folder, "web-ec", ["web.example"], .ec)
            try OpenSSL.pair(folder, "web-rsa", ["web.example"], .rsa)
        }
        for choice in Self.choices {
            let name = choice.name.map { ["-servername", $0] } ?? ["-noservername"]
            let output = try secure.client(name + choice.options).output
            let subject = output.split(separator: "\n").first { $0.hasPrefix("subject=") } ?? "none"
            try demand(subject.hasSuffix("CN = \(choice.subject)"), "\(choice): \(subject)")
        }
    }

    // MARK: - Exchanges

    @Test func exchangesOverTLS() throws {
        let instance = try HTTPInstance("web") { exchange in
            try exchange.answer(200, [("X-Proto", exchange.head["X-Forwarded-Proto"] ?? "none")], text: "hello")
            return .keep
        }
        let secure = try SecureMesh(Catalogue([.web("web", Web.host, [instance])])) {
            try OpenSSL.pair($0, "web", ["web.example"])
        }
        for version in [["--tlsv1.3"], ["--tls-max", "1.2"]] {
            let url = "https://web.example:\(secure.port)/again"
            let result = try secure.curl("web.example", "/", version + ["-v", url])
            try demandEqual(result.output, "hellohello", "both answers")
            try demand(result.errors.contains("x-proto: https") || result.errors.contains("X-Proto: https"), "proto")
            try demand(result.errors.contains("Re-using existing connection"), "one connection")
        }
        try demandEqual(try secure.mesh.get("web.example").head["X-Proto"], "http", "in clear")
        try demandEqual(try secure.mesh.metric("meshd_tls_handshakes_total"), 2, "handshakes")
    }

    /// The client's close_notify is not read when the connection is closed behind the answer: closing must not throw
    /// the answer away. meshd is stopped while both come, the answer first.
    @Test func aGoodbyeThatCrossesTheAnswerCostsNothing() throws {
        let (arrived, answered, gate) = (Counter(), Counter(), Gate())
        defer { gate.open() }
        let instance = try HTTPInstance("web") { exchange in
            arrived.add()
            gate.wait()
            try exchange.answer(200, [], text: String(repeating: "x", count: 5_000))
            answered.add()
            return .keep
        }
        let secure = try SecureMesh(Catalogue([.web("web", Web.host, [instance])])) {
            try OpenSSL.pair($0, "web", ["web.example"])
        }
        let mark = "\(secure.scratch)/go"
        let client = try PythonProgram.start(
            "tls_client.py", ["goodbye", "\(secure.port)", Web.host, mark], files: "\(secure.scratch)/goodbye")
        try eventually("the request is at the instance") { arrived.value == 1 }
        secure.mesh.child.signal(SIGSTOP)
        defer { secure.mesh.child.signal(SIGCONT) }
        gate.open()
        try eventually("the answer is on its way") { answered.value == 1 }
        try TextFile.write("", to: mark)
        try eventually("the client has said its goodbye") { client.output.contains("said") }
        secure.mesh.child.signal(SIGCONT)
        try demandEqual(try client.waitExit(within: 30), 0, "client: \(client.errors)")
        let octets = client.output.split(separator: "\n").last.flatMap { Int($0) } ?? 0
        try demand(octets > 5_000, "the client got \(octets) octets")
    }

    @Test func bodiesBothWays() throws {
        let body = Pattern.bytes(3_000_000)
        let instance = try HTTPInstance("web", Behave.echoBody)
        let secure = try SecureMesh(Catalogue([.web("web", Web.host, [instance])])) {
            try OpenSSL.pair($0, "web", ["web.example"])
        }
        let file = secure.scratch + "/body"
        try TextFile.write(String(decoding: body, as: UTF8.self), to: file)
        for version in ["1.2", "1.3"] {
            let arguments = ["--tls-max", version, "--data-binary", "@\(file)", "-o", file + ".back"]
            let result = try secure.curl("web.example", "/", arguments)
            try demandEqual(result.status, 0, result.errors)
            try demandEqual(TextFile.read(file + ".back"), TextFile.read(file), "the body, TLS \(version)")
        }
    }

    @Test(arguments: [
        ("http/1.1", "http/1.1"), ("h9,http/1.1", "http/1.1"), ("http/1.1,h2", "h2"),
    ])
    func protocolsAreAgreedOn(offered: String, chosen: String) throws {
        try SecureMesh.with { secure in
            try demandEqual(try secure.python("alpn", ["web.example", offered]), chosen, "ALPN")
            let refused = try secure.client(["-alpn", "h9"])
            try demand(refused.errors.contains("no application protocol"), refused.errors)
        }
    }

    @Test func oldVersionsAreRefused() throws {
        try SecureMesh.with { secure in
            let weak = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
            try demand(try secure.client(weak).errors.contains("protocol version"), "TLS 1.1")
            try demand(try secure.client(["-tls1_2"]).output.contains("TLSv1.2"), "TLS 1.2")
        }
        try SecureMesh.with(["--tls-minimum", "1.3"]) { secure in
            try demand(try secure.client(["-tls1_2"]).errors.contains("protocol version"), "TLS 1.2")
            try demand(try secure.client(["-tls1_3"]).output.contains("TLSv1.3"), "TLS 1.3")
        }
    }

    // MARK: - Ends

    @Test func anAnswerThatEndsWithTheConnectionEndsInOrder() throws {
        try SecureMesh.with(behaviour: Behave.raw("HTTP/1.1 200 OK\r\n\r\nall of it")) { secure in
            try demandEqual(try secure.python("ending", ["web.example", "/"]), "orderly", "whole answer")
        }
    }

    @Test func aCutAnswerIsNoOrderlyEnd() throws {
        let cut = Behave.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
        try SecureMesh.with(behaviour: cut) { secure in
            try demandEqual(try secure.python("ending", ["web.example", "/"]), "cut", "cut answer")
        }
    }

    // MARK: - Handshakes that are slow, broken or too many

    @Test(arguments: [1, 100])
    func aHandshakeInPieces(bytes: Int) throws {
        try SecureMesh.with { secure in
            try demandEqual(try secure.python("slowly", ["web.example", "\(bytes)"]), "200", "status")
        }
    }

    @Test(arguments: ["GET / HTTP/1.1\\r\\n\\r\\n", "\\x16\\x03\\x01\\xff\\xff\\x01", "\\x00\\x00\\x00", ""])
    func garbageIsClosed(bytes: String) throws {
        try SecureMesh.with { secure in
            try demand(try secure.python("garbage", [bytes]).hasPrefix("closed"), "closed")
            try demandEqual(try secure.curl("web.example").output, "web", "others are served")
            try eventually("nothing is left") { try secure.mesh.metric("meshd_tls_handshakes") == 0 }
        }
    }

    @Test func theOldestHalfHandshakeMakesRoom() throws {
        try SecureMesh.with(["--max-handshakes", "2"], workers: 1) { secure in
            try demandEqual(try secure.python("half", ["5"]), "closed closed closed waiting waiting", "states")
            try demandEqual(
                try secure.mesh.metric("meshd_tls_handshake_failures_total{cause=\"limit\"}"), 3, "crowded out")
        }
    }

    @Test func aHalfHandshakeEndsAtItsTime() throws {
        try SecureMesh.with(["--handshake-timeout-seconds", "0.3"]) { secure in
            try demandEqual(try secure.python("half", ["1", "15"]), "closed", "state")
            try demandEqual(
                try secure.mesh.metric("meshd_tls_handshake_failures_total{cause=\"timeout\"}"), 1, "timed out")
        }
    }

    // MARK: - Towards TLS

    @Test func requestsInClearAreSentToTLS() throws {
        let instance = try HTTPInstance("web")
        let web = Catalogue.Service.web("web", "web.example;https://secure.example", [instance])
        let own = Catalogue.Service.web("own", "own.example", [instance])
            .label("mesh.routing.port_8080.hsts", "5").label(
                "mesh.routing.port_8080.redirect", "302 http://else.example")
        let flags = ["--redirect-https", "8443", "--hsts-max-age", "86400", "--trusted-proxies", "127.0.0.0/8"]
        let secure = try SecureMesh(Catalogue([web, own]), flags) { try OpenSSL.pair($0, "web", ["web.example"]) }
        for host in ["web.example", "secure.example"] {
            let answer = try secure.mesh.get(host, "/a?b=c")
            try demandEqual(answer.status, 301, host)
            try demandEqual(answer.head["Location"], "https://\(host):8443/a?b=c", "where to")
        }
        let post = try HTTPTestClient.once(secure.mesh.http, "127.0.0.1", "POST", "/", host: "web.example", body: [1])
        try demandEqual(post.status, 308, "POST")
        try demandEqual(try secure.mesh.get("nobody.example").status, 404, "no route")
        try demandEqual(try secure.mesh.get("own.example").head["Location"], "http://else.example", "the route's own")
        let proxied = try secure.mesh.get("web.example", "/", [("X-Forwarded-Proto", "https")])
        try demandEqual(proxied.status, 200, "from a trusted proxy that ended TLS")
        let told = try secure.curl("web.example", "/", ["-v"])
        try demandEqual(told.output, "web", "over TLS")
        try demand(told.errors.lowercased().contains("strict-transport-security: max-age=86400"), told.errors)
        try demand(
            try secure.curl("own.example", "/", ["-v"]).errors.lowercased()
                .contains("strict-transport-security: max-age=5"), "the route's own policy")
    }
}
