import MeshCore
import Registry
import Testing

@Suite struct TLSLabelTests {
    private func certificate(_ labels: String) throws -> CertificateSpec? {
        try service("labels: {\(labels)}").certificate
    }

    @Test func certificatesByPath() throws {
        #expect(try certificate("mesh.tls.certificate: web.pem") == .files(certificate: "web.pem", key: nil))
        #expect(
            try certificate("mesh.tls.certificate: /a/web.crt, mesh.tls.key: /a/web.key")
                == .files(certificate: "/a/web.crt", key: "/a/web.key"))
        #expect(try certificate("aliyun.proxy.SSL_CERT: /a/web.pem") == .files(certificate: "/a/web.pem", key: nil))
        #expect(try certificate("aliyun.routing.port_80: a.example") == nil)
    }

    @Test func certificatesAsText() throws {
        let text = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
        let line = text.split(separator: "\n").joined(separator: "\\\\n") + "\\\\n"
        #expect(try certificate("aliyun.proxy.SSL_CERT: \"\(line)\"") == .text(text))
    }

    @Test func whatDoesNotFitIsToldOf() throws {
        #expect(problem("labels: {mesh.tls.certificate: \"\"}")?.message.contains("is not a path") == true)
        let both = try catalogue("labels: {mesh.tls.certificate: a.pem, aliyun.proxy.SSL_CERT: b.pem}")
        #expect(both.services[0].certificate == .files(certificate: "a.pem", key: nil))
        #expect(both.warnings.contains { $0.message.contains("mesh.tls.certificate is used instead") })
        let alone = try catalogue("labels: {mesh.tls.key: a.key}")
        #expect(alone.warnings.contains { $0.message.contains("there is no mesh.tls.certificate") })
    }

    private let tls = "mesh.protocol: https, mesh.tls.ca: /ca.pem, mesh.tls.name: A.Example, mesh.tls.verify: \"false\""

    @Test func instancesOverTLS() throws {
        let whole = UpstreamTLS(serverName: "a.example", authorities: "/ca.pem", verifies: false)
        #expect(try service("labels: {\(tls)}").upstreamTLS == whole)
        #expect(try service("labels: {mesh.protocol: https}").upstreamTLS == UpstreamTLS(serverName: "web"))
        #expect(try service("labels: {mesh.protocol: http}").upstreamTLS == nil)
        let probed = try service("labels: {\(tls), aliyun.probe.url: \"https://container/x\"}")
        #expect(probed.probe?.kind == .http(containerPort: 443, path: "/x") && probed.probe?.tls == whole)
        let plain = try service("labels: {\(tls), aliyun.probe.url: \"http://container\"}")
        #expect(plain.probe?.tls == nil)
    }

    @Test(arguments: [
        ("mesh.protocol: ftp", "is not http, https, h2c or h2"),
        ("mesh.tls.name: a b", "is not a host name"),
        ("mesh.tls.verify: maybe", "is not true or false"),
    ])
    func faultsOfInstancesOverTLS(label: String, message: String) {
        #expect(problem("labels: {\(label)}")?.message.contains(message) == true)
    }

    @Test func withoutTLSItsLabelsAreToldOf() throws {
        let found = try catalogue("labels: {mesh.tls.ca: /ca.pem}")
        #expect(found.warnings.contains { $0.message.contains("not spoken to over TLS") })
    }
}
