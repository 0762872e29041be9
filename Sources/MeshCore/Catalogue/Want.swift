public import NetAddress

/// Somebody who needs one of something that the nodes have to agree on.
public struct Want<Value: Hashable & Sendable>: Hashable, Sendable {
    /// Who: a service, or a part of one.
    public let service: String
    /// The only one it takes; `nil`: any.
    public let demanded: Value?
    /// The one it has on this node, from before there was an agreement.
    public let preferred: Value?

    public init(service: String, demanded: Value? = nil, preferred: Value? = nil) {
        self.service = service
        self.demanded = demanded
        self.preferred = preferred
    }
}

/// A service that needs a virtual address.
public typealias VIPWant = Want<IPAddress>
/// A published port, named as `PublishedNumber` says, that needs a number.
public typealias PortWant = Want<PublishedNumber>
