import Glibc

/// Bytes that show loss, doubling and reordering: pseudo-random, with a period no buffer size divides.
enum Pattern {
    private static let period = 1_048_583
    private static let block: [UInt8] = {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        var words: [UInt64] = []
        words.reserveCapacity(period / 8 + 1)
        for _ in 0...(period / 8) {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            words.append(state)
        }
        return words.withUnsafeBytes { Array($0.prefix(period)) }
    }()

    static func bytes(_ count: Int, from offset: Int = 0) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        while result.count < count {
            let at = (offset + result.count) % period
            result += block[at..<min(period, at + count - result.count)]
        }
        return result
    }

    /// Whether `bytes` are what stands at `offset` of the pattern.
    static func matches(_ bytes: [UInt8], at offset: Int = 0) -> Bool {
        bytes.withUnsafeBytes { got in
            block.withUnsafeBytes { wanted in
                var done = 0
                while done < got.count {
                    let at = (offset + done) % period
                    let count = min(period - at, got.count - done)
                    guard let a = got.baseAddress, let b = wanted.baseAddress, memcmp(a + done, b + at, count) == 0
                    else { return false }
                    done += count
                }
                return true
            }
        }
    }
}
