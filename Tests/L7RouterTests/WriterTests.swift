import HTTPCodec
import NetAddress
import TestSupport
import Testing

@testable import L7Router

/// Heads as instances and clients get them.
@Suite struct WriterTests {
    private func rendered(_ head: String, from peer: String = "192.0.2.7") throws -> String {
        var fields = FieldTable()
        defer { fields.deallocate() }
        var parsed = RequestHead()
        let bytes = Array(head.utf8)
        return try bytes.withUnsafeBytes { raw in
            #expect(parsed.parse(raw, limits: MessageLimits(), fields: &fields) == .complete(raw.count))
            let address = try #require(IPAddress(peer))
            return Self.written { $0.appendRequest(parsed, &fields, from: raw.baseAddress!, peer: address) }
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
                + "X-Forwarded-Proto: http\r\nX-Forwarded-Host: x.test:81\r\n\r\n")
    }

    @Test func connectionFieldsStayBehind() throws {
        let head =
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: 5\r\n"
            + "Proxy-Connection: a\r\nTransfer-Encoding: chunked\r\nX-Kept: 2\r\n\r\n"
        #expect(
            try rendered(head)
                == "POST / HTTP/1.1\r\nHost: x\r\nX-Kept: 2\r\nTransfer-Encoding: chunked\r\n"
                + "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n")
    }

    @Test func claimsComeBeforeThePeer() throws {
        let head =
            "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.2\r\n"
            + "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\r\n"
        #expect(
            try rendered(head, from: "2001:db8::1")
                == "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2, 2001:db8::1\r\n"
                + "X-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n")
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
            let text = Self.written { ErrorResponse(error).write(to: &$0, closes: true, isHead: isHead) }
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
