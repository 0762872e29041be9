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
}
