import Testing

@testable import HTTPCodec

@Suite struct GRPCFieldTests {
    private func timeout(_ text: String) -> UInt64? { withExactCopy(Array(text.utf8)) { GRPC.timeout($0) } }

    @Test(arguments: [
        ("1n", UInt64(1)), ("5u", 5_000), ("300m", 300_000_000), ("2S", 2_000_000_000), ("1M", 60_000_000_000),
        ("1H", 3_600_000_000_000), ("99999999H", .max), ("00000001S", 1_000_000_000), ("0S", 0),
    ])
    func timeouts(text: String, nanoseconds: UInt64) { #expect(timeout(text) == nanoseconds) }

    @Test(arguments: ["", "1", "S", "1s", "-1S", "1.5S", "123456789S", " 1S", "1S ", "1SS"])
    func whatIsNoTimeout(text: String) { #expect(timeout(text) == nil) }

    @Test(arguments: [
        ("application/grpc", true), ("Application/GRPC", true), ("application/grpc+proto", true),
        ("application/grpc; x", true), ("application/grpc;x", true), ("application/grpc-web", false),
        ("application/json", false), ("", false),
    ])
    func contentTypes(text: String, isGRPC: Bool) {
        let head = readRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: \(text)\r\ngrpc-timeout: 1S\r\n\r\n")
        #expect(head.options.contains(.grpc) == isGRPC)
    }

    @Test func statuses() {
        for error in MessageError.allCases { #expect((1...16).contains(GRPC.status(forHTTP: error.status))) }
        #expect([404, 502, 503, 504].map(GRPC.status) == [12, 14, 14, 4])
    }
}
