import Glibc
import Testing

/// Certificates that change while meshd runs, and those that cannot be used.
@Suite struct TLSReloadTests {
    // MARK: - Pairs that are refused

    struct Bad: Sendable, CustomTestStringConvertible {
        let name: String
        let reason: String
        let make: @Sendable (_ folder: String) throws -> Void

        var testDescription: String { name }
    }

    static let bad: [Bad] = [
        .init(name: "another's key", reason: "the key belongs to another certificate") { folder in
            try OpenSSL.pair(folder, "other", ["other.example"])
            try OpenSSL.pair(folder, "bad", ["bad.example"])
            try OpenSSL.replace("\(folder)/other.key", "\(folder)/bad.key")
            unlink("\(folder)/other.crt")
        },
        .init(name: "expired", reason: "expired") { folder in
            try request(folder)
            try OpenSSL.run(
                [
                    "x509", "-req", "-in", "\(folder)/.csr", "-signkey", "\(folder)/bad.key", "-days", "-1",
                    "-copy_extensions", "copy", "-out", "\(folder)/bad.crt",
                ], in: folder)
        },
        .init(name: "not valid yet", reason: "not valid yet") { folder in
            try request(folder)
            let settings =
                "[ca]\ndefault_ca=x\n[x]\ndatabase=\(folder)/.index\nserial=\(folder)/.serial\n"
                + "new_certs_dir=\(folder)\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n"
                + "[p]\ncommonName=supplied\n"
            try TextFile.write(settings, to: "\(folder)/.conf")
            try TextFile.write("", to: "\(folder)/.index")
            try TextFile.write("01\n", to: "\(folder)/.serial")
            try OpenSSL.run(
                [
                    "ca", "-batch", "-selfsign", "-config", "\(folder)/.conf", "-in", "\(folder)/.csr", "-keyfile",
                    "\(folder)/bad.key", "-startdate", "20900101000000Z", "-enddate", "20910101000000Z", "-notext",
                    "-out", "\(folder)/bad.crt",
                ], in: folder)
            unlink("\(folder)/01.pem")
        },
        .init(name: "encrypted key", reason: "the key is encrypted") { folder in
            try OpenSSL.pair(folder, "bad", ["bad.example"])
            try OpenSSL.run(
                ["pkey", "-in", "\(folder)/bad.key", "-aes128", "-passout", "pass:x", "-out", "\(folder)/.key"],
                in: folder)
            try OpenSSL.replace("\(folder)/.key", "\(folder)/bad.key")
        },
        .init(name: "no SAN", reason: "no subject alternative name (SAN)") { try OpenSSL.pair($0, "bad", []) },
        .init(name: "no certificate", reason: "no certificate") { folder in
            try OpenSSL.pair(folder, "bad", ["bad.example"])
            try TextFile.write("nothing\n", to: "\(folder)/bad.crt")
        },
        .init(name: "no key", reason: "no private key") { folder in
            try OpenSSL.pair(folder, "bad", ["bad.example"])
            try TextFile.write("nothing\n", to: "\(folder)/bad.key")
        },
        .init(name: "broken certificate", reason: "broken certificate: ") { folder in
            try OpenSSL.pair(folder, "bad", ["bad.example"])
            let text = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
            try TextFile.write(text, to: "\(folder)/bad.crt")
        },
        .init(name: "half a pair", reason: "cannot read: No such file or directory") { folder in
            try OpenSSL.pair(folder, "bad", ["bad.example"])
            unlink("\(folder)/bad.key")
        },
        .init(name: "short key", reason: "ee key too small") { folder in
            try OpenSSL.run(
                [
                    "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "\(folder)/bad.key", "-out",
                    "\(folder)/bad.crt", "-days", "30", "-subj", "/CN=bad", "-addext",
                    "subjectAltName=DNS:bad.example",
                ], in: folder)
        },
    ]

    private static func request(_ folder: String) throws {
        try OpenSSL.run(
            [
                "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                "\(folder)/bad.key", "-out", "\(folder)/.csr", "-subj", "/CN=bad", "-addext",
                "subjectAltName=DNS:bad.example",
            ], in: folder)
    }

    @Test(arguments: bad)
    func isRefusedWithFileAndReason(bad: Bad) throws {
        let instance = try HTTPInstance("web")
        let secure = try SecureMesh(Catalogue([.web("web", Web.host, [instance])])) { folder in
            try OpenSSL.pair(folder, "web", ["web.example"])
            try bad.make(folder)
        }
        let line = secure.mesh.log.split(separator: "\n").first { $0.contains("certificate refused") } ?? ""
        try demand(line.contains("/bad."), "the file: \(line)")
        try demand(line.contains(bad.reason), "the reason: \(line)")
        try demand(try secure.mesh.statusText().contains(bad.reason), "status")
        try demandEqual(try secure.curl("web.example").output, "web", "the good one serves")
    }

