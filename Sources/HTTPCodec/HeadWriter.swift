/// Writes into memory of a fixed size. What does not fit is not written and `hasOverflowed` stays set.
///
/// Constant text is written by whoever asks: of a known length it takes a few moves, where a call would take a dozen.
public struct HeadWriter {
    public let base: UnsafeMutableRawPointer
    public let capacity: Int
    @usableFromInline var used: Int
    @usableFromInline var lacksRoom = false

    public init(_ base: UnsafeMutableRawPointer, capacity: Int, count: Int = 0) {
        self.base = base
        self.capacity = capacity
        used = count
    }

    public var count: Int { used }
    public var hasOverflowed: Bool { lacksRoom }

    /// Room for exactly `length` bytes, which the caller writes; `nil` where it does not fit.
    @inlinable @inline(__always)
    public mutating func reserve(_ length: Int) -> UnsafeMutableRawPointer? {
        guard capacity - used >= length else {
            lacksRoom = true
            return nil
        }
        defer { used += length }
        return base + used
    }

    public mutating func append(_ bytes: UnsafeRawPointer, _ length: Int) {
        reserve(length)?.copyMemory(from: bytes, byteCount: length)
    }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if let start = bytes.baseAddress { append(start, bytes.count) }
    }

    @inlinable @inline(__always)
    public mutating func append(_ text: StaticString) {
        reserve(text.utf8CodeUnitCount)?.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    }

    @inlinable @inline(__always)
    public mutating func append(byte: UInt8) { reserve(1)?.storeBytes(of: byte, as: UInt8.self) }

    public mutating func append(decimal value: UInt64) {
        var digits = 1
        var bound: UInt64 = 10
        while digits < 20, value >= bound { (digits, bound) = (digits + 1, bound &* 10) }
        guard let place = reserve(digits) else { return }
        var rest = value
        while digits > 0 {
            digits -= 1
            place.storeBytes(of: UInt8(truncatingIfNeeded: rest % 10) + 48, toByteOffset: digits, as: UInt8.self)
            rest /= 10
        }
    }
}

extension HeadWriter {
    /// The sixteen lower case hexadecimal digits of `value`.
    public mutating func append(hex value: UInt64) {
        guard let place = reserve(16) else { return }
        place.storeBytes(of: Self.hexDigits(value >> 32).littleEndian, as: UInt64.self)
        place.storeBytes(of: Self.hexDigits(value).littleEndian, toByteOffset: 8, as: UInt64.self)
    }

    /// The last `digits` of them.
    public mutating func append(hex value: UInt64, digits: Int) {
        guard let place = reserve(digits) else { return }
        for index in 0..<digits {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(4 * (digits - 1 - index)) & 15)
            place.storeBytes(of: digit < 10 ? digit + 48 : digit + 87, toByteOffset: index, as: UInt8.self)
        }
    }

    /// The 36 octets of a UUID's text (RFC 9562 section 4).
    public mutating func append(uuid high: UInt64, _ low: UInt64) {
        guard let place = reserve(36) else { return }
        let (first, second) = (Self.hexDigits(high >> 32), Self.hexDigits(high))
        let (third, fourth) = (Self.hexDigits(low >> 32), Self.hexDigits(low))
        place.storeBytes(of: first.littleEndian, as: UInt64.self)
        // Each dash is the lowest octet of the word behind the digits before it.
        let dash = UInt64(UInt8(ascii: "-"))
        place.storeBytes(of: (second << 8 | dash).littleEndian, toByteOffset: 8, as: UInt64.self)
        place.storeBytes(of: ((second >> 32) << 8 | dash).littleEndian, toByteOffset: 13, as: UInt64.self)
        place.storeBytes(of: (third << 8 | dash).littleEndian, toByteOffset: 18, as: UInt64.self)
        place.storeBytes(of: ((third >> 32) << 8 | dash).littleEndian, toByteOffset: 23, as: UInt64.self)
        place.storeBytes(of: fourth.littleEndian, toByteOffset: 28, as: UInt64.self)
    }

    /// The eight digits of the lower half of `value`, the first in the lowest bits, all at once: a digit to each octet,
    /// then to its letter.
    @inline(__always)
    private static func hexDigits(_ value: UInt64) -> UInt64 {
        var spread = value & 0xffff_ffff
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff
        spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f
        // 1 in each byte that is above nine.
        let letters = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return (spread &+ 0x3030_3030_3030_3030 &+ letters &* 39).byteSwapped
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
