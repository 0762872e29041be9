import Testing

/// Instances that are spoken to over TLS.
@Suite struct TLSUpstreamTests {
    private struct Server {
        let folder = try? TemporaryDirectory()
        let child: ChildProcess
        let port: String
        let path: String

        init(_ names: [String]) throws {
            path = try #require(folder).path
            try OpenSSL.pair(path, "instance", names)
            child = try PythonProgram.start(
                "tls_server.py", ["\(path)/instance.crt", "\(path)/instance.key"], files: "\(path)/server")
            port = try child.firstLine()
        }

        func service(_ labels: [(String, String)]) -> Catalogue.Service {
            var service = Catalogue.Service(
                name: "web", labels: [("aliyun.routing.port_443", Web.host)], instances: ["127.0.0.1:\(port)"])
            service.labels += labels
            return service
        }

        /// The instance's own certificate as authority.
        var trust: [(String, String)] { [("mesh.protocol", "https"), ("mesh.tls.ca", "\(path)/instance.crt")] }
    }

    private func with(_ server: Server, _ labels: [(String, String)], _ body: (MeshProcess) throws -> Void) throws {
        try withMesh(Catalogue([server.service(labels)]), .init(["--retries", "0"], workers: 1), body)
    }

    @Test func exchangesAndSessions() throws {
        let server = try Server(["web"])
        try with(server, server.trust) { mesh in
            let client = try mesh.client()
            try demandEqual(try client.exchange("GET", "/keep", host: Web.host).text, "new web /keep", "the first")
            try demandEqual(try client.exchange("GET", "/last", host: Web.host).text, "new web /last", "pooled")
            try demandEqual(try mesh.get(Web.host, "/keep").text, "resumed web /keep", "the session taken up")
            try demandEqual(try mesh.metric("meshd_upstream_connections_total"), 2, "connections")
        }
    }

    @Test func theEndOfABodyIsToldFromACut() throws {
        let server = try Server(["web"])
        try with(server, server.trust) { mesh in
            try demandEqual(try mesh.get(Web.host, "/whole").text, "new web /whole", "whole")
            let error = #expect(throws: ReadError.self) { try mesh.get(Web.host, "/cut") }
            try demand(error == .reset || error == .end, "cut: \(String(describing: error))")
            try demandEqual(try mesh.metric("meshd_http_cut_responses_total"), 1, "counted")
        }
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let labels: [(String, String)]
        var names = ["web"]
        var hasAuthority = true
        let status: Int
        let error: String
    }

    static let faults: [Fault] = [
        .init(
            testDescription: "another name", labels: [], names: ["other"], status: 502, error: "tls_certificate_error"),
        .init(
            testDescription: "another name is asked for", labels: [("mesh.tls.name", "other.example")], status: 502,
            error: "tls_certificate_error"),
        .init(
            testDescription: "not trusted", labels: [], hasAuthority: false, status: 502,
            error: "tls_certificate_error"),
        .init(
            testDescription: "no authorities", labels: [("mesh.tls.ca", "/nowhere.pem")], hasAuthority: false,
            status: 500, error: "proxy_configuration_error"),
    ]

    @Test(arguments: faults)
    func whatIsNotTrustedGetsNoRequest(fault: Fault) throws {
        let server = try Server(fault.names)
        let trust = fault.hasAuthority ? server.trust : [("mesh.protocol", "https")]
        try with(server, trust + fault.labels) { mesh in
            let answer = try mesh.get(Web.host, "/keep")
            try demandEqual(answer.status, fault.status, "status")
            try demand(answer.isMade(because: fault.error), answer.proxyStatus ?? "no Proxy-Status")
        }
    }

    @Test func verificationCanBeLeftOut() throws {
        let server = try Server(["other"])
        try with(server, [("mesh.protocol", "https"), ("mesh.tls.verify", "false")]) { mesh in
            try demandEqual(try mesh.get(Web.host, "/keep").text, "new web /keep", "answer")
        }
    }

