/// Where a service's own certificate is.
public enum CertificateSpec: Hashable, Sendable {
    /// PEM files; without `key` the key is in the certificate's file. A relative path begins at the node's folder of
    /// certificates.
    case files(certificate: String, key: String?)
    /// Certificate, chain and key as PEM text.
    case text(String)
}
