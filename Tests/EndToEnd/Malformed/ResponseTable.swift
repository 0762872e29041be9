/// What must come of an instance's answer.
enum ResponseOutcome: Sendable {
    /// meshd answers 502 with a reason.
    case badGateway
    /// The client gets this status and body, complete.
    case passed(Int, String)
    /// Complete and so, or 502.
    case passedOrBad(Int, String)
    /// The client's connection is cut before the answer is complete, or 502 when nothing had been sent yet.
    case cut
}

struct ResponseRow: Sendable {
    let name: String
    let bytes: [UInt8]
    let outcome: ResponseOutcome
    let ending: HTTPInstance.Ending
    let method: String

    init(
        _ name: String, _ text: String, _ outcome: ResponseOutcome, then ending: HTTPInstance.Ending = .keep,
        method: String = "GET"
    ) {
        self.name = name
        bytes = Array(text.utf8)
        self.outcome = outcome
        self.ending = ending
        self.method = method
    }

    /// 200 with these field lines, CRLF included.
    static func fields(
        _ name: String, _ lines: String, _ body: String, _ outcome: ResponseOutcome,
        then ending: HTTPInstance.Ending = .keep
    ) -> ResponseRow {
        ResponseRow(name, "HTTP/1.1 200 OK\r\n\(lines)\r\n\(body)", outcome, then: ending)
    }

    /// 200 with a good length and one field line, CRLF included.
    static func field(_ name: String, _ line: String, _ outcome: ResponseOutcome) -> ResponseRow {
        fields(name, "Content-Length: 5\r\n\(line)", "hello", outcome)
    }

    /// A status line, CRLF not included.
    static func line(_ name: String, _ line: String, _ outcome: ResponseOutcome) -> ResponseRow {
        ResponseRow(name, "\(line)\r\nContent-Length: 5\r\n\r\nhello", outcome)
    }

    static func chunked(
        _ name: String, _ body: String, _ outcome: ResponseOutcome = .cut, then ending: HTTPInstance.Ending = .keep
    ) -> ResponseRow {
        fields(name, "Transfer-Encoding: chunked\r\n", body, outcome, then: ending)
    }
}

/// Malformed and ambiguous answers of instances by subject.
enum ResponseTable {
    static let groups: [(name: String, rows: [ResponseRow])] = [
        ("framing", framing), ("status line", statusLine), ("fields", fields), ("body", body), ("poison", poison),
    ]

    private static let hello = ResponseOutcome.passed(200, "hello")
    private static let helloOrBad = ResponseOutcome.passedOrBad(200, "hello")
    private static let chunk = "5\r\nhello\r\n0\r\n\r\n"

