import MeshCore

/// One worker's HTTP/2 connections by endpoint, those that take new streams: for requests, or for tunnels, which keep
/// their streams for as long as they like and would leave the requests none.
final class HTTP2ClientPool {
    private struct Shelf {
        var newest: Unmanaged<HTTP2Client>?
        var count: Int32 = 0
        /// Streams that the instance took at one time when it last said so; 100 is the least that is usual.
        var streamLimit = 100
    }

    /// Connections to one endpoint.
    private let limit: Int
    private var shelves: [Shelf] = []

    init(limitPerEndpoint: Int) { limit = limitPerEndpoint }

    /// The first connection with room; where there is none and no other may be opened, the one with the fewest streams,
    /// on which a request may wait its turn. `nil`: another may be opened.
    func take(_ endpoint: Endpoint, _ tls: UpstreamTLS?) -> HTTP2Client? {
        guard Int(endpoint.id) < shelves.count else { return nil }
        let shelf = shelves[Int(endpoint.id)]
        var least: HTTP2Client?
        var next = shelf.newest?.takeUnretainedValue()
        while let client = next {
            next = client.older
            guard client.endpoint.incarnation == endpoint.incarnation, client.takesStreams, client.tls == tls
            else { continue }
            if client.hasRoom { return client }
            if client.openStreams < least?.openStreams ?? .max { least = client }
        }
        return shelf.count < limit ? nil : least
    }

    func insert(_ client: HTTP2Client) {
        let id = Int(client.endpoint.id)
        while shelves.count <= id { shelves.append(Shelf()) }
        client.older = shelves[id].newest?.takeUnretainedValue()
        client.isShelved = true
        client.assumedLimit = shelves[id].streamLimit
        shelves[id].newest = .passUnretained(client)
        shelves[id].count += 1
    }

    /// What one connection has learned is what the next one begins with.
    func learned(_ client: HTTP2Client, streamLimit: Int) {
        client.assumedLimit = streamLimit
        if client.isShelved { shelves[Int(client.endpoint.id)].streamLimit = streamLimit }
    }

    func remove(_ client: HTTP2Client) {
        guard client.isShelved else { return }
        client.isShelved = false
        let id = Int(client.endpoint.id)
        shelves[id].count -= 1
        guard let newest = shelves[id].newest?.takeUnretainedValue(), newest !== client else {
            shelves[id].newest = client.older.map { .passUnretained($0) }
            client.older = nil
            return
        }
        var above = newest
        while let below = above.older, below !== client { above = below }
        above.older = client.older
        client.older = nil
    }

    /// Lets go of what leads to endpoints that the snapshot no longer has, or whose instance is drained.
    func retireGone(_ snapshot: Snapshot) {
        forEach { client in
            let id = client.endpoint.id
            let isGone = snapshot.incarnations[Int(id)] != client.endpoint.incarnation
            if isGone || snapshot.draining.contains(id) { client.retire() }
        }
    }

    /// Lets go of what was verified by authorities that have been replaced.
    func retireDistrusted() { forEach { if !$0.worker.trusts($0.tls, $0.trust) { $0.retire() } } }

    func retireAll() { forEach { $0.retire() } }

    private func forEach(_ body: (HTTP2Client) -> Void) {
        for id in shelves.indices {
            var next = shelves[id].newest?.takeUnretainedValue()
            while let client = next {
                next = client.older
                body(client)
            }
        }
    }
}
