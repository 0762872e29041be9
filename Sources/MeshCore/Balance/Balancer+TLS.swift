extension Balancer {
    /// How the pool's instances are spoken to over TLS; `nil`: in clear.
    public func upstreamTLS(_ pool: Int32) -> UpstreamTLS? {
        let table = snapshot.upstreamTLS
        return table.isEmpty ? nil : table[pool]
    }
}
