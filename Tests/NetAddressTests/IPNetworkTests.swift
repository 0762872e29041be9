import NetAddress
import TestSupport
import Testing

@Suite struct IPNetworkTests {
    @Test(arguments: [
        "0.0.0.0/0", "127.96.0.0/16", "10.0.0.1/32", "::/0", "fe80::/10", "2001:db8::/64", "::1/128",
        "2001:db8:8000::/33",
    ])
    func roundTrip(text: String) { #expect(IPNetwork(text)?.description == text) }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ",
        "10.0.0.1/8",
        "10.0.0.0/8/8", "::/129", "::1/127", "2001:db8::1/64", "[::]/0", "10.0.0.0/999999",
    ])
    func refuses(text: String) { #expect(IPNetwork(text) == nil) }

    @Test func containsWhatSharesThePrefix() throws {
        let range = try #require(IPNetwork("127.96.0.0/16"))
        #expect(range.hostBits == 16)
        for inside in ["127.96.0.0", "127.96.0.1", "127.96.255.255"] { #expect(range.contains(IPAddress(inside)!)) }
        for outside in ["127.95.255.255", "127.97.0.0", "::1", "::7f60:0"] {
            #expect(!range.contains(IPAddress(outside)!))
        }
        #expect(!IPNetwork("::/0")!.contains(IPAddress("1.2.3.4")!))
        #expect(IPNetwork("0.0.0.0/0")!.contains(IPAddress("255.255.255.255")!))
        #expect(IPNetwork("2001:db8:8000::/33")!.contains(IPAddress("2001:db8:ffff::1")!))
        #expect(!IPNetwork("2001:db8:8000::/33")!.contains(IPAddress("2001:db8:7fff::1")!))
    }

    @Test func addressesStayInTheRange() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<5_000 {
            let isV4 = random.once(in: 2)
            let length = random.below(isV4 ? 33 : 129)
            let free = UInt64((isV4 ? 32 : 128) - length)
            let low = random.next() & (free >= 64 ? 0 : .max << free)
            let high = random.next() & (free >= 128 ? 0 : free > 64 ? .max << (free - 64) : .max)
            let base = isV4 ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : IPAddress(high: high, low: low)
            guard base.isV4 == isV4, let range = IPNetwork("\(base)/\(length)") else {
                Issue.record("\(base)/\(length) was not read")
                continue
            }
            let offset = random.once(in: 2) ? random.next() : UInt64(random.below(300))
            let address = range.address(at: offset)
            #expect(range.contains(address), "\(range) at \(offset)")
            #expect(range.address(at: 0) == base)
            if free < 64 { #expect(range.address(at: offset &+ 1 << free) == address) }
        }
    }
}
