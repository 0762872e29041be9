import NetAddress
import TestSupport
import Testing

/// Addresses from and to bytes are the same as from and to strings.
@Suite struct IPAddressBytesTests {
    private func read(_ text: [UInt8]) -> IPAddress? { text.withUnsafeBytes { IPAddress(bytes: $0) } }

    private func written(_ address: IPAddress) -> String {
        withUnsafeTemporaryAllocation(byteCount: IPAddress.longestText, alignment: 1) { space in
            guard let base = space.baseAddress else { return "" }
            let count = address.write(to: base)
            return count <= space.count ? String(decoding: space[..<count], as: UTF8.self) : "too long"
        }
    }

    @Test(arguments: [
        "0.0.0.0", "255.255.255.255", "192.0.2.7", "10.20.30.40", "::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7:8",
        "1:0:0:2::3", "fe80::1:0:0:1", "1:2:3:4:5:6:0:8", "0:0:1::", "64:ff9b::c000:207",
    ])
    func thereAndBack(text: String) throws {
        let address = try #require(read(Array(text.utf8)), "\(text)")
        #expect(written(address) == address.description)
        #expect(address == IPAddress(text))
    }

    @Test(arguments: [
        "", ".", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1..2.3", "1.2.3.4 ", "a.b.c.d", ":", ":::", "1:",
        ":1", "1::2::3", "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "g::", "::1.2.3",
        "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "[::1]", "fe80::1%eth0", "+1::", "::-1",
    ])
    func refused(text: String) { #expect(read(Array(text.utf8)) == nil, "\(text)") }

    @Test(arguments: 0..<20) func asStringsDo(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var last: [UInt8] = []
        for _ in 0..<500 {
            // Many zero groups, so that they are shortened.
            let mask = (0..<8).reduce(UInt64(0)) { sum, _ in sum << 8 | (random.once(in: 2) ? 0xff : 0) }
            let address =
                random.once(in: 3)
                ? IPAddress(v4: UInt32(truncatingIfNeeded: random.next()))
                : IPAddress(high: random.next() & mask, low: random.next() & ~mask)
            #expect(written(address) == address.description)
            let text = Array(address.description.utf8)
            #expect(read(text) == address, "\(address)")
            let damaged = random.mutate(text, crossedWith: last, interesting: Array("::..019afg[]% ".utf8))
            guard damaged.allSatisfy({ $0 < 128 }) else { continue }
            #expect(read(damaged) == IPAddress(String(decoding: damaged, as: UTF8.self)), "\(damaged)")
            last = text
        }
    }
}
