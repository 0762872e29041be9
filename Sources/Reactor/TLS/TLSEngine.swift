/// What the TLS connections of one loop share: scratch memory and the ticket keys in force.
public final class TLSEngine {
    /// One record's plain bytes, used within one call.
    let scratch: UnsafeMutableRawPointer
    public var ticketKeys = TLSTicketKeys([])
    var sessions = TLSSessionShelf()

    public init() { scratch = .allocate(byteCount: TLSLayer.recordBytes, alignment: 64) }

    deinit { scratch.deallocate() }
}
