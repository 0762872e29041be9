public import NetAddress

/// What requests tell instances of where they came from, and whom meshd believes when it is told the same.
public struct ForwardingOptions: Sendable {
    public enum Fields: Sendable {
        /// `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
        case xForwarded
        /// `Forwarded` (RFC 7239).
        case forwarded
        case both
        case none

        var sendsXForwarded: Bool { self == .xForwarded || self == .both }
        var sendsForwarded: Bool { self == .forwarded || self == .both }
    }

    public var fields = Fields.xForwarded
    /// Peers whose claims of a client's address, scheme, host and request id are believed.
    public var trustedProxies: [IPNetwork] = []
    /// A request without a valid `traceparent` gets one.
    public var generatesTraceParent = false
    /// Responses carry `X-Request-ID`, too.
    public var tellsClientRequestID = false

    public init() {}

    func trusts(_ address: IPAddress) -> Bool {
        for network in trustedProxies where network.contains(address) { return true }
        return false
    }
}