    static let framing: [ResponseRow] = [
        .fields("lengths that differ", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello!", .badGateway),
        .fields("lengths that agree", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello", helloOrBad),
        .fields("length list that differs", "Content-Length: 5, 6\r\n", "hello!", .badGateway),
        .fields("length with plus", "Content-Length: +5\r\n", "hello", .badGateway),
        .fields("length with minus", "Content-Length: -5\r\n", "hello", .badGateway),
        .fields("length in hex", "Content-Length: 0x5\r\n", "hello", .badGateway),
        .fields("length with a tail", "Content-Length: 5x\r\n", "hello", .badGateway),
        .fields("length empty", "Content-Length:\r\n", "hello", .badGateway, then: .close),
        .fields("length over 64 bits", "Content-Length: 18446744073709551621\r\n", "hello", .badGateway),
        .fields("coding and length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunk, .badGateway),
        .fields("length and coding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunk, .badGateway),
        .fields("unknown coding", "Transfer-Encoding: zebra\r\n", "hello", .badGateway, then: .close),
        .fields("chunked twice", "Transfer-Encoding: chunked, chunked\r\n", chunk, .badGateway),
        .fields("chunked not last", "Transfer-Encoding: chunked, gzip\r\n", chunk, .badGateway, then: .close),
        .fields("coding behind a vertical tab", "Transfer-Encoding: \u{b}chunked\r\n", chunk, .badGateway),
        .fields("coding in any case", "transfer-encoding: CHUNKED\r\n", chunk, hello),
        .fields("no framing at all", "", "hello", hello, then: .close),
        ResponseRow("HTTP/1.0 without framing", "HTTP/1.0 200 OK\r\n\r\nhello", hello, then: .close),
        ResponseRow("length on 304", "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", .passed(304, "")),
        ResponseRow("length on 204", "HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n", .passedOrBad(204, "")),
        ResponseRow("coding on 204", "HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n", .passedOrBad(204, "")),
        ResponseRow(
            "length on the answer to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", .passed(200, ""),
            method: "HEAD"),
    ]

    static let statusLine: [ResponseRow] = [
        .line("garbage", "NOPE", .badGateway),
        .line("another protocol", "ICY 200 OK", .badGateway),
        .line("version in lower case", "http/1.1 200 OK", .badGateway),
        .line("HTTP/2.0", "HTTP/2.0 200 OK", .badGateway),
        .line("version of two digits", "HTTP/1.10 200 OK", .badGateway),
        .line("status of two digits", "HTTP/1.1 99 Low", .badGateway),
        .line("status 099", "HTTP/1.1 099 Low", .badGateway),
        .line("status 000", "HTTP/1.1 000 None", .badGateway),
        .line("status of four digits", "HTTP/1.1 1000 High", .badGateway),
        .line("status of letters", "HTTP/1.1 abc OK", .badGateway),
        .line("status with plus", "HTTP/1.1 +20 OK", .badGateway),
        .line("no status", "HTTP/1.1", .badGateway),
        .line("two blanks before the status", "HTTP/1.1  200 OK", .badGateway),
        .line("tab before the status", "HTTP/1.1\t200 OK", .badGateway),
        .line("blank before the line", " HTTP/1.1 200 OK", .badGateway),
        .line("NUL in the reason", "HTTP/1.1 200 O\u{0}K", .badGateway),
        .line("bare CR in the reason", "HTTP/1.1 200 O\rK", .badGateway),
        .line("reason empty", "HTTP/1.1 200 ", hello),
        .line("reason and its blank missing", "HTTP/1.1 200", helloOrBad),
        .line("reason beyond ASCII", "HTTP/1.1 200 D\u{e9}j\u{e0}", helloOrBad),
        .line("unknown status", "HTTP/1.1 299 Odd", .passed(299, "hello")),
        .line("status 600", "HTTP/1.1 600 Odd", .passedOrBad(600, "hello")),
        ResponseRow(
            "switching that nobody asked for", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            .badGateway),
        ResponseRow(
            "300 interim answers",
            String(repeating: "HTTP/1.1 103 Hints\r\nX: 1\r\n\r\n", count: 300)
                + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            .cut),
        ResponseRow(
            "continue that nobody asked for",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            hello),
        ResponseRow("end before the head", "", .badGateway, then: .close),
        ResponseRow("reset before the head", "", .badGateway, then: .reset),
        ResponseRow("end within the status line", "HTTP/1.1 2", .badGateway, then: .close),
        ResponseRow("end within a field", "HTTP/1.1 200 OK\r\nContent-Le", .badGateway, then: .close),
        ResponseRow("end behind the fields", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", .badGateway, then: .close),
        ResponseRow("end behind an interim answer", "HTTP/1.1 103 Hints\r\nX: 1\r\n\r\n", .cut, then: .close),
    ]

    static let fields: [ResponseRow] = [
        ResponseRow("bare LF everywhere", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", .badGateway),
        .field("bare LF behind a field", "X-A: 1\nX-B: 2\r\n", .badGateway),
        .field("bare CR in a value", "X-A: one\rtwo\r\n", .badGateway),
        .field("NUL in a value", "X-A: one\u{0}\r\n", .badGateway),
        .field("control in a value", "X-A: one\u{1}\r\n", .badGateway),
        .field("NUL in a name", "X\u{0}A: one\r\n", .badGateway),
        .field("space in a name", "X A: one\r\n", .badGateway),
        .field("empty name", ": one\r\n", .badGateway),
        .field("no colon", "X-A\r\n", .badGateway),
        .field("letters beyond ASCII in a name", "X-\u{e9}: one\r\n", .badGateway),
        .field("space before colon", "X-A : one\r\n", helloOrBad),
        .field("fold", "X-A: one\r\n two\r\n", helloOrBad),
        ResponseRow(
            "fold right behind the status line", "HTTP/1.1 200 OK\r\n X: 1\r\nContent-Length: 5\r\n\r\nhello",
            .badGateway),
        .field("5,000 fields", String(repeating: "X-A: 1\r\n", count: 5000), .badGateway),
        .field("field of 400,000 bytes", "X-A: \(String(repeating: "a", count: 400_000))\r\n", .badGateway),
        ResponseRow("endless head", "HTTP/1.1 200 OK\r\nX-A: " + String(repeating: "a", count: 400_000), .badGateway),
    ]

    static let body: [ResponseRow] = [
        .fields("end within a length", "Content-Length: 50\r\n", "hello", .cut, then: .close),
        .fields("reset within a length", "Content-Length: 50\r\n", "hello", .cut, then: .reset),
        .chunked("end within a chunk", "32\r\nhello", then: .close),
        .chunked("end behind a chunk", "5\r\nhello\r\n", then: .close),
        .chunked("end within the last chunk", "5\r\nhello\r\n0\r\n", then: .close),
        .chunked("reset behind a chunk", "5\r\nhello\r\n", then: .reset),
        .chunked("size in C notation", "5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n"),
        .chunked("size of letters", "5\r\nhello\r\nzz\r\nhello\r\n0\r\n\r\n"),
        .chunked("size empty", "5\r\nhello\r\n\r\nhello\r\n0\r\n\r\n"),
        .chunked("size with minus", "5\r\nhello\r\n-5\r\nhello\r\n0\r\n\r\n"),
        .chunked("size that wraps", "5\r\nhello\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"),
        .chunked("no CRLF behind the data", "5\r\nhello0\r\n\r\n"),
        .chunked("CR and a letter behind the data", "5\r\nhello\rX0\r\n\r\n"),
        .chunked("LF behind the data", "5\r\nhello\n0\r\n\r\n"),
        .chunked("LF behind the size", "5\nhello\r\n0\r\n\r\n"),
        .chunked("extension with bare LF", "5;a\nhello\r\n0\r\n\r\n"),
        .chunked("trailer with a space in its name", "5\r\nhello\r\n0\r\nX Y: 1\r\n\r\n"),
        .chunked("trailer with NUL", "5\r\nhello\r\n0\r\nX-Y: \u{0}\r\n\r\n"),
        .chunked("5,000 trailers", "5\r\nhello\r\n0\r\n" + String(repeating: "X-Y: 1\r\n", count: 5000) + "\r\n"),
        .chunked("extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", hello),
        .chunked("size in upper case with zeros", "00A\r\nhellohello\r\n0\r\n\r\n", .passedOrBad(200, "hellohello")),
    ]

    /// Bytes that must never become the answer to somebody else's request.
    static let poison: [ResponseRow] = [
        .fields("bytes behind the length", "Content-Length: 5\r\n", "helloEVIL", hello),
        .fields("an answer behind the length", "Content-Length: 5\r\n", "hello" + evil, hello),
        .chunked("an answer behind the last chunk", chunk + evil, hello),
        ResponseRow("an answer behind 204", "HTTP/1.1 204 None\r\n\r\n" + evil, .passed(204, "")),
        ResponseRow("an answer behind 304", "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n" + evil, .passed(304, "")),
        ResponseRow(
            "a body for HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + evil, .passed(200, ""), method: "HEAD"),
    ]

    private static let evil = "HTTP/1.1 200 OK\r\nX-Instance: evil\r\nContent-Length: 4\r\n\r\nevil"
}
