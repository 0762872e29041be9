/// Reads a body of any framing from a buffer, in place.
public struct BodyDecoder: Sendable {
    private enum Mode {
        case done
        case length(UInt64)
        case chunked(ChunkDecoder)
        case untilClose
    }

    /// Octets of a trailer section.
    public static let trailerLimitBytes = 4096

    private var mode: Mode
    /// Kept beside the mode because it is asked for more often than bytes come.
    public private(set) var isFinished = false

    public init(_ framing: Framing) {
        switch framing {
        case .none, .length(0): (mode, isFinished) = (.done, true)
        case .length(let count): mode = .length(count)
        case .chunked: mode = .chunked(ChunkDecoder())
        case .untilClose: mode = .untilClose
        }
    }

    /// Whether the end of the stream is a proper end of this body.
    public var mayEndWithStream: Bool {
        switch mode {
        case .done, .untilClose: true
        case .length, .chunked: false
        }
    }

    /// What one call made of its input. Offsets are those of the buffer.
    public struct Step {
        /// Decoded octets, together.
        public var dataStart = 0
        public var dataEnd = 0
        /// Input up to here has been dealt with.
        public var consumed = 0
        public var isFinished = false
        /// A trailer section: it lies before `consumed`, its last empty line included.
        public var trailers = ByteRange.empty
        public var error: MessageError?

        public var dataCount: Int { dataEnd - dataStart }
    }

    /// Decodes the octets from `start` to `end`; what is left behind `consumed` is to be offered again with more.
    public mutating func decode(_ base: UnsafeMutableRawPointer, from start: Int, to end: Int) -> Step {
        decode(base, from: start, to: end, joins: true)
    }

    /// The same for bytes that must stay as they are: a step holds data of one chunk at the most and ends behind it.
    public mutating func decodeRun(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Step {
        guard let base = bytes.baseAddress else { return Step() }
        return decode(UnsafeMutableRawPointer(mutating: base), from: start, to: bytes.count, joins: false)
    }

    private mutating func decode(
        _ base: UnsafeMutableRawPointer, from start: Int, to end: Int, joins: Bool
    ) -> Step {
        var step = Step()
        step.dataStart = start
        step.dataEnd = start
        step.consumed = start
        switch mode {
        case .done: step.isFinished = true
        case .untilClose:
            step.dataEnd = end
            step.consumed = end
        case .length(let remaining):
            let count = min(Int(clamping: remaining), end - start)
            step.dataEnd = start + count
            step.consumed = start + count
            if remaining == UInt64(count) { finish(&step) } else { mode = .length(remaining - UInt64(count)) }
        case .chunked(var decoder):
            let bytes = base.assumingMemoryBound(to: UInt8.self)
            let part = decoder.decode(bytes, from: start, to: end, joins: joins)
            mode = .chunked(decoder)
            if part.dataEnd > part.dataStart { (step.dataStart, step.dataEnd) = (part.dataStart, part.dataEnd) }
            step.consumed = part.consumed
            step.error = part.error
            if decoder.isAtTrailers, step.error == nil, joins || step.dataCount == 0 { readTrailers(bytes, end, &step) }
        }
        return step
    }

    private mutating func finish(_ step: inout Step) {
        (mode, isFinished) = (.done, true)
        step.isFinished = true
    }

    /// Waits for the whole section, so that its lines can be looked at together.
    private mutating func readTrailers(_ base: UnsafeMutablePointer<UInt8>, _ end: Int, _ step: inout Step) {
        var position = step.consumed
        while true {
            switch Line.find(base, from: position, to: end) {
            case .incomplete:
                if end - step.consumed > Self.trailerLimitBytes { step.error = .badTrailer }
                return
            case .malformed(let error):
                step.error = error
                return
            case .found(let lineEnd, let next):
                if lineEnd == position {
                    if position > step.consumed { step.trailers = ByteRange(step.consumed, next) }
                    step.consumed = next
                    return finish(&step)
                }
                position = next
            }
            guard position - step.consumed <= Self.trailerLimitBytes else {
                step.error = .badTrailer
                return
            }
        }
    }
}
