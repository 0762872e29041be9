import Reactor

/// What instances are told of a client's certificate.
enum ClientCertificateFields {
    /// The most bytes of a subject that are told: the head must have room for them.
    private static let subjectLimit = 1_024

    /// Whole field lines, rendered once for a connection.
    static func lines(_ certificate: TLSPeerCertificate) -> [UInt8] {
        let subject = certificate.subject.utf8.count <= subjectLimit ? certificate.subject : ""
        return Array(
            "X-Client-Cert-Subject: \(subject)\r\nX-Client-Cert-Fingerprint: \(certificate.fingerprint)\r\n".utf8)
    }
}
