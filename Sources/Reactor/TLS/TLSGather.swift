/// Records of one connection on their way to its socket: several leave in one call. Holds a buffer within a call, and
/// while the socket does not take all of it.
struct TLSGather {
    /// What a record may have beside its plain bytes: header, kind, tag or padding (RFC 8446 section 5.2, RFC 5246
    /// section 6.2.3).
    static let overhead = 512

    private var buffer: Buffer?
    private var start: Int32 = 0
    private var end: Int32 = 0
    /// Plain bytes of the last record, where the socket did not take all: whoever sends is told of them when it has.
    private var withheld: Int32 = 0

    var isOpen: Bool { buffer != nil }

    /// `false`: no buffer is to be had.
    mutating func open(_ pool: BufferPool) -> Bool {
        buffer = pool.leaseMedium()
        (start, end, withheld) = (0, 0, 0)
        return buffer != nil
    }

    var hasRoomForRecord: Bool { room >= TLSLayer.recordBytes + Self.overhead }

    private var room: Int { buffer.map { $0.capacity - Int(end) } ?? 0 }

    /// Takes what OpenSSL wants to send, as a whole or not at all.
    mutating func append(_ bytes: UnsafeRawPointer, _ count: Int) -> IOResult {
        guard let buffer, room >= count else { return .wouldBlock }
        (buffer.base + Int(end)).copyMemory(from: bytes, byteCount: count)
        end += Int32(truncatingIfNeeded: count)
        return .count(count)
    }

    /// `.count`: all of it is gone, and there is room again.
    mutating func flush(_ socket: Socket, more: Bool) -> IOResult {
        guard let buffer, start < end else { return .count(0) }
        let result = socket.send(buffer.base + Int(start), Int(end - start), more: more)
        guard case .count(let count) = result else { return result }
        start += Int32(truncatingIfNeeded: count)
        guard start == end else { return .wouldBlock }
        (start, end) = (0, 0)
        return .count(count)
    }

    /// The socket is full. Remembers what the sender is not told of yet, and keeps no more memory than is needed.
    mutating func wait(withholding plain: Int, _ pool: BufferPool) {
        withheld = Int32(truncatingIfNeeded: plain)
        let left = Int(end - start)
        guard let present = buffer, left <= BufferPool.smallCapacity, let small = pool.leaseSmall() else { return }
        small.base.copyMemory(from: present.base + Int(start), byteCount: left)
        pool.giveBack(present)
        (buffer, start, end) = (small, 0, Int32(truncatingIfNeeded: left))
    }

    /// How many of the next `count` plain bytes have gone already.
    mutating func takeWithheld(upTo count: Int) -> Int {
        let taken = min(Int(withheld), count)
        withheld -= Int32(truncatingIfNeeded: taken)
        return taken
    }

    mutating func close(_ pool: BufferPool) {
        if let buffer { pool.giveBack(buffer) }
        buffer = nil
    }
}
