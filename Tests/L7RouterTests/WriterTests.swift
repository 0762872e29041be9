import HTTPCodec
import NetAddress
import TestSupport
import Testing

@testable import L7Router

/// Heads as instances and clients get them.
@Suite struct WriterTests {
    private func rendered(_ head: String, from peer: String = "192.0.2.7") throws -> String {
        let address = try #require(IPAddress(peer))
        let text = try Self.rendered(head, RequestOrigin(peer: address, port: 8080))
        // Its id is another each time.
        let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        return lines.filter { !$0.hasPrefix("X-Request-ID: ") }.joined(separator: "\r\n")
    }

    static func rendered(_ head: String, _ origin: RequestOrigin) throws -> String {
        var random = RandomBits(seed: (1, 2, 3, 4))
        var fields = FieldTable()
        defer { fields.deallocate() }
        var parsed = RequestHead()
        let bytes = Array(head.utf8)
        return bytes.withUnsafeBytes { raw in
            #expect(parsed.parse(raw, limits: MessageLimits(), fields: &fields) == .complete(raw.count))
            return Self.written { _ = $0.appendRequest(parsed, &fields, from: raw.baseAddress!, origin, &random) }
        }
    }

    private static func written(_ write: (inout HeadWriter) -> Void) -> String {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { space in
            var writer = HeadWriter(space.baseAddress!, capacity: space.count)
            write(&writer)
            #expect(!writer.hasOverflowed)
            return String(decoding: space[..<writer.count], as: UTF8.self)
        }
    }

    @Test func plainRequest() throws {
        #expect(
            try rendered("GET /a?b HTTP/1.1\r\nHost: x.test:81\r\nAccept: */*\r\n\r\n")
                == "GET /a?b HTTP/1.1\r\nHost: x.test:81\r\nAccept: */*\r\nX-Forwarded-For: 192.0.2.7\r\n"
                + "X-Forwarded-Proto: http\r\nX-Forwarded-Host: x.test:81\r\nX-Forwarded-Port: 8080\r\n\r\n")
    }

    @Test func connectionFieldsStayBehind() throws {
        let head =
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: 5\r\n"
            + "Proxy-Connection: a\r\nTransfer-Encoding: chunked\r\nX-Kept: 2\r\n\r\n"
        #expect(
            try rendered(head)
                == "POST / HTTP/1.1\r\nHost: x\r\nX-Kept: 2\r\nTransfer-Encoding: chunked\r\n"
                + "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n"
                + "X-Forwarded-Port: 8080\r\n\r\n"
        )
    }

    @Test func claimsOfAnybodyAreReplaced() throws {
        let head =
            "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.2\r\n"
            + "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
            + "X-Forwarded-Port: 1\r\nForwarded: for=10.0.0.3\r\n\r\n"
        #expect(
            try rendered(head, from: "2001:db8::1")
                == "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 2001:db8::1\r\n"
                + "X-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\nX-Forwarded-Port: 8080\r\n\r\n")
    }

    @Test func absoluteTargetOverridesHost() throws {
        #expect(
            try rendered("GET http://a.test?q HTTP/1.1\r\nHost: b.test\r\n\r\n").hasPrefix(
                "GET /?q HTTP/1.1\r\nHost: a.test\r\n"))
    }

    @Test func oldRequestsWithoutHostGetOne() throws {
        #expect(try rendered("GET / HTTP/1.0\r\n\r\n").hasPrefix("GET / HTTP/1.1\r\nHost: localhost\r\n"))
        #expect(try rendered("GET / HTTP/1.0\r\nHost:\r\n\r\n").hasPrefix("GET / HTTP/1.1\r\nHost: localhost\r\n"))
    }

    @Test func upgradeIsAskedForAnew() throws {
        let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        #expect(try rendered(head).contains("Connection: Upgrade\r\nUpgrade: websocket\r\n"))
    }

    @Test(arguments: [false, true]) func answersMadeHereAreWhole(isHead: Bool) throws {
        for error in MessageError.allCases {
            let text = Self.written { ErrorResponse(error).write(to: &$0, .init(closes: true, isHead: isHead)) }
            var fields = FieldTable()
            defer { fields.deallocate() }
            var head = ResponseHead()
            let bytes = Array(text.utf8)
            let outcome = bytes.withUnsafeBytes {
                head.parse($0, toHead: false, limits: MessageLimits(), fields: &fields)
            }
            guard case .complete(let length) = outcome, case .length(let body) = head.framing else {
                Issue.record("\(text)")
                continue
            }
            #expect(head.status == error.status && !head.keepsAlive)
            #expect(bytes.count - length == (isHead ? 0 : Int(body)), "\(text)")
        }
    }
}
