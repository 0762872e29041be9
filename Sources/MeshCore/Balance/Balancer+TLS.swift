extension Balancer {
    /// How the pool's instances are spoken to over TLS; `nil`: in clear.
    public func upstreamTLS(_ pool: Int32) -> UpstreamTLS? {
        speaksTLS ? snapshot.upstreamTLS[pool] : nil
    }
}
