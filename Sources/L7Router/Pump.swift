import HTTPCodec
import Reactor

/// One side's input buffer: bytes as they came ("raw") and, before them, a run that is ready to go out on the other
/// side.
///
/// Bodies are decoded and framed in place, so a byte is received once and sent once from the same memory. The buffer is
/// leased while bytes are pending and is the only memory between the two sides: a run that cannot be sent stops
/// reading.
struct Pump {
    enum Fill {
        /// Bytes came; `isDrained`: fewer than there was room for, so the kernel has no more.
        case bytes(isDrained: Bool)
        case wouldBlock
        case end
        case failed(Int32)
        case noBuffer
        /// The buffer is full of bytes that wait for others.
        case full
    }

    private(set) var buffer: Buffer?
    private(set) var rawStart: Int32 = 0
    private(set) var rawEnd: Int32 = 0
    private(set) var runStart: Int32 = 0
    private(set) var runEnd: Int32 = 0
    private var wantsLarge = false

    var hasRaw: Bool { rawEnd > rawStart }
    var hasRun: Bool { runEnd > runStart }
    var isEmpty: Bool { !hasRaw && !hasRun }
    var raw: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer.map { $0.base + Int(rawStart) }, count: Int(rawEnd - rawStart))
    }
    var run: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer.map { $0.base + Int(runStart) }, count: Int(runEnd - runStart))
    }

    /// Receives as much as there is room for.
    mutating func fill(_ transport: Transport, _ pool: BufferPool) -> Fill {
        if isEmpty { rewind(pool) }
        guard let buffer = buffer ?? lease(pool) else { return .noBuffer }
        let limit = buffer.capacity - ChunkFrame.tailroom
        if Int(rawEnd) == limit { compact(buffer) }
        let space = limit - Int(rawEnd)
        guard space > 0 else { return .full }
        switch transport.receive(buffer.base + Int(rawEnd), space) {
        case .count(0): return .end
        case .count(let count):
            rawEnd += Int32(truncatingIfNeeded: count)
            // A full read says that more is waiting: the next one may be larger.
            wantsLarge = count == space
            return .bytes(isDrained: count < space)
        case .wouldBlock: return .wouldBlock
        case .failed(let code): return .failed(code)
        }
    }

    private mutating func lease(_ pool: BufferPool) -> Buffer? {
        buffer = (wantsLarge ? pool.leaseLarge() : nil) ?? pool.leaseSmall()
        (rawStart, rawEnd) = (Int32(ChunkFrame.headroom), Int32(ChunkFrame.headroom))
        (runStart, runEnd) = (0, 0)
        return buffer
    }

    /// Starts anew at the front of the buffer, or of a larger one where the last read filled this one.
    private mutating func rewind(_ pool: BufferPool) {
        (rawStart, rawEnd) = (Int32(ChunkFrame.headroom), Int32(ChunkFrame.headroom))
        (runStart, runEnd) = (0, 0)
        if wantsLarge, let present = buffer, present.capacity < BufferPool.largeCapacity {
            pool.giveBack(present)
            buffer = nil
        }
    }

    /// Moves raw bytes to the front where nothing lies before them that must go out first.
    private mutating func compact(_ buffer: Buffer) {
        let front = Int32(ChunkFrame.headroom)
        guard !hasRun, rawStart > front else { return }
        (buffer.base + Int(front)).copyMemory(from: buffer.base + Int(rawStart), byteCount: Int(rawEnd - rawStart))
        (rawStart, rawEnd) = (front, front + rawEnd - rawStart)
    }

    mutating func consumeRaw(_ count: Int) { rawStart += Int32(truncatingIfNeeded: count) }

    mutating func consumeRun(_ count: Int) { runStart += Int32(truncatingIfNeeded: count) }

    /// Throws away what is left of a body that nobody takes any more: it is no part of the next message.
    mutating func dropRun() { (runStart, runEnd) = (0, 0) }

    /// Gives the buffer back; whatever was in it is gone.
    mutating func release(_ pool: BufferPool) {
        if let buffer { pool.giveBack(buffer) }
        self = Pump()
    }

    /// Gives the buffer back if nothing is in it.
    mutating func releaseIfEmpty(_ pool: BufferPool) {
        if isEmpty, buffer != nil { release(pool) }
    }
}

