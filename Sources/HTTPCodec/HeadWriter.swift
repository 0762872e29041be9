/// Writes into memory of a fixed size. What does not fit is not written and `hasOverflowed` stays set.
public struct HeadWriter {
    public let base: UnsafeMutableRawPointer
    public let capacity: Int
    public private(set) var count: Int
    public private(set) var hasOverflowed = false

    public init(_ base: UnsafeMutableRawPointer, capacity: Int, count: Int = 0) {
        self.base = base
        self.capacity = capacity
        self.count = count
    }

    public mutating func append(_ bytes: UnsafeRawPointer, _ length: Int) {
        guard capacity - count >= length else {
            hasOverflowed = true
            return
        }
        (base + count).copyMemory(from: bytes, byteCount: length)
        count += length
    }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if let start = bytes.baseAddress { append(start, bytes.count) }
    }

    public mutating func append(_ text: StaticString) { append(text.utf8Start, text.utf8CodeUnitCount) }

    public mutating func append(byte: UInt8) {
        guard count < capacity else {
            hasOverflowed = true
            return
        }
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    public mutating func append(decimal value: UInt64) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var start = 20
            var rest = value
            repeat {
                start -= 1
                digits[start] = UInt8(rest % 10) + 48
                rest /= 10
            } while rest > 0
            append(UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
    }
}

extension HeadWriter {
    /// Lower case hexadecimal digits of `value`, all sixteen or the last `digits` of them.
    public mutating func append(hex value: UInt64, digits: Int = 16) {
        guard digits > 0 else { return }
        let text = (
            Self.hexDigits(UInt32(truncatingIfNeeded: value >> 32)), Self.hexDigits(UInt32(truncatingIfNeeded: value))
        )
        withUnsafeBytes(of: text) { append(UnsafeRawBufferPointer(rebasing: $0.suffix(digits))) }
    }

    /// The eight digits of `value` in the order of memory, all at once: a digit to each byte, then to its letter.
    private static func hexDigits(_ value: UInt32) -> UInt64 {
        var spread = UInt64(value)
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff
        spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f
        // 1 in each byte that is above nine.
        let letters = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return (spread &+ 0x3030_3030_3030_3030 &+ letters &* 39).bigEndian
    }

    /// A name with its colon and space, a value, and the line's end.
    public mutating func appendField(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        append(name)
        append(value)
        append("\r\n")
    }

    /// A token as it is, anything else as a quoted string (RFC 9110 section 5.6.4).
    public mutating func appendTokenOrQuoted(_ value: UnsafeRawBufferPointer) {
        if !value.isEmpty, value.allSatisfy({ Octets.isToken($0) }) { return append(value) }
        append(byte: UInt8(ascii: "\""))
        for byte in value {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { append(byte: UInt8(ascii: "\\")) }
            append(byte: byte)
        }
        append(byte: UInt8(ascii: "\""))
    }
}

/// The chunked coding put around a run of octets that already lies in a buffer.
public enum ChunkFrame {
    /// Space a frame takes before its data: sixteen digits at the most and CRLF.
    public static let headroom = 18
    /// Space behind: the data's CRLF and the last chunk.
    public static let tailroom = 7

    /// Writes the size line so that it ends at `dataStart`, and CRLF at `dataEnd`. Returns where the frame begins.
    public static func begin(_ base: UnsafeMutableRawPointer, dataStart: Int, dataEnd: Int) -> Int {
        var position = dataStart - 2
        base.storeBytes(of: Octets.cr, toByteOffset: position, as: UInt8.self)
        base.storeBytes(of: Octets.lf, toByteOffset: position + 1, as: UInt8.self)
        var rest = dataEnd - dataStart
        repeat {
            position -= 1
            let digit = UInt8(rest & 15)
            base.storeBytes(of: digit < 10 ? digit + 48 : digit + 87, toByteOffset: position, as: UInt8.self)
            rest >>= 4
        } while rest > 0
        base.storeBytes(of: Octets.cr, toByteOffset: dataEnd, as: UInt8.self)
        base.storeBytes(of: Octets.lf, toByteOffset: dataEnd + 1, as: UInt8.self)
        return position
    }

    /// The last chunk without trailers.
    public static let last: StaticString = "0\r\n\r\n"
}
