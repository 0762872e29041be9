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
        _ transport: Transport, _ peer: SocketAddress, _ binding: PortBinding, replacing old: Handler,
        isSecure: Bool = false, certificate: [UInt8] = [], isReadable: Bool,
        received: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        guard let context = http2Context(), let session = HTTP2Session.server(context.rules) else {
            loop.detach(old)
            return transport.close()
        }
        let server = HTTP2Server(
            transport, peer, binding, isSecure: isSecure, certificate: certificate, self, context, session)
        loop.handOver(from: old, to: server)
        clientOpened()
        server.start(received)
        if isReadable { server.ready(.readable) }
    }

    /// A stream to an instance that speaks HTTP/2: on a connection that has room, or on a fresh one that is still being
    /// made.
    func openStream(_ endpoint: Endpoint) throws(SystemError) -> InstanceConnection {
        guard let context = http2Context() else { throw SystemError("nghttp2", SystemError.outOfMemory) }
        let client: HTTP2Client
        if let present = context.clients.take(endpoint, limit: options.http2.upstreamConnections) {
            client = present
        } else {
            client = try dial(endpoint, context)
        }
        let stream = context.takeInstanceStream()
        stream.begin(client, 0)
        let connection = InstanceConnection(stream, endpoint, self, isConnected: !client.isConnecting)
        stream.isAttached = true
        stream.owner = connection
        loop.attach(connection)
        streamOpened()
        return connection
    }

    private func dial(_ endpoint: Endpoint, _ context: HTTP2Context) throws(SystemError) -> HTTP2Client {
        let socket = try Socket.dial(endpoint.address)
        guard let session = HTTP2Session.client(context.rules) else {
            socket.close()
            throw SystemError("nghttp2", SystemError.outOfMemory)
        }
        let client = HTTP2Client(Transport(socket), endpoint, self, context, session)
        do {
            try loop.attach(client, socket)
        } catch {
            client.close()
            throw error
        }
        context.clients.insert(client)
        client.armDeadline()
        return client
    }
}
