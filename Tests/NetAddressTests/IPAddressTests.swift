import NetAddress
import TestSupport
import Testing

@Suite struct IPAddressTests {
    @Test(
        arguments: [
            ("0.0.0.0", 0), ("127.0.0.1", 0x7f00_0001), ("255.255.255.255", 0xffff_ffff), ("1.2.3.4", 0x0102_0304),
            ("192.0.2.200", 0xc000_02c8),
        ] as [(String, UInt32)])
    func readsIPv4(text: String, bits: UInt32) {
        let address = IPAddress(text)
        #expect(address == IPAddress(v4: bits))
        #expect(address?.isV4 == true)
        #expect(address?.v4Bits == bits)
        #expect(address?.description == text)
    }

    @Test(arguments: [
        "", ".", "1", "1.2.3", "1.2.3.", ".1.2.3", "1.2.3.4.", "1.2.3.4.5", "1..2.3", "256.1.1.1", "1.2.3.999",
        "01.2.3.4",
        "1.2.3.00", "+1.2.3.4", "-1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.0x4", "a.b.c.d", "1.2.3.4/8", "1.2.3.٤",
        "99999999999999999999.1.1.1",
    ])
    func refusesBadIPv4(text: String) { #expect(IPAddress(text) == nil) }

    /// (text, high half, low half, as RFC 5952 writes it)
    @Test(
        arguments: [
            ("::", 0, 0, "::"), ("::1", 0, 1, "::1"), ("1::", 0x0001_0000_0000_0000, 0, "1::"),
            ("2001:DB8::1", 0x2001_0db8_0000_0000, 1, "2001:db8::1"),
            ("2001:db8:0:0:1:0:0:1", 0x2001_0db8_0000_0000, 0x0001_0000_0000_0001, "2001:db8::1:0:0:1"),
            ("1:0:0:2:0:0:0:3", 0x0001_0000_0000_0002, 3, "1:0:0:2::3"),
            ("1:0:3:4:5:6:7:8", 0x0001_0000_0003_0004, 0x0005_0006_0007_0008, "1:0:3:4:5:6:7:8"),
            ("1:2:3:4:5:6:7::", 0x0001_0002_0003_0004, 0x0005_0006_0007_0000, "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", 0x0000_0002_0003_0004, 0x0005_0006_0007_0008, "0:2:3:4:5:6:7:8"),
            ("64:ff9b::1.2.3.4", 0x0064_ff9b_0000_0000, 0x0000_0000_0102_0304, "64:ff9b::102:304"),
            ("0:0:0:0:0:0:13.1.68.3", 0, 0x0d01_4403, "::d01:4403"),
            ("fe80:0:0:0:0:0:0:0", 0xfe80_0000_0000_0000, 0, "fe80::"),
        ] as [(String, UInt64, UInt64, String)])
    func readsIPv6(text: String, high: UInt64, low: UInt64, canonical: String) {
        let address = IPAddress(text)
        #expect(address == IPAddress(high: high, low: low))
        #expect(address?.isV4 == false)
        #expect(address?.description == canonical)
    }

    @Test(arguments: [
        ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1::", "1::2::3",
        ":1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:", "12345::", "g::", "::+1", "::-0", "::-1", "::1%eth0", "[::1]", "::1.2.3", "::1.2.3.4:5",
        "1.2.3.4::", "1.2.3.4::5", "1:1.2.3.4::", "::1.2.3.256", "1:2:3:4:5:6:7:1.2.3.4", " ::1", "::1 ", "::1/64",
        "::ffff:01.2.3.4", "1.2.3.4:5:6:7:8:9:a",
    ])
    func refusesBadIPv6(text: String) { #expect(IPAddress(text) == nil) }

    @Test(arguments: ["::ffff:1.2.3.4", "::FFFF:102:304", "0:0:0:0:0:ffff:1.2.3.4"])
    func mappedIsIPv4(text: String) {
        #expect(IPAddress(text) == IPAddress("1.2.3.4"))
        #expect(IPAddress(text)?.description == "1.2.3.4")
    }

    @Test func unspecifiedOfBothFamilies() {
        #expect(IPAddress.anyV4.isUnspecified && IPAddress.anyV6.isUnspecified)
        #expect(!IPAddress.loopbackV4.isUnspecified)
        #expect(IPAddress.anyV4 != IPAddress.anyV6)
        #expect(!IPAddress("::1")!.isUnspecified)
    }

    @Test func orderIsThatOfTheBytes() {
        let sorted = ["::", "::1", "9.0.0.0", "10.0.0.1", "10.0.0.2", "2001:db8::", "fe80::1"].map { IPAddress($0)! }
        #expect(sorted.shuffled().sorted() == sorted)
    }

    /// Every address reads back from its own text, whichever groups are zero.
    @Test func textRoundTrip() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            func half() -> UInt64 {
                (0..<4).reduce(0) { sum, _ in
                    sum << 16 | (random.once(in: 2) ? 0 : random.next() >> UInt64(48 + random.below(16)))
                }
            }
            let address =
                random.once(in: 4)
                ? IPAddress(v4: UInt32(truncatingIfNeeded: random.next())) : IPAddress(high: half(), low: half())
            #expect(IPAddress(address.description) == address)
            #expect(IPAddress(address.description.uppercased()) == address)
        }
    }

    @Test func damagedTextNeverTraps() {
        var random = SeededRandom(seed: 2)
        let corpus = [
            "::1", "1.2.3.4", "::ffff:1.2.3.4", "2001:db8:1:2:3:4:5:6", "[::1]:80", "10.0.0.0/8", "fe80::/10",
        ]
        let marks = Array(":.[]/%0123456789abcdefxz+-é ".utf8)
        for _ in 0..<50_000 {
            let input = Array(random.element(of: corpus).utf8)
            let damaged = random.mutate(input, crossedWith: Array(random.element(of: corpus).utf8), interesting: marks)
            let text = String(decoding: damaged, as: UTF8.self)
            if let address = IPAddress(text) { #expect(IPAddress(address.description) == address) }
            if let address = SocketAddress(text) { #expect(SocketAddress(address.description) == address) }
            if let network = IPNetwork(text) {
                #expect(IPNetwork(network.description) == network)
                #expect(network.contains(network.base))
            }
        }
    }
}