// MARK: - Bodies

extension Pump {
    /// What decoding made of the raw bytes.
    enum Decoded {
        case progress
        case finished
        case needsMore
        case malformed(MessageError)
    }

    /// Decodes raw bytes into the run, which must be empty, and frames it for the other side.
    ///
    /// Framing in place never reaches raw bytes that follow: whatever frame is put around the data replaces one at
    /// least as long that was taken off, or lies in the buffer's head room or tail room.
    mutating func decode(
        _ decoder: inout BodyDecoder, asChunks: Bool, handsOnPart: Bool = false, _ trailers: inout TrailerContext
    ) -> Decoded {
        guard let buffer else { return .needsMore }
        let step = decoder.decode(buffer.base, from: Int(rawStart), to: Int(rawEnd))
        if let error = step.error {
            // The fault is found again behind the run, as long as framing that does not write over it.
            guard handsOnPart, step.dataCount > 0, step.consumed >= step.dataEnd + 2 else { return .malformed(error) }
        }
        let advanced = step.consumed > Int(rawStart)
        rawStart = Int32(truncatingIfNeeded: step.consumed)
        (runStart, runEnd) = (Int32(truncatingIfNeeded: step.dataStart), Int32(truncatingIfNeeded: step.dataEnd))
        if asChunks {
            if step.dataCount > 0 { frame(buffer) }
            if step.isFinished, !finishChunks(buffer, step, &trailers) { return .malformed(.badTrailer) }
        }
        if step.isFinished { return .finished }
        return advanced || hasRun ? .progress : .needsMore
    }

    private mutating func frame(_ buffer: Buffer) {
        let start = ChunkFrame.begin(buffer.base, dataStart: Int(runStart), dataEnd: Int(runEnd))
        (runStart, runEnd) = (Int32(truncatingIfNeeded: start), runEnd + 2)
    }

    private mutating func finishChunks(
        _ buffer: Buffer, _ step: BodyDecoder.Step, _ trailers: inout TrailerContext
    ) -> Bool {
        let position: Int
        if hasRun {
            position = Int(runEnd)
        } else if step.trailers.isEmpty {
            position = step.consumed - ChunkFrame.last.utf8CodeUnitCount
        } else {
            position = Int(step.trailers.start) - 3
        }
        var writer = HeadWriter(buffer.base + position, capacity: buffer.capacity - position)
        writer.append("0\r\n")
        if !step.trailers.isEmpty {
            guard
                writer.appendTrailers(
                    step.trailers, from: buffer.base, limits: trailers.limits, fields: &trailers.fields)
            else { return false }
        }
        writer.append("\r\n")
        if !hasRun { runStart = Int32(truncatingIfNeeded: position) }
        runEnd = Int32(truncatingIfNeeded: position + writer.count)
        return !writer.hasOverflowed
    }

    /// Makes the last chunk the run, for a body whose end was the end of its stream. `false`: no buffer.
    mutating func endChunks(_ pool: BufferPool) -> Bool {
        if isEmpty { rewind(pool) }
        guard let buffer = buffer ?? lease(pool) else { return false }
        var writer = HeadWriter(buffer.base, capacity: buffer.capacity)
        writer.append(ChunkFrame.last)
        (runStart, runEnd) = (0, Int32(writer.count))
        (rawStart, rawEnd) = (runEnd, runEnd)
        return true
    }
}

/// What looking at a trailer section needs.
struct TrailerContext {
    var fields: FieldTable
    let limits: MessageLimits
}
