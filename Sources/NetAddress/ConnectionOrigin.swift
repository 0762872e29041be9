/// Whose connection it is: the peer's own address, or what a trusted proxy says of it.
public struct ConnectionOrigin: Hashable, Sendable, BitwiseCopyable {
    public let source: SocketAddress
    /// Where the client connected to; `nil`: this connection's own local address.
    public let destination: SocketAddress?

    public init(_ source: SocketAddress, destination: SocketAddress? = nil) {
        self.source = source
        self.destination = destination
    }
}
