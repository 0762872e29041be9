/// SHA-1 (RFC 3174) of short texts. It protects nothing here: the WebSocket handshake uses it to show that both sides
/// mean the same protocol.
enum SHA1 {
    /// Five words, the most significant first.
    struct Digest: Equatable, Sendable {
        var words: (UInt32, UInt32, UInt32, UInt32, UInt32) = (
            0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0
        )

        static func == (one: Digest, other: Digest) -> Bool { one.words == other.words }

        /// The words as they lie in memory where the most significant octet comes first.
        var bigEndian: (UInt32, UInt32, UInt32, UInt32, UInt32) {
            (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian, words.4.bigEndian)
        }
    }

    private static let blockBytes = 64

    static func digest(_ text: UnsafeRawBufferPointer) -> Digest {
        var digest = Digest()
        var position = 0
        while text.count - position >= blockBytes {
            add(UnsafeRawBufferPointer(rebasing: text[position..<position + blockBytes]), to: &digest)
            position += blockBytes
        }
        // The rest, a single bit, and the length in bits at the end of a block.
        let rest = UnsafeRawBufferPointer(rebasing: text[position...])
        let count = rest.count + 9 <= blockBytes ? blockBytes : 2 * blockBytes
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 8) { tail in
            tail.initializeMemory(as: UInt8.self, repeating: 0)
            tail.copyBytes(from: rest)
            tail[rest.count] = 0x80
            tail.storeBytes(of: (UInt64(text.count) << 3).bigEndian, toByteOffset: count - 8, as: UInt64.self)
            for start in stride(from: 0, to: count, by: blockBytes) {
                add(UnsafeRawBufferPointer(rebasing: tail[start..<start + blockBytes]), to: &digest)
            }
        }
        return digest
    }

    private static func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 { word << count | word >> (32 - count) }

    private static func add(_ block: UnsafeRawBufferPointer, to digest: inout Digest) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { schedule in
            for index in 0..<16 {
                let word = block.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
                schedule.initializeElement(at: index, to: UInt32(bigEndian: word))
            }
            for index in 16..<80 {
                let mixed = schedule[index - 3] ^ schedule[index - 8] ^ schedule[index - 14] ^ schedule[index - 16]
                schedule.initializeElement(at: index, to: rotated(mixed, 1))
            }
            var (a, b, c, d, e) = digest.words
            for index in 0..<80 {
                let (choice, constant): (UInt32, UInt32) =
                    switch index / 20 {
                    case 0: (b & c | ~b & d, 0x5a82_7999)
                    case 1: (b ^ c ^ d, 0x6ed9_eba1)
                    case 2: (b & c | b & d | c & d, 0x8f1b_bcdc)
                    default: (b ^ c ^ d, 0xca62_c1d6)
                    }
                let next = rotated(a, 5) &+ choice &+ e &+ schedule[index] &+ constant
                (a, b, c, d, e) = (next, a, rotated(b, 30), c, d)
            }
            digest.words.0 &+= a
            digest.words.1 &+= b
            digest.words.2 &+= c
            digest.words.3 &+= d
            digest.words.4 &+= e
        }
    }
}
