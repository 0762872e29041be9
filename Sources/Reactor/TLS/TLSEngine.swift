/// What the TLS connections of one loop share: scratch memory and the ticket keys in force.
public final class TLSEngine {
    /// One record's plain bytes, used within one call.
    let scratch: UnsafeMutableRawPointer
    /// Where records are gathered that leave together.
    let buffers: BufferPool
    /// Whose buffers they are; `nil`: the engine's own.
    private let loop: EventLoop?
    public var ticketKeys = TLSTicketKeys([])
    var sessions = TLSSessionShelf()

    /// - Parameter loop: whose buffers it takes; left out: a small pool of its own, for what sends little.
    public init(_ loop: EventLoop? = nil) {
        self.loop = loop
        buffers = loop?.buffers ?? BufferPool(limitBytes: 1 << 20)
        scratch = .allocate(byteCount: TLSLayer.recordBytes, alignment: 64)
    }

    deinit {
        scratch.deallocate()
        if loop == nil { buffers.deallocate() }
    }
}
