/// Takes the chunked coding (RFC 9112 section 7.1) off a body, in place, byte by byte where it must.
///
/// Data octets of one call are moved together into one run; a run that already lies together is not touched. Chunk
/// extensions are skipped. The trailer section is left for the caller, who has it parsed by a `FieldTable`.
struct ChunkDecoder {
    private enum State {
        case sizeStart, size, sizeBlank, extensions, sizeLineFeed, data, dataReturn, dataLineFeed, trailers
    }

    /// Octets of one chunk's size line, extensions included.
    private static let sizeLineLimit = 4096

    private var state = State.sizeStart
    private var remaining: UInt64 = 0
    private var sizeLineBytes: Int32 = 0

    var isAtTrailers: Bool { state == .trailers }

    struct Step {
        var dataStart = 0
        var dataEnd = 0
        var consumed = 0
        var error: MessageError?
    }

    /// Decodes until the input ends, the trailers begin, or an error is found.
    ///
    /// - Parameter joins: `false`: stops behind the first run of data instead of moving a second one to it.
    mutating func decode(
        _ base: UnsafeMutablePointer<UInt8>, from start: Int, to end: Int, joins: Bool = true
    ) -> Step {
        var step = Step()
        var position = start
        while position < end, state != .trailers {
            if !joins, step.dataEnd > step.dataStart { break }
            if state == .data {
                let count = min(Int(clamping: remaining), end - position)
                append(&step, base, position, count)
                remaining -= UInt64(count)
                position += count
                if remaining == 0 { state = .dataReturn }
            } else if let error = advance(base[position]) {
                step.error = error
                break
            } else {
                position += 1
            }
        }
        step.consumed = position
        return step
    }

    private func append(_ step: inout Step, _ base: UnsafeMutablePointer<UInt8>, _ start: Int, _ count: Int) {
        if step.dataEnd == step.dataStart {
            step.dataStart = start
        } else if step.dataEnd != start {
            UnsafeMutableRawPointer(base + step.dataEnd).copyMemory(from: base + start, byteCount: count)
            step.dataEnd += count
            return
        }
        step.dataEnd = start + count
    }

    private mutating func advance(_ byte: UInt8) -> MessageError? {
        switch state {
        case .sizeStart:
            guard let digit = Octets.hexValue(byte) else { return .badChunkSize }
            remaining = UInt64(digit)
            sizeLineBytes = 1
            state = .size
        case .size: return advanceSize(byte)
        case .sizeBlank: return endSize(byte)
        case .extensions:
            sizeLineBytes += 1
            guard sizeLineBytes <= Self.sizeLineLimit else { return .badChunkSize }
            if byte == Octets.cr {
                state = .sizeLineFeed
            } else if byte < 0x20 && byte != Octets.tab || byte == 0x7f {
                return .badChunkSize
            }
        case .sizeLineFeed:
            guard byte == Octets.lf else { return .badChunkSize }
            state = remaining == 0 ? .trailers : .data
        case .dataReturn:
            guard byte == Octets.cr else { return .badChunkEnd }
            state = .dataLineFeed
        case .dataLineFeed:
            guard byte == Octets.lf else { return .badChunkEnd }
            state = .sizeStart
        case .data, .trailers: break
        }
        return nil
    }

    private mutating func advanceSize(_ byte: UInt8) -> MessageError? {
        sizeLineBytes += 1
        if let digit = Octets.hexValue(byte) {
            guard sizeLineBytes <= 16, remaining >> 59 == 0 else { return .badChunkSize }
            remaining = remaining << 4 | UInt64(digit)
            return nil
        }
        return endSize(byte)
    }

    /// Behind the size: white space, an extension, or the line's end.
    private mutating func endSize(_ byte: UInt8) -> MessageError? {
        sizeLineBytes += 1
        switch byte {
        case Octets.cr: state = .sizeLineFeed
        case UInt8(ascii: ";"): state = .extensions
        case Octets.space, Octets.tab: state = .sizeBlank
        default: return .badChunkSize
        }
        return sizeLineBytes <= Self.sizeLineLimit ? nil : .badChunkSize
    }
}
