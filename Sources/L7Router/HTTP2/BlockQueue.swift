import Reactor

/// Bytes in a chain of small buffers: what a peer has sent and nobody has taken yet. Holds nothing while empty.
///
/// Its size is bounded by whoever fills it: a flow-control window, or the limit of a head.
struct BlockQueue {
    /// At the start of each buffer lies the address of the next one.
    private static let headerBytes: Int32 = 16
    /// What one buffer holds.
    static let blockBytes = BufferPool.smallCapacity - Int(headerBytes)

    private var first: UnsafeMutableRawPointer?
    private var last: UnsafeMutableRawPointer?
    private var firstStart: Int32 = 0
    private var lastEnd: Int32 = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// `false`: no buffer could be had, and some of the bytes are lost.
    mutating func append(_ bytes: UnsafeRawPointer, _ length: Int, _ pool: BufferPool) -> Bool {
        var done = 0
        while done < length {
            if last == nil || Int(lastEnd) == BufferPool.smallCapacity {
                guard grow(pool) else { return false }
            }
            guard let last else { return false }
            let part = min(length - done, BufferPool.smallCapacity - Int(lastEnd))
            (last + Int(lastEnd)).copyMemory(from: bytes + done, byteCount: part)
            lastEnd += Int32(truncatingIfNeeded: part)
            count += part
            done += part
        }
        return true
    }

    private mutating func grow(_ pool: BufferPool) -> Bool {
        guard let buffer = pool.leaseSmall() else { return false }
        buffer.base.storeBytes(of: nil, as: UnsafeMutableRawPointer?.self)
        if let last {
            last.storeBytes(of: buffer.base, as: UnsafeMutableRawPointer?.self)
        } else {
            first = buffer.base
            firstStart = Self.headerBytes
        }
        last = buffer.base
        lastEnd = Self.headerBytes
        return true
    }

    /// Moves up to `limit` bytes out.
    mutating func read(into target: UnsafeMutableRawPointer, _ limit: Int, _ pool: BufferPool) -> Int {
        var done = 0
        while done < limit, count > 0, let block = first {
            let end = block == last ? Int(lastEnd) : BufferPool.smallCapacity
            let part = min(limit - done, end - Int(firstStart))
            (target + done).copyMemory(from: block + Int(firstStart), byteCount: part)
            firstStart += Int32(truncatingIfNeeded: part)
            count -= part
            done += part
            if Int(firstStart) == end { dropFirst(pool) }
        }
        return done
    }

    private mutating func dropFirst(_ pool: BufferPool) {
        guard let block = first else { return }
        first = block.load(as: UnsafeMutableRawPointer?.self)
        firstStart = Self.headerBytes
        if first == nil { last = nil }
        pool.giveBack(Buffer(base: block, capacity: BufferPool.smallCapacity))
    }

    /// Memory for `blockBytes` bytes in a row, of which `commit` says how many were written. Only while empty.
    mutating func open(_ pool: BufferPool) -> UnsafeMutableRawPointer? {
        precondition(first == nil, "a queue that is in use")
        return grow(pool) ? last.map { $0 + Int(Self.headerBytes) } : nil
    }

    mutating func commit(_ written: Int) {
        lastEnd = Self.headerBytes + Int32(truncatingIfNeeded: written)
        count = written
    }

    /// What lies in the first buffer.
    var front: UnsafeRawBufferPointer {
        guard let first else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let end = first == last ? Int(lastEnd) : BufferPool.smallCapacity
        return UnsafeRawBufferPointer(start: first + Int(firstStart), count: end - Int(firstStart))
    }

    mutating func release(_ pool: BufferPool) {
        while first != nil { dropFirst(pool) }
        self = BlockQueue()
    }
}
