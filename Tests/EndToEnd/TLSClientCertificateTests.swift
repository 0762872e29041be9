import Testing

/// Clients that show who they are.
@Suite struct TLSClientCertificateTests {
    private static let fields = ["X-Client-Cert-Subject", "X-Client-Cert-Fingerprint"]

    /// A CA, a client of it, and a client of nobody.
    private func makeClients(_ folder: String) throws {
        try authority(folder, "ca")
        try OpenSSL.run(
            [
                "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/O=Company, Inc/CN=ann\u{e9}", "-utf8", "-keyout", "\(folder)/ann.key", "-out", "\(folder)/ann.csr",
            ], in: folder)
        try OpenSSL.run(
            [
                "x509", "-req", "-in", "\(folder)/ann.csr", "-CA", "\(folder)/ca.pem", "-CAkey", "\(folder)/ca.key",
                "-CAcreateserial", "-days", "30", "-out", "\(folder)/ann.crt",
            ], in: folder)
        try OpenSSL.pair(folder, "stranger", ["stranger.example"])
    }

    private func authority(_ folder: String, _ name: String) throws {
        try OpenSSL.run(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", "/CN=authority", "-keyout", "\(folder)/\(name).key", "-out", "\(folder)/\(name).pem",
            ], in: folder)
    }

    private func with(_ mode: String, _ body: (SecureMesh, _ clients: String) throws -> Void) throws {
        let clients = try TemporaryDirectory()
        try makeClients(clients.path)
        let flags = ["--client-certificates", mode, "--client-ca", "\(clients.path)/ca.pem"]
        let told: HTTPInstance.Behaviour = { exchange in
            let values = Self.fields.map { exchange.head.values($0).joined(separator: " and ") }
            let forged = exchange.head["X_Client_Cert_Subject"] ?? "none"
            try exchange.answer(text: (values + [forged]).joined(separator: "|"))
            return .keep
        }
        try SecureMesh.with(flags, behaviour: told) { try body($0, clients.path) }
    }

    private let forgery = [
        "-H", "X-Client-Cert-Subject: CN=root", "-H", "x-client-cert-fingerprint: 00", "-H",
        "X_Client_Cert_Subject: CN=root",
    ]

    private func certificate(_ clients: String, _ name: String) -> [String] {
        ["--cert", "\(clients)/\(name).crt", "--key", "\(clients)/\(name).key"]
    }

    @Test func instancesLearnWhoTheClientIs() throws {
        try with("optional") { secure, clients in
            let print = try Tool.run(
                ["/usr/bin/openssl", "x509", "-in", "\(clients)/ann.crt", "-noout", "-fingerprint", "-sha256"],
                in: clients)
            let fingerprint = print.output.split(separator: "=").last?.filter(\.isHexDigit).lowercased() ?? ""
            let told = try secure.curl("web.example", "/", certificate(clients, "ann") + forgery).output
            try demandEqual(told, "CN=ann\\C3\\A9,O=Company\\, Inc|\(fingerprint)|none", "with a certificate")
            let http2 = try secure.curl("web.example", "/", certificate(clients, "ann") + forgery + ["--http2"]).output
            try demandEqual(http2, told, "over HTTP/2")
            let old = certificate(clients, "ann") + forgery + ["--http1.1"]
            try demandEqual(try secure.curl("web.example", "/", old).output, told, "over HTTP/1.1")
            try demandEqual(try secure.curl("web.example", "/", forgery).output, "||none", "without")
            let stranger = try secure.curl("web.example", "/", certificate(clients, "stranger"))
            try demand(stranger.status != 0 && stranger.output.isEmpty, "a stranger: \(stranger.output)")
            let plain = try secure.mesh.get(
                "web.example", "/", [("X-Client-Cert-Subject", "CN=root"), ("X_CLIENT_CERT_FINGERPRINT", "00")])
            try demandEqual(plain.text, "||none", "in clear")
        }
    }

    @Test func aRequiredCertificateIsRequired() throws {
        try with("required") { secure, clients in
            for version in ["1.2", "1.3"] {
                let without = try secure.curl("web.example", "/", ["--tls-max", version])
                try demand(without.status != 0 && without.output.isEmpty, "without: \(without.output)")
                let options = certificate(clients, "ann") + ["--tls-max", version]
                let good = try secure.curl("web.example", "/", options).output
                try demand(good.hasPrefix("CN=ann"), "with: \(good)")
            }
            try eventually("counted") {
                try secure.mesh.metric("meshd_tls_handshake_failures_total{cause=\"refused\"}") == 2
            }
        }
    }

    @Test func aResumedSessionStillSaysWho() throws {
        try with("required") { secure, clients in
            let shell = """
                request() { printf 'GET / HTTP/1.1\\r\\nHost: web.example\\r\\nConnection: close\\r\\n\\r\\n' | \
                openssl s_client -connect 127.0.0.1:\(secure.port) -servername web.example -ign_eof "$@"; }
                request -cert \(clients)/ann.crt -key \(clients)/ann.key -sess_out \(clients)/session >/dev/null
                request -sess_in \(clients)/session
                """
            let result = try Tool.run(["/bin/sh", "-c", shell], in: clients)
            try demand(result.output.contains("Reused, TLS"), result.output)
            try demand(result.output.contains("CN=ann"), result.output)
        }
    }

    /// One that nobody vouches for any more may not come back by a ticket of the time when somebody did.
    @Test(arguments: ["1.2", "1.3"])
    func replacedAuthoritiesAreInForce(version: String) throws {
        try with("required") { secure, clients in
            let name = certificate(clients, "ann") + ["--tls-max", version]
            let shell = """
                printf 'GET / HTTP/1.1\\r\\nHost: web.example\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client \
                -tls\(version.replacing(".", with: "_")) -connect 127.0.0.1:\(secure.port) -servername web.example \
                -ign_eof "$@"
                """
            func request(_ arguments: [String]) throws -> String {
                try Tool.run(["/bin/sh", "-c", shell, "sh"] + arguments, in: clients).output
            }
            let keeps = [
                "-cert", "\(clients)/ann.crt", "-key", "\(clients)/ann.key", "-sess_out", "\(clients)/session",
            ]
            try demand(try request(keeps).contains("CN=ann"), "the first")
            let ticket = ["-sess_in", "\(clients)/session"]
            try demand(try request(ticket).contains("CN=ann"), "a ticket without a certificate")
            try authority(clients, "other")
            try TextFile.replace("\(clients)/ca.pem", with: TextFile.read("\(clients)/other.pem"))
            try eventually("ann is a stranger now") { try secure.curl("web.example", "/", name).status != 0 }
            try demand(try !request(ticket).contains("HTTP/1.1 200"), "a ticket of the old authorities")
            try demand(secure.mesh.log.contains("client authorities loaded"), "told")
        }
    }

    @Test(arguments: [("nothing\n", "holds no certificate"), ("", "holds no certificate")])
    func aBrokenBundleLeavesTheOldOne(text: String, reason: String) throws {
        try with("required") { secure, clients in
            let good = TextFile.read("\(clients)/ca.pem")
            let ann = certificate(clients, "ann")
            try TextFile.replace("\(clients)/ca.pem", with: text)
            try eventually("it is told") { secure.mesh.log.contains("client authorities refused") }
            let line = secure.mesh.log.split(separator: "\n").first { $0.contains("client authorities refused") } ?? ""
            try demand(line.contains("\(clients)/ca.pem") && line.contains(reason), "file and reason: \(line)")
            try demand(try secure.mesh.statusText().contains("the old one stays"), "status")
            try demand(try secure.curl("web.example", "/", ann).output.hasPrefix("CN=ann"), "the old one")
            try TextFile.replace("\(clients)/ca.pem", with: good)
            try eventually("mended") { try !secure.mesh.statusText().contains("the old one stays") }
        }
    }

    @Test(arguments: [
        (["--client-certificates", "required"], "--client-certificates needs --client-ca"),
        (["--client-certificates", "required", "--client-ca", "/dev/null"], "holds no certificate"),
        (["--client-certificates", "required", "--client-ca", "/nowhere"], "No such file"),
        (["--tls-ciphers", "NONSENSE"], "ciphers NONSENSE"), (["--tls-groups", "nonsense"], "groups nonsense"),
        (["--certificates", "/nowhere"], "--certificates /nowhere"),
    ])
    func faultsEndTheStart(flags: [String], reason: String) throws {
        let own = ["--https", "127.0.0.1:\(FreePort.take())"]
        let mesh = try MeshProcess(text: Catalogue([]).text, .init(own + flags))
        try demandEqual(try mesh.child.waitExit(), 1, "exit status")
        try demand(mesh.log.contains(reason), mesh.log)
    }
}
