/// How a service's instances are spoken to over TLS.
public struct UpstreamTLS: Hashable, Sendable {
    /// The name that is asked for (SNI) and that the certificate must hold, lower case.
    public var serverName: String
    /// PEM bundle of the authorities that are trusted, as a path; `nil`: the system's.
    public var authorities: String?
    /// Whether the certificate is looked at; without, anybody can answer in the instance's place.
    public var verifies: Bool

    public init(serverName: String, authorities: String? = nil, verifies: Bool = true) {
        self.serverName = serverName
        self.authorities = authorities
        self.verifies = verifies
    }
}
