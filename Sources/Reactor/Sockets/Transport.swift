/// What a connection reads from and writes to: a plain socket, a layer over one (TLS), or one stream of a multiplexed
/// connection (HTTP/2). The holder closes it, once.
///
/// A struct with an optional layer, not a protocol: the plain socket, which most bytes take, pays one comparison.
public struct Transport {
    /// `Socket.none` where the bytes travel on a connection shared with others.
    public let socket: Socket
    public let layer: TransportLayer?

    public static var none: Transport { Transport(Socket.none) }

    public init(_ socket: Socket) {
        self.socket = socket
        layer = nil
    }

    /// - Parameter socket: the socket below the layer, where it has one of its own.
    public init(_ layer: TransportLayer, over socket: Socket = .none) {
        self.socket = socket
        self.layer = layer
    }

    public var isOpen: Bool { layer != nil || socket.isOpen }

    /// Fills as much of the buffer as it can. Fewer bytes than `capacity`: there is nothing more until the next
    /// readable event. 0 bytes: the peer's end of stream.
    public func receive(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> IOResult {
        guard let layer else { return socket.receive(buffer, capacity) }
        return layer.receive(buffer, capacity)
    }

    /// Reads up to 16 KiB and throws it away; needs no buffer.
    public func discard() -> IOResult {
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 16) { scratch in
            scratch.baseAddress.map { receive($0, scratch.count) } ?? .wouldBlock
        }
    }

    /// Takes a prefix of the bytes. Fewer than `count`: no more until the next writable event, and the next call begins
    /// with the bytes that were not taken.
    ///
    /// - Parameter more: the end of the stream, or more bytes, follow at once and may share the packet.
    public func send(_ bytes: UnsafeRawPointer, _ count: Int, more: Bool = false) -> IOResult {
        guard let layer else { return socket.send(bytes, count, more: more) }
        return layer.send(UnsafeRawBufferPointer(start: bytes, count: count), more: more)
    }

    /// Two ranges in one call.
    public func send(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, more: Bool = false
    ) -> IOResult {
        guard let layer else { return socket.send(first, second, more: more) }
        return layer.send(first, second, more: more)
    }

    /// Says that nothing more comes from this side.
    public func shutdownWrite() {
        if let layer { layer.shutdownWrite() } else { socket.shutdownWrite() }
    }

    /// Makes the coming `close` tell the peer that what it got is not the whole.
    public func resetOnClose() {
        if let layer { layer.resetOnClose() } else { socket.resetOnClose() }
    }

    public func close() {
        if let layer { layer.close() } else { socket.close() }
    }

    /// Has the kernel ask a silent peer whether it still lives.
    public func keepAlive() {
        if socket.isOpen { socket.keepAlive() }
    }

    /// Whether bytes have gone out again and again without an answer of the peer's kernel. Costs a system call.
    public var isUnanswered: Bool { socket.isOpen && socket.isUnanswered }

    /// Whether a read would find the end of the stream, an error, or bytes, rather than nothing yet.
    public func hasPendingEnd() -> Bool {
        if let layer { layer.hasPendingEnd() } else { socket.hasPendingEnd() }
    }
}

/// Bytes in, bytes out, above or beside a socket. The engine above is edge-triggered; what `Transport` says of each
/// call holds for every layer.
open class TransportLayer {
    public init() {}

    open func receive(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> IOResult { .wouldBlock }

    open func send(_ bytes: UnsafeRawBufferPointer, more: Bool) -> IOResult { .wouldBlock }

    /// Two ranges one behind the other. A layer that can put them into one record does.
    open func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, more: Bool) -> IOResult {
        let result = send(first, more: true)
        guard case .count(let sent) = result, sent == first.count else { return result }
        guard case .count(let more) = send(second, more: more) else { return result }
        return .count(sent + more)
    }

    open func shutdownWrite() {}

    open func resetOnClose() {}

    open func close() {}

    open func hasPendingEnd() -> Bool { false }
}
