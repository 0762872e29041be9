/// Host names eight octets at a time.
enum NameWords {
    /// Writes `name` in lower case to `lower` and returns a hash of it.
    ///
    /// - Parameter count: at least 1.
    @inline(__always)
    static func lower(_ name: UnsafeRawPointer, _ count: Int, to lower: UnsafeMutableRawPointer) -> UInt64 {
        var hash = mixed(0xcbf2_9ce4_8422_2325, UInt64(truncatingIfNeeded: count))
        guard count >= 8 else {
            var word: UInt64 = 0
            for index in 0..<count {
                let byte = lowercased(UInt64(name.load(fromByteOffset: index, as: UInt8.self)))
                lower.storeBytes(of: UInt8(truncatingIfNeeded: byte), toByteOffset: index, as: UInt8.self)
                word = word << 8 | byte
            }
            return finished(mixed(hash, word))
        }
        var index = 0
        while true {
            let word = lowercased(name.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            lower.storeBytes(of: word, toByteOffset: index, as: UInt64.self)
            hash = mixed(hash, word)
            if index + 8 == count { return finished(hash) }
            // The last word overlaps the one before it.
            index = min(index + 8, count - 8)
        }
    }

    @inline(__always)
    static func equal(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count >= 8 else {
            for index in 0..<count
            where a.load(fromByteOffset: index, as: UInt8.self) != b.load(fromByteOffset: index, as: UInt8.self) {
                return false
            }
            return true
        }
        var index = 0
        while true {
            let (left, right) = (
                a.loadUnaligned(fromByteOffset: index, as: UInt64.self),
                b.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            )
            if left != right { return false }
            if index + 8 == count { return true }
            index = min(index + 8, count - 8)
        }
    }

    /// Sets the bit of lower case in every octet from `A` to `Z`: of octets below 128 adding what lacks to 128 sets the
    /// high bit, and no sum reaches into the next octet.
    @inline(__always)
    private static func lowercased(_ word: UInt64) -> UInt64 {
        let high: UInt64 = 0x8080_8080_8080_8080
        let low = word & ~high
        let isCapital = (low &+ 0x3f3f_3f3f_3f3f_3f3f) & ~(low &+ 0x2525_2525_2525_2525) & ~word & high
        return word | isCapital >> 2
    }

    @inline(__always)
    private static func mixed(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let product = (hash ^ word).multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
        return product.high ^ product.low
    }

    @inline(__always)
    private static func finished(_ hash: UInt64) -> UInt64 { hash ^ hash >> 32 }
}
