import Reactor

/// Frames that wait for the transport, many for one system call. Holds no buffer while empty.
struct HTTP2Output {
    enum Flush {
        case done, blocked, failed
    }

    private var buffer: Buffer?
    private var start = 0
    private var end = 0
    private var wantsLarge = false

    var isEmpty: Bool { start == end }

    /// Bytes that can be appended to the present buffer, which is leased if there is none; 0: none can be had.
    mutating func room(_ pool: BufferPool) -> Int {
        _ = prepare(1, pool, grows: false)
        return buffer.map { $0.capacity - end } ?? 0
    }

    /// The next buffer shall be a large one.
    mutating func expectMuch() { wantsLarge = true }

    /// `false`: no buffer can be had, or it is full even so.
    mutating func append(_ bytes: UnsafeRawPointer, _ count: Int, _ pool: BufferPool) -> Bool {
        guard prepare(count, pool), let buffer else { return false }
        (buffer.base + end).copyMemory(from: bytes, byteCount: count)
        end += count
        return true
    }

    private mutating func prepare(_ count: Int, _ pool: BufferPool, grows: Bool = true) -> Bool {
        if buffer == nil {
            buffer = (wantsLarge || count > BufferPool.smallCapacity ? pool.leaseLarge() : nil) ?? pool.leaseSmall()
            (start, end) = (0, 0)
        }
        guard let present = buffer else { return false }
        if present.capacity - end >= count { return true }
        guard grows, present.capacity < BufferPool.largeCapacity, let larger = pool.leaseLarge() else { return false }
        guard larger.capacity - (end - start) >= count else {
            pool.giveBack(larger)
            return false
        }
        larger.base.copyMemory(from: present.base + start, byteCount: end - start)
        pool.giveBack(present)
        (buffer, start, end) = (larger, 0, end - start)
        return true
    }

    /// Hands what is there to the transport.
    mutating func flush(_ transport: Transport, _ pool: BufferPool, _ sent: inout UInt64) -> Flush {
        guard let present = buffer else { return .done }
        if start < end {
            switch transport.send(present.base + start, end - start) {
            case .count(let count):
                sent &+= UInt64(count)
                start += count
                if start < end { return .blocked }
            case .wouldBlock: return .blocked
            case .failed: return .failed
            }
        }
        (start, end) = (0, 0)
        if wantsLarge, present.capacity < BufferPool.largeCapacity { release(pool) }
        return .done
    }

    mutating func release(_ pool: BufferPool) {
        if let buffer { pool.giveBack(buffer) }
        buffer = nil
        (start, end) = (0, 0)
    }

    /// Gives the buffer back while nothing waits.
    mutating func releaseIfEmpty(_ pool: BufferPool) {
        guard isEmpty else { return }
        release(pool)
        wantsLarge = false
    }
}
