import Testing

@testable import Reactor

@Suite struct BufferPoolTests {
    @Test func theLimitRefuses() {
        let pool = BufferPool(limitBytes: BufferPool.largeCapacity + 2 * BufferPool.smallCapacity)
        let large = pool.leaseLarge()!
        let small = [pool.leaseSmall()!, pool.leaseSmall()!]
        #expect(large.capacity == BufferPool.largeCapacity && small[0].capacity == BufferPool.smallCapacity)
        #expect(pool.leaseSmall() == nil && pool.leaseLarge() == nil)
        #expect(pool.refusedLeases == 2)
        pool.giveBack(small[0])
        #expect(pool.leaseLarge() == nil)
        let again = pool.leaseSmall()!
        #expect(again.base == small[0].base, "kept for reuse")
        for buffer in [large, small[1], again] { pool.giveBack(buffer) }
        #expect(pool.leasedBytes == 0)
    }

    @Test func manyComeAndGo() {
        let pool = BufferPool(limitBytes: 1 << 30)
        for _ in 0..<3 {
            let buffers = (0..<600).map { $0 % 10 == 0 ? pool.leaseLarge()! : pool.leaseSmall()! }
            #expect(Set(buffers.map(\.base)).count == buffers.count)
            for buffer in buffers { buffer.base.storeBytes(of: 7, toByteOffset: buffer.capacity - 1, as: UInt8.self) }
            buffers.forEach(pool.giveBack)
            #expect(pool.leasedBytes == 0)
        }
    }

    @Test func nothingFitsIntoNothing() {
        for limit in [0, -1, BufferPool.smallCapacity - 1] {
            #expect(BufferPool(limitBytes: limit).leaseSmall() == nil)
        }
    }
}

@Suite struct LogTextTests {
    @Test(arguments: [
        ("", "\"\""), ("plain é 日本 🎉", "\"plain é 日本 🎉\""), ("a\"b\\c", "\"a\\\"b\\\\c\""),
        ("\n\r\t", "\"\\n\\r\\t\""), ("\r\n", "\"\\r\\n\""),
        ("\u{0}\u{1}\u{1f}\u{7f}", "\"\\u0000\\u0001\\u001f\u{7f}\""),
        ("e\u{301}\"\u{301}", "\"e\u{301}\\\"\u{301}\""), ("\u{2028}/", "\"\u{2028}/\""),
    ])
    func json(text: String, wanted: String) {
        var line = ""
        JSONText.append(text, to: &line)
        #expect(Array(line.utf8) == Array(wanted.utf8))
    }

    @Test func bytesThatAreNoTextStayValid() {
        var line = ""
        JSONText.append(String(decoding: [0x61, 0xff, 0x0a, 0xc3], as: UTF8.self), to: &line)
        #expect(line == "\"a\u{fffd}\\n\u{fffd}\"")
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999Z"),
            (4_102_444_800_001_000_000, "2100-01-01T00:00:00.001Z"), (.max, "2554-07-21T23:34:33.709Z"),
        ] as [(UInt64, String)])
    func times(nanoseconds: UInt64, text: String) { #expect(RFC3339.text(nanoseconds) == text) }

    @Test func levels() {
        #expect(Log.Level.allCases.map { Log.Level("\($0)") } == Log.Level.allCases)
        #expect(Log.Level("INFO") == nil && Log.Level("") == nil)
    }
}
