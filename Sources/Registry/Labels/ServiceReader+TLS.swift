import MeshCore
import NetAddress

extension ServiceReader {
    private static let pathLimit = 4_096
    private static let beginning = "-----BEGIN "

    /// Reads `mesh.tls.certificate`, `mesh.tls.key` and `proxy.SSL_CERT` (semantics 1.7).
    mutating func readTLS(_ labels: inout LabelSet, _ findings: inout Findings) throws(CatalogueProblem) {
        let certificate = labels.takeMesh("tls.certificate")
        let key = labels.takeMesh("tls.key")
        let bundle = labels.take("proxy.SSL_CERT")
        if let certificate {
            let keyPath = try key.map { label throws(CatalogueProblem) in try Self.path(label) }
            spec.certificate = .files(certificate: try Self.path(certificate), key: keyPath)
            if let bundle { findings.warn(bundle.problem("mesh.tls.certificate is used instead")) }
        } else if let bundle {
            spec.certificate = try Self.bundle(bundle)
        }
        if certificate == nil, let key { findings.warn(key.problem("there is no mesh.tls.certificate")) }
    }

    /// Reads `mesh.protocol` and how instances are spoken to over TLS. Behind the probe, which it may concern.
    mutating func readUpstreamTLS(_ labels: inout LabelSet, _ findings: inout Findings) throws(CatalogueProblem) {
        var tls = UpstreamTLS(serverName: spec.name.lowercased())
        let name = labels.takeMesh("tls.name")
        if let name { tls.serverName = try Self.serverName(name) }
        let authorities = labels.takeMesh("tls.ca")
        if let authorities { tls.authorities = try Self.path(authorities) }
        let verifies = labels.takeMesh("tls.verify")
        if let verifies { tls.verifies = try Self.truth(verifies) }
        if let label = labels.takeMesh("protocol") {
            switch label.value.trimmed() {
            case "http", "http/1.1": break
            case "https": spec.upstreamTLS = tls
            case "h2c": spec.instanceProtocol = .http2
            case "h2":
                spec.instanceProtocol = .http2
                spec.upstreamTLS = tls
            default: throw label.problem("\(OneLine.quoted(label.value)) is not http, https, h2c or h2")
            }
        }
        if spec.probe?.tls != nil { spec.probe?.tls = tls }
        if spec.upstreamTLS == nil, spec.probe?.tls == nil, let unused = name ?? authorities ?? verifies {
            findings.warn(unused.problem("instances are not spoken to over TLS, so this has no effect"))
        }
    }

    private static func serverName(_ label: Label) throws(CatalogueProblem) -> String {
        let name = label.value.trimmed().lowercased()
        guard HostNameText.isValid(name) else { throw label.problem("\(OneLine.quoted(name)) is not a host name") }
        return name
    }

    private static func truth(_ label: Label) throws(CatalogueProblem) -> Bool {
        guard let value = Bool(label.value.trimmed().lowercased()) else {
            throw label.problem("\(OneLine.quoted(label.value)) is not true or false")
        }
        return value
    }

    /// A path, or the PEM text itself with its line ends written as `\\n`, as the original took it.
    private static func bundle(_ label: Label) throws(CatalogueProblem) -> CertificateSpec {
        guard label.value.trimmed().hasPrefix(beginning) else {
            return .files(certificate: try path(label), key: nil)
        }
        var text = ""
        var rest = Substring(label.value)
        while let cut = rest.firstRange(of: "\\n") {
            text += rest[..<cut.lowerBound] + "\n"
            rest = rest[cut.upperBound...]
        }
        return .text(text + rest)
    }

    static func path(_ label: Label) throws(CatalogueProblem) -> String {
        let path = String(label.value.trimmed())
        let isPath = (1...pathLimit).contains(path.utf8.count) && path.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
        guard isPath else { throw label.problem("\(OneLine.quoted(path)) is not a path") }
        return path
    }
}
