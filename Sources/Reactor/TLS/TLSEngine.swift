/// What the TLS connections of one loop share: scratch memory and the ticket keys in force.
public final class TLSEngine {
    /// One record's plain bytes, used within one call.
    let scratch: UnsafeMutableRawPointer
    /// Where records are gathered that leave together.
    let buffers: BufferPool
    public var ticketKeys = TLSTicketKeys([])
    var sessions = TLSSessionShelf()

    /// - Parameter buffers: of the loop; left out: a small pool of its own, for what sends little.
    public init(_ buffers: BufferPool = BufferPool(limitBytes: 1 << 20)) {
        self.buffers = buffers
        scratch = .allocate(byteCount: TLSLayer.recordBytes, alignment: 64)
    }

    deinit { scratch.deallocate() }
}
