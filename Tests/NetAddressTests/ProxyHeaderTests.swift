import NetAddress
import TestSupport
import Testing

@Suite struct ProxyHeaderTests {
    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10] + Array("QUIT\n".utf8)

    private static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? body.count
        return signature + [command, family, UInt8(length >> 8), UInt8(length & 255)] + body
    }

    private static let v4Body: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0, 80]
    private static let v4 = ProxyHeader.proxied(
        source: SocketAddress("192.0.2.1:12345")!, destination: SocketAddress("198.51.100.2:80")!)
    private static let v6 = ProxyHeader.proxied(
        source: SocketAddress("[2001:db8::1]:65535")!, destination: SocketAddress("[2001:db8::2]:443")!)

    private func parse(_ bytes: [UInt8]) -> ProxyHeader.Parsed { bytes.withUnsafeBytes { ProxyHeader.parse($0) } }

    @Test(arguments: [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 12345 80\r\n", v4),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 65535 443\r\n", v6),
        ("PROXY UNKNOWN\r\n", .local),
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", .local),
    ])
    func textForms(text: String, header: ProxyHeader) {
        let bytes = Array(text.utf8)
        #expect(parse(bytes + Array("GET / HTTP/1.1\r\n".utf8)) == .header(header, length: bytes.count))
        for count in 0..<bytes.count { #expect(parse(Array(bytes[..<count])) == .incomplete) }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY \r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 12345\r\n", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 80 1\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.2 12345 80\r\n", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 80\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 80\r\n", "PROXY TCP4 192.0.2.1 198.51.100.2 080 80\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 80 80\r\n", "PROXY TCP4 ::1 ::1 80 80\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 80 80\r\n", "PROXY TCP5 192.0.2.1 198.51.100.2 80 80\r\n",
        "PROXY UNKNOWN\u{1}\r\n", "PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n",
    ])
    func noTextForms(text: String) { #expect(parse(Array(text.utf8)) == .malformed) }

    @Test func theLongestLine() {
        let longest = Array(("PROXY UNKNOWN" + String(repeating: " ", count: 92) + "\r\n").utf8)
        #expect(longest.count == ProxyHeader.longestText)
        #expect(parse(longest) == .header(.local, length: 107))
        #expect(parse(Array(repeating: 0x50, count: 1)) == .incomplete)
    }

    @Test(arguments: [
        (binary(0x21, 0x11, v4Body), v4),
        (binary(0x21, 0x11, v4Body + [3, 0, 4, 1, 2, 3, 4, 4, 0, 0]), v4),
        (binary(0x20, 0x00, []), .local), (binary(0x20, 0x11, v4Body), .local),
        (binary(0x20, 0x00, [9, 9]), .local), (binary(0x21, 0x00, []), .local),
        (binary(0x21, 0x31, [UInt8](repeating: 47, count: 216)), .local), (binary(0x21, 0x12, v4Body), .local),
        (binary(0x21, 0x11, v4Body + [5, 0x0f, 0xe1] + [UInt8](repeating: 1, count: 0xfe1)), v4),
    ])
    func binaryForms(bytes: [UInt8], header: ProxyHeader) {
        #expect(parse(bytes + [1, 2, 3]) == .header(header, length: bytes.count))
        for count in 0..<min(bytes.count, 300) { #expect(parse(Array(bytes[..<count])) == .incomplete) }
    }

    @Test(arguments: [
        binary(0x11, 0x11, v4Body), binary(0x22, 0x11, v4Body), binary(0x21, 0x41, v4Body), binary(0x21, 0x13, v4Body),
        binary(0x21, 0x11, Array(v4Body.dropLast())), binary(0x21, 0x21, v4Body), binary(0x21, 0x31, v4Body),
        binary(0x21, 0x11, v4Body + [3]), binary(0x21, 0x11, v4Body + [3, 0, 5, 1, 2, 3, 4]),
        binary(0x21, 0x11, v4Body, length: 4_081), binary(0x21, 0x11, v4Body, length: 65_535),
        [13, 10, 13, 10, 13, 10], [13, 13],
    ])
    func noBinaryForms(bytes: [UInt8]) { #expect(parse(bytes) == .malformed) }

    @Test(arguments: ProxyVersion.allCases, [v4, v6, .local])
    func whatIsWrittenIsRead(version: ProxyVersion, header: ProxyHeader) {
        let bytes = header.bytes(version)
        #expect(parse(bytes) == .header(header, length: bytes.count))
    }

    @Test func bytesOnTheWire() {
        #expect(Self.v4.bytes(.v2) == Self.binary(0x21, 0x11, Self.v4Body))
        #expect(Self.v4.bytes(.v1) == Array("PROXY TCP4 192.0.2.1 198.51.100.2 12345 80\r\n".utf8))
        #expect(ProxyHeader.local.bytes(.v1) == Array("PROXY UNKNOWN\r\n".utf8))
        #expect(ProxyHeader.local.bytes(.v2) == Self.binary(0x20, 0, []))
        let longest = String(repeating: "ffff:", count: 7) + "ffff"
        let widest = ProxyHeader.proxied(
            source: SocketAddress("[\(longest)]:65535")!, destination: SocketAddress("[\(longest)]:65535")!)
        #expect(widest.bytes(.v1).count <= ProxyHeader.longestWritten)
        #expect(widest.bytes(.v1).last == 10)
    }

    @Test func familiesDoNotMix() {
        let mixed = ProxyHeader.proxied(
            source: SocketAddress("192.0.2.1:1")!, destination: SocketAddress("[2001:db8::2]:443")!)
        for version in ProxyVersion.allCases {
            let read = ProxyHeader.proxied(
                source: SocketAddress("192.0.2.1:1")!, destination: SocketAddress("0.0.0.0:0")!)
            #expect(parse(mixed.bytes(version)) == .header(read, length: mixed.bytes(version).count))
        }
    }

    /// Nothing traps, a verdict stands whatever follows, and what is short of a header is not one.
    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func mutatedHeaders(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let corpus = [
            Self.v4.bytes(.v1), Self.v6.bytes(.v1), Self.v4.bytes(.v2), Self.v6.bytes(.v2),
            ProxyHeader.local.bytes(.v2),
            Self.binary(0x21, 0x11, Self.v4Body + [3, 0, 4, 1, 2, 3, 4]),
        ]
        for _ in 0..<5_000 {
            let input = random.mutate(
                random.element(of: corpus), crossedWith: random.element(of: corpus),
                interesting: [13, 10, 0x20, 0x21, 0x11, 0, 255])
            var decided: ProxyHeader.Parsed?
            for count in 0...input.count {
                let parsed = parse(Array(input[..<count]))
                if let decided { #expect(parsed == decided) } else if parsed != .incomplete { decided = parsed }
                if case .header(_, let length) = parsed { #expect(length <= count) }
            }
        }
    }
}
