// Addresses from and to ASCII in memory, without a String: for the path of a request.

extension IPAddress {
    /// The longest text that `write` makes.
    public static let longestText = 39

    /// Reads the same texts as the initialiser that takes a string.
    public init?(bytes: UnsafeRawBufferPointer) {
        if bytes.contains(UInt8(ascii: ":")) {
            guard let parsed = V6Reader(bytes).read() else { return nil }
            self = parsed
        } else {
            guard let bits = Self.v4(bytes[...]) else { return nil }
            self.init(v4: bits)
        }
    }

    fileprivate static func v4(_ bytes: Slice<UnsafeRawBufferPointer>) -> UInt32? {
        var bits: UInt32 = 0
        var octet: UInt32 = 0
        var digits = 0
        var dots = 0
        for byte in bytes {
            if byte == UInt8(ascii: ".") {
                guard digits > 0, dots < 3 else { return nil }
                bits = bits << 8 | octet
                (octet, digits, dots) = (0, 0, dots + 1)
            } else {
                // A leading zero would be octal to some readers.
                guard byte &- 48 < 10, digits == 0 || octet > 0 else { return nil }
                octet = octet * 10 + UInt32(byte &- 48)
                digits += 1
                guard octet <= 255 else { return nil }
            }
        }
        return digits > 0 && dots == 3 ? bits << 8 | octet : nil
    }

    /// Writes the text of `description` and returns its length; there must be room for `longestText` bytes.
    public func write(to base: UnsafeMutableRawPointer) -> Int {
        var writer = TextWriter(base: base)
        if isV4 { writer.appendV4(v4Bits) } else { writer.appendV6(self) }
        return writer.count
    }

    fileprivate func group(_ index: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)))
    }
}

/// RFC 4291 section 2.2 text, read once from the left.
private struct V6Reader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var high: UInt64 = 0
    private var low: UInt64 = 0
    private var groups = 0
    /// Groups before `::`; -1 without one.
    private var gap = -1

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    consuming func read() -> IPAddress? {
        if startsWithGap { (gap, position) = (0, 2) }
        while position < bytes.count {
            guard readGroup() else { return nil }
            if position == bytes.count { break }
            guard bytes[position] == UInt8(ascii: ":"), position + 1 < bytes.count else { return nil }
            if startsWithGap {
                guard gap < 0 else { return nil }
                gap = groups
                position += 2
            } else {
                position += 1
            }
        }
        return address()
    }

    private var startsWithGap: Bool {
        position + 1 < bytes.count && bytes[position] == UInt8(ascii: ":")
            && bytes[position + 1] == UInt8(ascii: ":")
    }

    private mutating func readGroup() -> Bool {
        var end = position
        var value: UInt64 = 0
        while end < bytes.count, end - position < 5, let digit = Self.hex(bytes[end]) {
            value = value << 4 | digit
            end += 1
        }
        if end < bytes.count, bytes[end] == UInt8(ascii: ".") { return readDotted() }
        guard (1...4).contains(end - position), groups < 8 else { return false }
        push(value)
        position = end
        return true
    }

    /// A dotted quad is the last 32 bits.
    private mutating func readDotted() -> Bool {
        guard groups <= 6, let bits = IPAddress.v4(bytes[position...]) else { return false }
        push(UInt64(bits >> 16))
        push(UInt64(bits & 0xffff))
        position = bytes.count
        return true
    }

    private mutating func push(_ group: UInt64) {
        high = high << 16 | low >> 48
        low = low << 16 | group
        groups += 1
    }

    private func address() -> IPAddress? {
        if gap < 0 { return groups == 8 ? IPAddress(high: high, low: low) : nil }
        let missing = 8 - groups
        guard missing >= 1 else { return nil }
        // What stands behind the gap is right where it is; what stands before it moves up by the missing groups.
        let tail = groups - gap
        let (tailHigh, tailLow) = Self.lowest(tail, high, low)
        var (headHigh, headLow) = (high ^ tailHigh, low ^ tailLow)
        for _ in 0..<missing {
            headHigh = headHigh << 16 | headLow >> 48
            headLow <<= 16
        }
        return IPAddress(high: headHigh | tailHigh, low: headLow | tailLow)
    }

    private static func lowest(_ groups: Int, _ high: UInt64, _ low: UInt64) -> (UInt64, UInt64) {
        if groups >= 8 { return (high, low) }
        if groups >= 4 { return (high & (1 << UInt64((groups - 4) * 16) &- 1), low) }
        return (0, low & (1 << UInt64(groups * 16) &- 1))
    }

    private static func hex(_ byte: UInt8) -> UInt64? {
        if byte &- 48 < 10 { return UInt64(byte &- 48) }
        let letter = (byte | 0x20) &- 97
        return letter < 6 ? UInt64(letter) + 10 : nil
    }
}

private struct TextWriter {
    let base: UnsafeMutableRawPointer
    var count = 0

    init(base: UnsafeMutableRawPointer) { self.base = base }

    mutating func append(_ byte: UInt8) {
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    mutating func appendV4(_ bits: UInt32) {
        append(octet: bits >> 24)
        append(UInt8(ascii: "."))
        append(octet: bits >> 16 & 0xff)
        append(UInt8(ascii: "."))
        append(octet: bits >> 8 & 0xff)
        append(UInt8(ascii: "."))
        append(octet: bits & 0xff)
    }

    private mutating func append(octet: UInt32) {
        if octet >= 100 { append(UInt8(truncatingIfNeeded: octet / 100) + 48) }
        if octet >= 10 { append(UInt8(truncatingIfNeeded: octet / 10 % 10) + 48) }
        append(UInt8(truncatingIfNeeded: octet % 10) + 48)
    }

    /// RFC 5952: the longest run of two or more zero groups shortened, the first of equals.
    mutating func appendV6(_ address: IPAddress) {
        var best = 8..<8
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, address.group(end) == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        var index = 0
        while index < 8 {
            if index == best.lowerBound {
                append(UInt8(ascii: ":"))
                append(UInt8(ascii: ":"))
                index = best.upperBound
                continue
            }
            if index > 0, index != best.upperBound { append(UInt8(ascii: ":")) }
            appendHex(address.group(index))
            index += 1
        }
    }

    private mutating func appendHex(_ group: UInt16) {
        var isBegun = false
        for shift in stride(from: UInt16(12), through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: group >> shift) & 15
            if !isBegun, digit == 0, shift > 0 { continue }
            isBegun = true
            append(digit < 10 ? digit + 48 : digit + 87)
        }
    }
}
