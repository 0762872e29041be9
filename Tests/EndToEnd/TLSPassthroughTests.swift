import Testing

/// TLS sessions that are relayed by their server name, and sessions beside them that are not.
@Suite struct TLSPassthroughTests {
    /// A TLS server of its own: `openssl s_server`, which answers 200 to every GET.
    private func server(_ folder: String, _ name: String, _ names: [String]) throws -> (ChildProcess, UInt16) {
        try OpenSSL.pair(folder, name, names)
        let port = FreePort.take()
        let child = try ChildProcess(
            "/usr/bin/openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", "\(folder)/\(name).crt", "-key",
                "\(folder)/\(name).key", "-www",
            ], files: "\(folder)/\(name)-server")
        try eventually("s_server listens") { (try? Connection.open(port)) != nil }
        return (child, port)
    }

    private func subject(_ secure: SecureMesh, _ name: String) throws -> String {
        let output = try secure.client(["-servername", name]).output
        return output.split(separator: "\n").first { $0.hasPrefix("subject=") }.map(String.init) ?? "none"
    }

    @Test func serverNamesChooseWhereTLSEnds() throws {
        let folder = try TemporaryDirectory()
        let (vault, port) = try server(folder.path, "vault", ["vault.company.com"])
        let instance = try HTTPInstance("web")
        let tcp = Catalogue.Service(
            name: "vault", labels: [("aliyun.routing.port_8200", "tcp://vault.company.com;tcp://*.company.com")],
            instances: ["127.0.0.1:\(port)"])
        let web = Catalogue.Service.web("web", "web.example;www.company.com", [instance])
        let dead = Catalogue.Service(
            name: "dead", labels: [("aliyun.routing.port_9", "tcp://dead.example")],
            instances: ["127.0.0.1:\(FreePort.take())"])
        let secure = try SecureMesh(Catalogue([tcp, web, dead])) {
            try OpenSSL.pair($0, "here", ["web.example", "*.company.com"])
        }
        try demandEqual(try subject(secure, "vault.company.com"), "subject=CN = vault", "the exact name")
        try demandEqual(try subject(secure, "VAULT.company.com"), "subject=CN = vault", "in any case")
        try demandEqual(try subject(secure, "x.company.com"), "subject=CN = vault", "the wildcard")
        try demandEqual(try subject(secure, "www.company.com"), "subject=CN = here", "an exact name served here")
        try demandEqual(try subject(secure, "web.example"), "subject=CN = here", "another name")
        try demandEqual(try secure.curl("web.example").output, "web", "served here")
        try requestsForRelayedHostsAreMisdirected(secure)
        for piece in [1, 7, 100_000] {
            for host in ["vault.company.com", "web.example"] {
                let status = try secure.python("slowly", [host, "\(piece)"])
                try demandEqual(status, "200", "\(host), \(piece) bytes a packet")
            }
        }
        // Beyond several packets, and one message in many records: what is relayed is every byte as it came.
        for more in [["60", "0"], ["0", "50"], ["40", "1000"]] {
            for host in ["vault.company.com", "web.example"] {
                try demandEqual(try secure.python("slowly", [host, "1400"] + more), "200", "\(host), \(more)")
            }
        }
        try demandEqual(try subject(secure, "dead.example"), "none", "no instance answers")
        for bytes in ["GET / HTTP/1.1\\r\\n\\r\\n", "\\x16\\x03\\x01\\x00\\x64\\x01"] {
            try demand(try secure.python("garbage", [bytes]).hasPrefix("closed"), "garbage")
        }
        try eventually("no handshake is left") { try secure.mesh.metric("meshd_tls_handshakes") == 0 }
        try demand(try secure.mesh.metric("meshd_tls_passed_through_total") ?? 0 >= 10, "passed through")
        vault.signal(15)
    }

    /// Clients use a session for every host that its certificate names. Whether the host comes by HTTP/2 or 1.1, in a
    /// request for a relayed one there is another session to be made.
    private func requestsForRelayedHostsAreMisdirected(_ secure: SecureMesh) throws {
        for version in ["--http1.1", "--http2"] {
            for (host, wanted) in [
                ("vault.company.com", "421"), ("x.company.com", "421"), ("www.company.com", "200"),
                ("a.example", "404"),
            ] {
                let answer = try secure.curl("web.example", "/", [version, "-D", "-", "-H", "Host: \(host)"]).output
                let status = answer.split(separator: "\n").first?.split(separator: " ").dropFirst().first
                try demandEqual(status.map(String.init), wanted, "\(version), \(host)")
                let isMade = answer.lowercased().contains("proxy-status: meshd; error=http_request_error")
                try demandEqual(isMade, wanted == "421", "\(version), \(host): who says so")
            }
        }
        try demandEqual(try secure.mesh.get("vault.company.com").status, 404, "in clear there is no session")
        func explained(_ url: String) throws -> String {
            try secure.mesh.run(["explain", url, "--admin", secure.mesh.admin]).output
        }
        let vault = try explained("https://Vault.company.com/")
        try demand(vault.contains("session   relayed untouched") && vault.contains("service   vault, container"), vault)
        try demand(try explained("https://www.company.com/").contains("rule      www.company.com"), "served here")
        try demand(try explained("http://vault.company.com/").contains("rule      none"), "in clear")
    }

    @Test func aHalfHelloEndsAtItsTime() throws {
        let tcp = Catalogue.Service(
            name: "vault", labels: [("aliyun.routing.port_8200", "tcp://vault.company.com")], instances: ["127.0.0.1"])
        let secure = try SecureMesh(Catalogue([tcp]), ["--handshake-timeout-seconds", "0.3"]) {
            try OpenSSL.pair($0, "here", ["web.example"])
        }
        try demandEqual(try secure.python("half", ["2", "15"]), "closed closed", "states")
    }
}
