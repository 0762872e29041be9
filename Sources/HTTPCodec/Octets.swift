/// Classes of octets in HTTP/1.1, as bit sets over ASCII: a test is a shift, not a table load.
enum Octets {
    static let cr = UInt8(ascii: "\r")
    static let lf = UInt8(ascii: "\n")
    static let space = UInt8(ascii: " ")
    static let tab = UInt8(ascii: "\t")
    static let colon = UInt8(ascii: ":")
    static let comma = UInt8(ascii: ",")

    /// RFC 9110 section 5.6.2: `! # $ % & ' * + - . ^ _ ` | ~`, digits, letters.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        let set: UInt64 = byte < 64 ? 0x03ff_6cfa_0000_0000 : 0x57ff_ffff_c7ff_fffe
        return byte < 128 && set >> UInt64(byte & 63) & 1 != 0
    }

    /// Visible ASCII without `#`: what a request target may hold.
    @inline(__always)
    static func isTarget(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "#") }

    @inline(__always)
    static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 65 < 26 ? byte | 0x20 : byte }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 48 < 10 }

    /// The value of a hexadecimal digit; `nil` for any other octet.
    @inline(__always)
    static func hexValue(_ byte: UInt8) -> UInt8? {
        if byte &- 48 < 10 { return byte &- 48 }
        let letter = (byte | 0x20) &- 97
        return letter < 6 ? letter + 10 : nil
    }

    /// Whether a field value holds only what RFC 9110 section 5.5 allows: no control octet but tab.
    @inline(__always)
    static func isFieldValue(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var index = 0
        // Eight at a time: a control octet or DEL sets a high bit; only then look closer.
        while index + 8 <= count {
            let word = UnsafeRawPointer(bytes + index).loadUnaligned(as: UInt64.self)
            let below = (word &- 0x2020_2020_2020_2020) & ~word
            let deletes = word ^ 0x7f7f_7f7f_7f7f_7f7f
            let isDelete = (deletes &- 0x0101_0101_0101_0101) & ~deletes
            if (below | isDelete) & 0x8080_8080_8080_8080 != 0 {
                for offset in index..<index + 8 where !isValueOctet(bytes[offset]) { return false }
            }
            index += 8
        }
        while index < count {
            if !isValueOctet(bytes[index]) { return false }
            index += 1
        }
        return true
    }

    @inline(__always)
    private static func isValueOctet(_ byte: UInt8) -> Bool { byte >= 0x20 ? byte != 0x7f : byte == tab }

    /// Whether `bytes` spells `name` (given in lower case), whatever the case.
    @inline(__always)
    static func equal(_ bytes: UnsafePointer<UInt8>, _ count: Int, _ name: StaticString) -> Bool {
        guard count == name.utf8CodeUnitCount else { return false }
        let other = name.utf8Start
        for index in 0..<count where lowercased(bytes[index]) != other[index] { return false }
        return true
    }
}
