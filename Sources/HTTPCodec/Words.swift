/// Eight octets at a time in one machine word, the first in the lowest bits.
///
/// Each test gives a word with the high bit of an octet set where the octet is meant, and no other bit.
enum Words {
    static let highBits: UInt64 = 0x8080_8080_8080_8080

    @inline(__always)
    static func load(_ bytes: UnsafePointer<UInt8>) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(bytes).loadUnaligned(as: UInt64.self))
    }

    /// The same octet in all eight places.
    @inline(__always)
    private static func all(_ octet: UInt8) -> UInt64 { 0x0101_0101_0101_0101 &* UInt64(octet) }

    /// Octets from `first` to `last`, both below 128, of a word whose octets are all below 128: adding what lacks to
    /// 128 sets the high bit, and no sum reaches into the next octet.
    @inline(__always)
    private static func within(_ word: UInt64, _ first: UInt8, _ last: UInt8) -> UInt64 {
        (word &+ all(128 - first)) & ~(word &+ all(127 - last)) & highBits
    }

    /// Everything but letters, digits, `-` and `.`: what names of fields and hosts are made of but for rare exceptions.
    @inline(__always)
    static func notOfNames(_ word: UInt64) -> UInt64 {
        let low = word & ~highBits
        let letters = within(low | all(0x20), UInt8(ascii: "a"), UInt8(ascii: "z"))
        let digits = within(low, UInt8(ascii: "0"), UInt8(ascii: "9"))
        let marks = within(low, UInt8(ascii: "-"), UInt8(ascii: "."))
        return ~((letters | digits | marks) & ~word) & highBits
    }

    /// Everything but visible ASCII, and `#`: what a request target may not hold.
    @inline(__always)
    static func notOfTargets(_ word: UInt64) -> UInt64 {
        let low = word & ~highBits
        let visible = within(low, 0x21, 0x7e) & ~within(low, UInt8(ascii: "#"), UInt8(ascii: "#"))
        return ~(visible & ~word) & highBits
    }

    /// Control octets and DEL. Only the first of them is exact: what is subtracted may be borrowed from the octets
    /// behind it.
    @inline(__always)
    static func controls(_ word: UInt64) -> UInt64 {
        let below = (word &- all(0x20)) & ~word
        let deletes = word ^ all(0x7f)
        let isDelete = (deletes &- all(1)) & ~deletes
        return (below | isDelete) & highBits
    }

    /// Whether the words differ in more than the case of letters; `name` is in lower case.
    @inline(__always)
    static func differ(_ word: UInt64, from name: UInt64) -> Bool {
        // The bit of case is looked through only where the name has a letter.
        let caseBits = within(name & ~highBits, UInt8(ascii: "a"), UInt8(ascii: "z")) >> 2
        return (word ^ name) & ~caseBits != 0
    }
}

extension Octets {
    /// Where the letters, digits, `-` and `.` that begin at `start` end.
    @inline(__always)
    static func endOfName(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        first(base, start, end, of: { Words.notOfNames($0) }) { byte in
            !isDigit(byte) && (byte | 0x20) &- 97 >= 26 && byte != UInt8(ascii: "-") && byte != UInt8(ascii: ".")
        }
    }

    /// Where the octets that a request target may hold, from `start` on, end.
    @inline(__always)
    static func endOfTarget(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        first(base, start, end, of: { Words.notOfTargets($0) }, or: { !isTarget($0) })
    }

    /// Where the first control octet or DEL from `start` on is.
    @inline(__always)
    static func endOfText(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        first(base, start, end, of: { Words.controls($0) }, or: { $0 < 0x20 || $0 == 0x7f })
    }

    /// Index of the first octet of a kind; `end` where there is none.
    ///
    /// - Parameters:
    ///   - inWord: marks the octets of that kind in a word.
    ///   - isOne: tells it of one octet, for those that do not fill a word.
    @inline(__always)
    private static func first(
        _ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int, of inWord: (UInt64) -> UInt64, or isOne: (UInt8) -> Bool
    ) -> Int {
        var position = start
        while position + 8 <= end {
            let marks = inWord(Words.load(base + position))
            if marks != 0 { return position + marks.trailingZeroBitCount >> 3 }
            position += 8
        }
        while position < end, !isOne(base[position]) { position += 1 }
        return position
    }

    /// Whether a field value holds only what RFC 9110 section 5.5 allows: no control octet but tab.
    static func isFieldValue(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var position = endOfText(bytes, from: 0, to: count)
        while position < count, bytes[position] == tab { position = endOfText(bytes, from: position + 1, to: count) }
        return position == count
    }

    /// Whether `bytes` spells `name` (given in lower case), whatever the case.
    @inline(__always)
    static func equal(_ bytes: UnsafePointer<UInt8>, _ count: Int, _ name: StaticString) -> Bool {
        guard count == name.utf8CodeUnitCount else { return false }
        let other = name.utf8Start
        guard count >= 8 else { return Octets.equalShort(bytes, other, count) }
        var index = 0
        while true {
            if Words.differ(Words.load(bytes + index), from: Words.load(other + index)) { return false }
            if index + 8 == count { return true }
            index = min(index + 8, count - 8)
        }
    }

    @inline(__always)
    private static func equalShort(
        _ bytes: UnsafePointer<UInt8>, _ name: UnsafePointer<UInt8>, _ count: Int
    ) -> Bool {
        for index in 0..<count where lowercased(bytes[index]) != name[index] { return false }
        return true
    }
}
