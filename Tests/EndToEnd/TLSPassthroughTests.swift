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

    @Test func aHalfHelloEndsAtItsTime() throws {
        let tcp = Catalogue.Service(
            name: "vault", labels: [("aliyun.routing.port_8200", "tcp://vault.company.com")], instances: ["127.0.0.1"])
        let secure = try SecureMesh(Catalogue([tcp]), ["--handshake-timeout-seconds", "0.3"]) {
            try OpenSSL.pair($0, "here", ["web.example"])
        }
        try demandEqual(try secure.python("half", ["2", "15"]), "closed closed", "states")
    }
}
