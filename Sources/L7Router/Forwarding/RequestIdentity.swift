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
    /// A field that is made here; what was written of its value is returned, nothing where it did not fit.
    private mutating func appendMade(
        _ name: StaticString, value: Range<Int>, _ write: (inout HeadWriter) -> Void
    ) -> UnsafeRawBufferPointer {
        append(name)
        let start = count
        write(&self)
        append("\r\n")
        guard !hasOverflowed else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + start + value.lowerBound, count: value.count)
    }

    /// `X-Request-ID` with a random UUID (RFC 9562 section 5.4).
    mutating func appendRequestID(_ random: inout RandomBits) -> UnsafeRawBufferPointer {
        let high = random.next() & ~0xf000 | 0x4000
        let low = random.next() >> 2 | 0x8000_0000_0000_0000
        return appendMade("X-Request-ID: ", value: 0..<36) { writer in
            writer.append(hex: high >> 32, digits: 8)
            writer.append(byte: UInt8(ascii: "-"))
            writer.append(hex: high >> 16, digits: 4)
            writer.append(byte: UInt8(ascii: "-"))
            writer.append(hex: high, digits: 4)
            writer.append(byte: UInt8(ascii: "-"))
            writer.append(hex: low >> 48, digits: 4)
            writer.append(byte: UInt8(ascii: "-"))
            writer.append(hex: low, digits: 12)
        }
    }

    /// The root of a trace: random ids, never zero, and the sampled flag (W3C Trace Context section 3.2.2).
    ///
    /// - Returns: the trace-id.
    mutating func appendTraceParent(_ random: inout RandomBits) -> UnsafeRawBufferPointer {
        let (high, low, parent) = (random.next(), random.next() | 1, random.next() | 1)
        return appendMade("traceparent: ", value: TraceContext.traceID) { writer in
            writer.append("00-")
            writer.append(hex: high)
            writer.append(hex: low)
            writer.append("-")
            writer.append(hex: parent)
            writer.append("-01")
        }
    }
}
