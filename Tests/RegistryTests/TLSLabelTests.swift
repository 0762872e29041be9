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
}
