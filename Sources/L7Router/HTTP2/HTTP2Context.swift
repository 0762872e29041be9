import CNGHTTP2
import HTTPCodec
import Reactor

/// What the HTTP/2 connections of one worker share: the rules, scratch space, streams for reuse, counts.
final class HTTP2Context {
    /// What one read of a connection takes at the most. All of it goes through nghttp2 at once, so one piece of memory
    /// serves every connection.
    static let scratchBytes = 64 << 10
    private static let sparesKept = 1024

    let rules: HTTP2Rules
    let scratch: UnsafeMutableRawPointer
    /// Scratch of one parse or of one header block.
    var fields = FieldTable()
    var requestHead = RequestHead()
    var responseHead = ResponseHead()
    var vector = FieldVector()
    /// Scratch of one line of the access log.
    var notes = ExchangeNotes()
    var counters = HTTP2Counters()
    private var requestStreams: [HTTP2RequestStream] = []
    private var instanceStreams: [HTTP2InstanceStream] = []
    /// Connections to instances: for requests, and for tunnels.
    let clients: HTTP2ClientPool
    let tunnelClients: HTTP2ClientPool
    unowned(unsafe) var newest: HTTP2Server?

    init?(_ options: HTTP2Options) {
        guard let rules = HTTP2Rules() else { return nil }
        self.rules = rules
        clients = HTTP2ClientPool(limitPerEndpoint: options.upstreamConnections)
        tunnelClients = HTTP2ClientPool(limitPerEndpoint: options.upstreamTunnelConnections)
        scratch = .allocate(byteCount: Self.scratchBytes, alignment: 64)
        requestStreams.reserveCapacity(Self.sparesKept)
        instanceStreams.reserveCapacity(Self.sparesKept)
    }

    deinit {
        rules.free()
        scratch.deallocate()
        fields.deallocate()
        vector.deallocate()
        notes.deallocate()
    }

    // MARK: - Streams

    func takeRequestStream(_ worker: HTTPWorker) -> HTTP2RequestStream {
        requestStreams.popLast() ?? HTTP2RequestStream(worker)
    }

    func giveBack(_ stream: HTTP2RequestStream) {
        if requestStreams.count < Self.sparesKept { requestStreams.append(stream) }
    }

    func takeInstanceStream() -> HTTP2InstanceStream { instanceStreams.popLast() ?? HTTP2InstanceStream() }

    func giveBack(_ stream: HTTP2InstanceStream) {
        if instanceStreams.count < Self.sparesKept { instanceStreams.append(stream) }
    }

    // MARK: - Connections

    func forEachPool(_ body: (HTTP2ClientPool) -> Void) {
        body(clients)
        body(tunnelClients)
    }

    func insert(_ server: HTTP2Server) {
        server.next = newest
        newest?.previous = server
        newest = server
    }

    func remove(_ server: HTTP2Server) {
        if let previous = server.previous { previous.next = server.next } else { newest = server.next }
        server.next?.previous = server.previous
        server.previous = nil
        server.next = nil
    }

    func forEachServer(_ body: (HTTP2Server) -> Void) {
        var next = newest
        while let server = next {
            next = server.next
            body(server)
        }
    }
}