    @Test func anInstanceThatSpeaksNoTLS() throws {
        let instance = try HTTPInstance("web")
        let service = Catalogue.Service.web("web", Web.host, [instance]).label("mesh.protocol", "https")
        try withMesh(Catalogue([service])) { mesh in
            let answer = try mesh.get(Web.host)
            try demandEqual(answer.status, 502, "status")
            try demand(answer.proxyStatus?.contains("error=") == true, answer.proxyStatus ?? "no Proxy-Status")
        }
    }

    @Test func theLabelMayComeAndGo() throws {
        let server = try Server(["web"])
        try with(server, server.trust) { mesh in
            try demandEqual(try mesh.get(Web.host, "/keep").status, 200, "over TLS")
            try mesh.write(Catalogue([server.service([])]))
            try eventually("in clear, which the instance does not take") {
                try mesh.get(Web.host, "/keep").status == 502
            }
            try mesh.write(Catalogue([server.service(server.trust)]))
            try eventually("over TLS again") { try mesh.get(Web.host, "/keep").status == 200 }
        }
    }

    /// Neither a connection that is kept nor a session that is taken up again passes whom the new authorities do not
    /// vouch for.
    @Test(arguments: ["/keep", "/last"])
    func replacedAuthoritiesAreInForce(path: String) throws {
        let server = try Server(["web"])
        let bundle = "\(server.path)/bundle.pem"
        try TextFile.write(TextFile.read("\(server.path)/instance.crt"), to: bundle)
        try OpenSSL.pair(server.path, "other", ["web"])
        try with(server, [("mesh.protocol", "https"), ("mesh.tls.ca", bundle)]) { mesh in
            try demandEqual(try mesh.get(Web.host, path).text, "new web \(path)", "the first")
            if path == "/last" {
                try demandEqual(try mesh.get(Web.host, path).text, "resumed web \(path)", "taken up")
            }
            try TextFile.replace(bundle, with: "nothing\n")
            try eventually("it is told") { mesh.log.contains("authorities refused") }
            try demandEqual(try mesh.get(Web.host, path).status, 200, "a broken bundle leaves the old one")
            try TextFile.replace(bundle, with: TextFile.read("\(server.path)/other.crt"))
            try eventually("not trusted any more") { try mesh.get(Web.host, path).status == 502 }
            let answer = try mesh.get(Web.host, path)
            try demand(answer.isMade(because: "tls_certificate_error"), answer.proxyStatus ?? "no Proxy-Status")
            try TextFile.replace(bundle, with: TextFile.read("\(server.path)/instance.crt"))
            try eventually("trusted again") { try mesh.get(Web.host, path).status == 200 }
        }
    }

    /// A session is good for the name that was looked for when it began.
    @Test func anotherNameTakesNoSessionUp() throws {
        let server = try Server(["web", "second"])
        try with(server, server.trust) { mesh in
            try demandEqual(try mesh.get(Web.host, "/last").text, "new web /last", "the first")
            try mesh.write(Catalogue([server.service(server.trust + [("mesh.tls.name", "second")])]))
            try eventually("begun anew") { try mesh.get(Web.host, "/last").text == "new second /last" }
            try mesh.write(Catalogue([server.service(server.trust + [("mesh.tls.name", "third")])]))
            try eventually("not in the certificate") { try mesh.get(Web.host, "/last").status == 502 }
        }
    }

    @Test func probesOverTLS() throws {
        let server = try Server(["web"])
        let probe = [
            ("aliyun.probe.url", "https://container:443/last"), ("mesh.probe.interval_seconds", "0.1"),
            ("mesh.probe.rise", "1"),
        ]
        try with(server, server.trust + probe) { mesh in
            let address = "127.0.0.1:\(server.port)"
            try eventually("healthy") { try mesh.state(of: address) == "healthy" }
            try mesh.write(Catalogue([server.service(server.trust + probe + [("mesh.tls.name", "other.example")])]))
            try eventually("its name is looked at") { InstanceState.isOut(try mesh.state(of: address)) }
            try demand(try mesh.statusText().contains("TLS: certificate verify failed"), try mesh.statusText())
        }
    }
}
