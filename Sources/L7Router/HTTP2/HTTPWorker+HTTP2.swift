public import MeshCore
public import NetAddress
public import Reactor

extension HTTPWorker {
    /// Serves a connection whose client speaks HTTP/2: chosen by ALPN, or known by its first bytes (RFC 9113
    /// section 3).
    ///
    /// - Parameters:
    ///   - old: the handler that the loop has for the connection; it hears nothing more.
    ///   - isSecure: the client's side is encrypted.
    ///   - certificate: lines for instances that tell of the client's certificate.
    ///   - isReadable: bytes may already wait to be read.
    ///   - received: what `old` has read, the client's preface first.
    public func serveHTTP2(
        _ transport: Transport, _ origin: ConnectionOrigin, _ binding: PortBinding, replacing old: Handler,
        isSecure: Bool = false, certificate: [UInt8] = [], isReadable: Bool,
        received: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        guard let context = http2Context(), let session = HTTP2Session.server(context.rules) else {
            loop.detach(old)
            return transport.close()
        }
        let server = HTTP2Server(
            transport, origin, binding, isSecure: isSecure, certificate: certificate, self, context, session)
        loop.handOver(from: old, to: server)
        clientOpened()
        server.start(received)
        if isReadable { server.ready(.readable) }
    }

    /// What comes of asking for a stream.
    enum OpenedStream {
        case opened(InstanceConnection)
        /// A tunnel would have to wait for others to end.
        case full
        /// The service is spoken to over TLS, and there is no context for it.
        case noTLS
    }

    /// A stream to an instance that speaks HTTP/2: on a connection that has room, or on a fresh one that is still being
    /// made.
    ///
    /// - Parameters:
    ///   - isTunnel: it is for a WebSocket.
    ///   - isOnce: what is sent must not be sent twice, so that a connection that the instance has closed is not good
    ///     enough.
    func openStream(
        _ endpoint: Endpoint, _ tls: UpstreamTLS?, isTunnel: Bool, isOnce: Bool
    ) throws(SystemError) -> OpenedStream {
        guard let context = http2Context() else { throw SystemError("nghttp2", SystemError.outOfMemory) }
        let pool = isTunnel ? context.tunnelClients : context.clients
        var present = pool.take(endpoint, tls)
        while isOnce, let stale = present, stale.isStale {
            stale.retire()
            present = pool.take(endpoint, tls)
        }
        let client: HTTP2Client
        if let present {
            client = present
            if isTunnel, !client.hasRoom {
                context.counters.tunnelsRefused += 1
                return .full
            }
        } else {
            guard let fresh = try dial(endpoint, tls, context, pool) else { return .noTLS }
            client = fresh
        }
        let stream = context.takeInstanceStream()
        stream.begin(client, 0)
        let isConnected = !client.isConnecting && !isTunnel
        let connection = InstanceConnection(stream, endpoint, self, isConnected: isConnected)
        stream.isAttached = true
        stream.owner = connection
        if isTunnel { client.awaitSettings(stream) }
        loop.attach(connection)
        streamOpened()
        return .opened(connection)
    }

    private func dial(
        _ endpoint: Endpoint, _ tls: UpstreamTLS?, _ context: HTTP2Context, _ pool: HTTP2ClientPool
    ) throws(SystemError) -> HTTP2Client? {
        let socket = try Socket.dial(endpoint.address)
        var transport = Transport(socket)
        let trust = tls.flatMap { instanceTLS[$0] }
        if let tls {
            let key = Self.sessionKey(endpoint, tls)
            guard let trust,
                let layer = TLSLayer(
                    to: socket, trust, name: tls.serverName, sessionKey: key, http2: true, tlsEngine)
            else {
                socket.close()
                return nil
            }
            transport = Transport(layer, over: socket)
        }
        guard let session = HTTP2Session.client(context.rules) else {
            transport.close()
            throw SystemError("nghttp2", SystemError.outOfMemory)
        }
        let client = HTTP2Client(transport, endpoint, tls, trust, self, context, pool, session)
        do {
            try loop.attach(client, socket)
        } catch {
            client.close()
            throw error
        }
        pool.insert(client)
        client.armDeadline()
        return client
    }

    /// Names the TLS sessions that may be taken up again: those of the same instance, begun under the same conditions.
    /// A session that is taken up is not verified again.
    static func sessionKey(_ endpoint: Endpoint, _ tls: UpstreamTLS) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(endpoint.id)
        hasher.combine(endpoint.incarnation)
        hasher.combine(tls)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}
