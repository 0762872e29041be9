import MeshCore

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
