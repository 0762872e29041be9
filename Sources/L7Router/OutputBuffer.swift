import HTTPCodec
import Reactor

/// Bytes rendered for one connection: a head with what fits behind it.
struct OutputBuffer {
    enum Flush {
        case done
        case blocked
        case failed(Int32)
    }

    private(set) var buffer: Buffer?
    private(set) var start: Int32 = 0
    private(set) var end: Int32 = 0

    var isEmpty: Bool { start == end }
    /// Bytes rendered, those already sent included.
    var count: Int { Int(end) }
    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer.map { $0.base + Int(start) }, count: Int(end - start))
    }

    /// A writer behind what is already there; `nil` where no buffer can be had. `commit` takes its result.
    mutating func writer(_ pool: BufferPool) -> HeadWriter? {
        if buffer == nil { buffer = pool.leaseSmall() }
        guard let buffer else { return nil }
        return HeadWriter(buffer.base, capacity: buffer.capacity, count: Int(end))
    }

    mutating func commit(_ writer: HeadWriter) { end = Int32(truncatingIfNeeded: writer.count) }

    /// Shows constant bytes, which need no lease. Only while it is empty.
    mutating func show(_ text: StaticString, count: Int) {
        (buffer, start, end) = (.constant(text), 0, Int32(truncatingIfNeeded: count))
    }

    /// Takes over `run` if there is room for the whole of it.
    mutating func absorb(_ run: UnsafeRawBufferPointer) -> Bool {
        guard let buffer, let source = run.baseAddress, buffer.capacity - Int(end) >= run.count else { return false }
        (buffer.base + Int(end)).copyMemory(from: source, byteCount: run.count)
        end += Int32(truncatingIfNeeded: run.count)
        return true
    }

    /// Sends what is there and gives the buffer back when all of it is gone.
    mutating func flush(_ transport: Transport, _ pool: BufferPool, _ sent: inout UInt64) -> Flush {
        while !isEmpty {
            let pending = bytes
            switch transport.send(pending.baseAddress!, pending.count) {
            case .count(let count):
                sent &+= UInt64(count)
                start += Int32(truncatingIfNeeded: count)
                // A short write means that the socket is full; its next writability is an event.
                if count < pending.count { return .blocked }
            case .wouldBlock: return .blocked
            case .failed(let code): return .failed(code)
            }
        }
        release(pool)
        return .done
    }

    mutating func consume(_ count: Int) { start += Int32(truncatingIfNeeded: count) }

    /// Starts over with the bytes that were already sent, for another instance.
    mutating func rewind() { start = 0 }

    mutating func release(_ pool: BufferPool) {
        if let buffer { pool.giveBack(buffer) }
        self = OutputBuffer()
    }
}