    @Test func aBadReplacementLeavesTheOldOne() throws {
        try SecureMesh.with { secure in
            func shown() throws -> Substring? {
                try secure.client(["-servername", "web.example"]).output.split(separator: "\n").first {
                    $0.hasPrefix("subject=")
                }
            }
            let before = try #require(try shown())
            try TextFile.replace("\(secure.certificates)/web.key", with: "nothing\n")
            try eventually("it is told") { secure.mesh.log.contains("no private key") }
            try demandEqual(try shown(), before, "the old one")
            try demand(try secure.mesh.statusText().contains("the old one stays"), "status")
            try OpenSSL.pair(secure.certificates, "web", ["web.example"], .rsa)
            try eventually("the new one serves") {
                try secure.client(["-tls1_2"]).output.contains("ECDHE-RSA")
            }
            try demand(try !secure.mesh.statusText().contains("the old one stays"), "status")
            for ending in ["crt", "key"] { unlink("\(secure.certificates)/web.\(ending)") }
            try eventually("it goes with its files") { try secure.client([]).output.contains("no peer certificate") }
        }
    }

    // MARK: - Reload

    @Test func fiftyReplacementsUnderLoadFailNoHandshake() throws {
        try SecureMesh.with { secure in
            let marks = try TemporaryDirectory()
            let names = ["keep", "load"].map { "\(marks.path)/\($0)" }
            let kept = try PythonProgram.start(
                "tls_client.py", ["keep", "\(secure.port)", "web.example", names[0]], files: "\(marks.path)/k")
            try demandEqual(try kept.firstLine(), "200", "the connection that stays")
            let load = try PythonProgram.start(
                "tls_client.py", ["load", "\(secure.port)", "web.example", "2", names[1]], files: "\(marks.path)/l")
            _ = try load.firstLine()
            for round in 1...50 {
                try OpenSSL.pair(secure.certificates, "web", ["web.example"])
                try eventually("certificate \(round) is in force") {
                    secure.mesh.log.split(separator: "\n").filter { $0.contains("certificate loaded") }.count > round
                }
            }
            for name in names { try TextFile.write("", to: name) }
            try demandEqual(try load.waitExit(within: 30), 0, "load: \(load.errors)")
            let told = try #require(load.output.split(separator: "\n").last).split(separator: " ")
            try demandEqual(told[1], "0", "failures: \(told)")
            try demand((Int(told[0]) ?? 0) > 50, "handshakes: \(told)")
            try demandEqual(try kept.waitExit(within: 30), 0, "kept: \(kept.errors)")
            try demandEqual(kept.output, "200\n200\n", "answers on the connection that stayed")
        }
    }

    @Test func expiryIsAMetric() throws {
        try SecureMesh.with { secure in
            let seconds = try #require(
                try secure.mesh.metric("meshd_tls_certificate_expiry_seconds{certificate=\"web\"}"))
            try demand((29 * 86_400.0...30 * 86_400).contains(seconds), "\(seconds) s")
        }
    }

    // MARK: - Services' own

    @Test func aServiceBringsItsCertificate() throws {
        let instance = try HTTPInstance("web")
        let folder = try TemporaryDirectory()
        try OpenSSL.pair(folder.path, "own", ["web.example"], .rsa)
        let label = ("mesh.tls.certificate", "\(folder.path)/own.crt")
        var service = Catalogue.Service.web("web", Web.host, [instance])
        service.labels += [label, ("mesh.tls.key", "\(folder.path)/own.key")]
        let secure = try SecureMesh(Catalogue([service])) {
            try OpenSSL.pair($0, "node", ["web.example"], .rsa)
        }
        func subject() throws -> String {
            try secure.client(["-servername", "web.example"]).output.split(separator: "\n")
                .first { $0.hasPrefix("subject=") }.map(String.init) ?? ""
        }
        try demandEqual(try subject(), "subject=CN = own", "from its label")
        // Its folder is watched, too.
        try OpenSSL.pair(folder.path, "own", ["web.example"])
        try eventually("replaced") { try secure.client(["-tls1_2"]).output.contains("ECDHE-ECDSA") }
        let pem = TextFile.read(folder.path + "/own.crt") + TextFile.read(folder.path + "/own.key")
        let line = pem.split(separator: "\n").joined(separator: "\\\\n")
        service.labels = [service.labels[0], ("aliyun.proxy.SSL_CERT", line)]
        try secure.mesh.write(Catalogue([service]))
        try eventually("from its text") {
            secure.mesh.log.split(separator: "\n").filter { $0.contains("service web") }.count >= 3
        }
        try demandEqual(try subject(), "subject=CN = own", "from its text")
        service.labels = [service.labels[0]]
        try secure.mesh.write(Catalogue([service]))
        try eventually("gone with its label") { try subject() == "subject=CN = node" }
    }
}
