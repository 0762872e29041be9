public import NetAddress

/// What `meshd run` is told of TLS.
public struct TLSSettings: Sendable, Equatable {
    /// The web listener that speaks TLS; `nil`: none.
    public var https: SocketAddress?
    /// Folder of certificates.
    public var certificates: String?
    /// The certificate for clients without a known server name, by its file's name without ending.
    public var defaultCertificate: String?
    public var minimum = TLSVersion.v12
    /// OpenSSL's cipher list for TLS 1.2.
    public var ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20"
    /// Of TLS 1.3.
    public var cipherSuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    public var groups = "X25519:P-256:P-384"
    public var handshakeTimeoutSeconds = 10.0
    /// Per worker.
    public var maxHandshakes = 1_024
    /// How long a key makes tickets; three are kept.
    public var ticketRotationSeconds = 43_200.0
    /// File of ticket keys; `nil`: own ones.
    public var ticketKeys: String?
    public var clientAuthorities: String?
    public var clientCertificates = ClientCertificates.none

    /// Strict-Transport-Security of routes without one of their own; 0: none.
    public var hstsMaxAgeSeconds = 0
    /// Where requests in clear are redirected; 0: nowhere.
    public var redirectPort = 0

    public init() {}
}

public enum TLSVersion: String, Sendable, CaseIterable {
    case v12 = "1.2"
    case v13 = "1.3"
}

/// Whether clients of the TLS listener show a certificate.
public enum ClientCertificates: String, Sendable, CaseIterable {
    case none, optional, required
}
