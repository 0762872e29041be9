import TestSupport
import Testing

@testable import HTTPClient

@Suite struct HealthMessagesTests {
    @Test func requestsAreFramed() {
        #expect(HealthMessages.request(service: "") == [0, 0, 0, 0, 0])
        #expect(HealthMessages.request(service: "a.B") == [0, 0, 0, 0, 5, 0x0a, 3, 0x61, 0x2e, 0x42])
        let long = HealthMessages.request(service: String(repeating: "x", count: 300))
        #expect(long.prefix(8) == [0, 0, 0, 0x01, 0x2f, 0x0a, 0xac, 0x02])
    }

    @Test(
        arguments: [
            ([0, 0, 0, 0, 2, 8, 1], HealthMessages.Status.serving),
            ([0, 0, 0, 0, 2, 8, 2], .notServing),
            ([0, 0, 0, 0, 2, 8, 3], .serviceUnknown),
            // The zero value is left out.
            ([0, 0, 0, 0, 0], .unknown),
            // A value of later days.
            ([0, 0, 0, 0, 2, 8, 9], .unknown),
            // Other fields of every wire type, then the status.
            (
                [
                    0, 0, 0, 0, 24, 0x10, 0x96, 0x01, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 2, 9, 9, 0x2d, 1, 2, 3, 4, 8,
                    1, 0, 0,
                ], nil
            ),
            (
                [
                    0, 0, 0, 0, 22, 0x10, 0x96, 0x01, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 2, 9, 9, 0x2d, 1, 2, 3, 4, 8,
                    1,
                ], nil
            ),
            (
                [
                    0, 0, 0, 0, 23, 0x10, 0x96, 0x01, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 2, 9, 9, 0x2d, 1, 2, 3, 4, 8,
                    1,
                ], .serving
            ),
            // Compressed, too short, too long, a string longer than the message, an endless number, a group.
            ([1, 0, 0, 0, 2, 8, 1], nil), ([0, 0, 0, 0], nil), ([], nil), ([0, 0, 0, 0, 2, 8], nil),
            ([0, 0, 0, 0, 2, 0x22, 200], nil),
            ([0, 0, 0, 0, 12, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], nil),
            ([0, 0, 0, 0, 1, 0x0b], nil),
        ] as [([UInt8], HealthMessages.Status?)])
    func answersAreRead(answer: [UInt8], status: HealthMessages.Status?) {
        #expect(HealthMessages.status(answer) == status)
    }

    @Test func nothingTraps() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<20_000 {
            var message = (0..<Int.random(in: 0...24, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if message.count > 4, Bool.random(using: &random) {
                message.replaceSubrange(0..<5, with: [0, 0, 0, 0, UInt8(message.count - 5)])
            }
            _ = HealthMessages.status(message)
        }
    }
}

@Suite struct UnaryCallTests {
    private func call() throws -> UnaryCall {
        try #require(UnaryCall(authority: "127.0.0.1:80", path: "/a/b", message: [0, 0, 0, 0, 0], limitBytes: 16))
    }

    @Test func itBeginsWithThePreface() throws {
        let output = try call().output()
        #expect(output.starts(with: Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)))
    }

    @Test func whatIsNotHTTP2IsAnOutcome() throws {
        let call = try call()
        _ = call.output()
        Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8).withUnsafeBytes { call.receive($0) }
        _ = call.output()
        guard case .broken = call.outcome else {
            Issue.record("\(String(describing: call.outcome))")
            return
        }
    }

    @Test func noiseNeverTraps() throws {
        var random = SeededRandom(seed: 11)
        for _ in 0..<500 {
            let call = try call()
            for _ in 0..<4 {
                _ = call.output()
                // A settings frame first, so that what follows is looked at.
                var bytes: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
                bytes += (0..<64).map { _ in UInt8.random(in: 0...255, using: &random) }
                bytes.withUnsafeBytes { call.receive($0) }
            }
            call.streamEnded()
            #expect(call.outcome != nil)
        }
    }
}
