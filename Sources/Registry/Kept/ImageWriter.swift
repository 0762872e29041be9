import NetAddress

/// Values one after the other: numbers in groups of seven bits, texts behind their length.
struct ImageWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ byte: UInt8) { bytes.append(byte) }

    mutating func put(_ flag: Bool) { bytes.append(flag ? 1 : 0) }

    mutating func put(number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// A number that is never negative; one that is becomes 0.
    mutating func put(_ number: Int) { put(number: UInt64(clamping: number)) }

    mutating func put(_ port: UInt16) { put(number: UInt64(port)) }

    /// Eight bytes, the lowest first.
    mutating func put(fixed value: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
    }

    /// Puts `value` over the eight bytes from `offset` on.
    mutating func replace(at offset: Int, fixed value: UInt64) {
        for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
    }

    mutating func put(raw octets: [UInt8]) { bytes += octets }

    mutating func put(_ number: Double) { put(fixed: number.bitPattern) }

    mutating func put(_ address: IPAddress) {
        put(fixed: address.high)
        put(fixed: address.low)
    }

    mutating func put(_ text: String) {
        put(text.utf8.count)
        bytes += text.utf8
    }

    mutating func put<T>(_ value: T?, _ write: (inout ImageWriter, T) -> Void) {
        put(value != nil)
        if let value { write(&self, value) }
    }

    mutating func put<T>(all values: some Collection<T>, _ write: (inout ImageWriter, T) -> Void) {
        put(values.count)
        for value in values { write(&self, value) }
    }
}
