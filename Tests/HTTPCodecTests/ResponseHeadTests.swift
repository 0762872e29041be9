import HTTPCodec
import Testing

@Suite struct ResponseHeadTests {
    @Test(
        arguments: [
            ("HTTP/1.1 200 OK", 200, " OK", 1), ("HTTP/1.0 404 Not Found", 404, " Not Found", 0),
            ("HTTP/1.1 204 ", 204, " ", 1),
            ("HTTP/1.1 204", 204, "", 1), ("HTTP/1.9 599 a\tb é", 599, " a\tb é", 1),
            ("HTTP/1.1 100 Continue", 100, " Continue", 1),
        ] as [(String, Int, String, UInt8)])
    func statusLines(line: String, status: Int, reason: String, minor: UInt8) {
        let read = readResponse("\(line)\r\n\r\n")
        #expect(read.outcome == .complete(line.utf8.count + 4))
        #expect(read.status == status && read.reason == reason && read.minor == minor)
    }

    @Test(arguments: [
        "", "HTTP/1.1", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 200OK", "HTTP/1.1  200 OK", "HTTP/2.0 200 OK",
        "HTTP/1.1 099 x", "HTTP/1.1 600 x", "HTTP/1.1 abc x", "http/1.1 200 OK", "ICY 200 OK", "HTTP/1.1\t200 OK",
        "HTTP/1.1 200 O\u{0}K", "HTTP/1.1 200 O\u{7f}K", "HTTP/1.1 200 O\rK", " HTTP/1.1 200 OK", "HTTP/1.x 200 OK",
        "HTTP/11 200 OK", "\r\nHTTP/1.1 200 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 200\tOK",
    ])
    func badStatusLines(line: String) { #expect(readResponse("\(line)\r\n\r\n").error == .badStatusLine) }

    /// (status line, fields, to HEAD, framing demanded)
    @Test(
        arguments: [
            ("200 OK", "Content-Length: 5", false, .length(5)), ("200 OK", "Content-Length: 0", false, .none),
            ("200 OK", "Transfer-Encoding: chunked", false, .chunked), ("200 OK", "X: y", false, .untilClose),
            ("200 OK", "Content-Length: 5", true, .none), ("200 OK", "Transfer-Encoding: chunked", true, .none),
            ("200 OK", "X: y", true, .none), ("204 No", "Content-Length: 5", false, .none),
            ("204 No", "X: y", false, .none),
            ("304 Not", "Content-Length: 5", false, .none), ("304 Not", "Transfer-Encoding: chunked", false, .none),
            ("100 Go", "Content-Length: 5", false, .none), ("101 Switching", "X: y", false, .none),
            ("103 Early", "X: y", false, .none), ("205 Reset", "X: y", false, .untilClose),
            ("200 OK", "Expect: nonsense\r\nContent-Length: 5", false, .length(5)),
            ("200 OK", "Expect: nonsense\r\nTransfer-Encoding: chunked", false, .chunked),
        ] as [(String, String, Bool, Framing)])
    func framing(status: String, lines: String, toHead: Bool, framing: Framing) {
        let read = readResponse("HTTP/1.1 \(status)\r\n\(lines)\r\n\r\n", toHead: toHead)
        #expect(read.error == nil && read.framing == framing)
    }

    @Test(
        arguments: [
            ("Content-Length: 5\r\nContent-Length: 5", .repeatedContentLength),
            ("Content-Length: x", .badContentLength),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", .lengthAndTransferEncoding),
            ("Transfer-Encoding: gzip", .unknownTransferEncoding),
            ("Transfer-Encoding: chunked\r\n gzip", .obsoleteFold),
            ("Transfer-Encoding: gzip, chunked", .unknownTransferEncoding), ("X : y", .badFieldName),
            ("X: a\nY: b", .bareLineFeed),
            ("Expect: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", .lengthAndTransferEncoding),
            ("Expect: x\r\nContent-Length: 5\r\nContent-Length: 6", .repeatedContentLength),
        ] as [(String, MessageError)])
    func badFields(lines: String, error: MessageError) {
        for toHead in [false, true] {
            #expect(readResponse("HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n", toHead: toHead).error == error)
        }
    }

    @Test func transferEncodingNeedsHTTP11() {
        let head = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(readResponse(head).error == .transferEncodingInHTTP10)
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1", true), ("HTTP/1.1 200 OK", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close", false), ("HTTP/1.1 304 Not", true),
    ])
    func persistence(head: String, isKept: Bool) { #expect(readResponse("\(head)\r\n\r\n").keepsAlive == isKept) }

    @Test func aLengthThatMayNotBeIsDropped() {
        for (status, isDropped) in [(204, true), (103, true), (304, false), (200, false)] {
            let read = readResponse("HTTP/1.1 \(status) X\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\n")
            #expect(read.fields.map(\.isDropped) == [isDropped, false])
        }
    }

    @Test func interimMeansMoreToCome() {
        for (status, isInterim) in [(100, true), (103, true), (101, false), (200, false)] {
            var (head, fields) = (ResponseHead(), FieldTable())
            defer { fields.deallocate() }
            _ = withExactCopy(Array("HTTP/1.1 \(status) X\r\n\r\n".utf8)) {
                head.parse($0, toHead: false, limits: MessageLimits(), fields: &fields)
            }
            #expect(head.isInterim == isInterim)
        }
    }

    @Test func aFullBufferIsNeverIncomplete() {
        let limits = MessageLimits(fields: 10, headBytes: 256)
        for start in ["HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nX: ", "H", "HTTP/1.1 200 OK\r\nX"] {
            let bytes = Array((start + String(repeating: "a", count: 256)).utf8.prefix(256))
            #expect(readResponse(bytes, limits: limits).error != nil)
            #expect(readResponse(Array(bytes.prefix(255)), limits: limits).outcome == .incomplete)
        }
    }
}
