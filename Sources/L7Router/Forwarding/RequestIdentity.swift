import HTTPCodec

/// What names a request to instances and logs: its `X-Request-ID`, and its trace where it has one. Both lie in the
/// buffer of the head that came or of the head that goes on, and are gone with it.
struct RequestIdentity {
    /// Longest request id that is kept.
    static let longestID = 128

    var requestID = UnsafeRawBufferPointer(start: nil, count: 0)
    /// 32 hexadecimal digits, or nothing.
    var traceID = UnsafeRawBufferPointer(start: nil, count: 0)

    /// Letters, digits and `- . _ ~ + / = : @`: what can stand in a log, a header and a URL as it is.
    static func isWellFormed(_ id: UnsafeRawBufferPointer) -> Bool {
        (1...longestID).contains(id.count)
            && id.allSatisfy { byte in
                if byte &- 48 < 10 || (byte | 0x20) &- 97 < 26 { return true }
                switch byte {
                case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"),
                    UInt8(ascii: "/"), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "@"):
                    return true
                default: return false
                }
            }
    }
}

extension HeadWriter {
    /// What was written from `start` on; nothing where something did not fit.
    private func made(from start: Int, _ part: Range<Int>) -> UnsafeRawBufferPointer {
        guard !hasOverflowed else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + start + part.lowerBound, count: part.count)
    }

    /// `X-Request-ID` with a random UUID (RFC 9562 section 5.4).
    ///
    /// - Returns: the UUID's text.
    mutating func appendRequestID(_ random: inout RandomBits) -> UnsafeRawBufferPointer {
        append("X-Request-ID: ")
        let start = count
        append(uuid: random.next() & ~0xf000 | 0x4000, random.next() >> 2 | 0x8000_0000_0000_0000)
        append("\r\n")
        return made(from: start, 0..<36)
    }

    /// The root of a trace: random ids, never zero, and the sampled flag (W3C Trace Context section 3.2.2).
    ///
    /// - Returns: the trace-id.
    mutating func appendTraceParent(_ random: inout RandomBits) -> UnsafeRawBufferPointer {
        let (high, low, parent) = (random.next(), random.next() | 1, random.next() | 1)
        append("traceparent: ")
        let start = count
        append("00-")
        append(hex: high)
        append(hex: low)
        append("-")
        append(hex: parent)
        append("-01\r\n")
        return made(from: start, TraceContext.traceID)
    }
}
