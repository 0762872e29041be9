/// Malformed and ambiguous requests by subject (RFC 9112, RFC 9110).
enum RequestTable {
    static let groups: [(name: String, rows: [RequestRow])] = [
        ("length", length), ("transfer coding", transferCoding), ("field lines", fieldLines), ("host", host),
        ("request line", requestLine), ("target", target), ("chunk sizes", chunkSizes), ("chunk edges", chunkEdges),
        ("options", options),
    ]

    private static let five = RequestOutcome.seenBody("hello")

    // MARK: - Content-Length (RFC 9112 section 6.2)

    static let length: [RequestRow] = [
        .framed("length twice, equal", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello", .bad),
        .framed("length twice, different", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello!", .bad),
        .framed("length twice, other case", "Content-Length: 5\r\ncontent-length: 0\r\n", "hello", .bad),
        .framed("length as a list", "Content-Length: 5, 5\r\n", "hello", .bad),
        .framed("length as a list of different", "Content-Length: 5, 6\r\n", "hello!", .bad),
        .framed("length with plus", "Content-Length: +5\r\n", "hello", .bad),
        .framed("length with minus", "Content-Length: -5\r\n", "hello", .bad),
        .framed("length with space inside", "Content-Length: 5 5\r\n", "hello", .bad),
        .framed("length in hex", "Content-Length: 0x5\r\n", "hello", .bad),
        .framed("length with a letter", "Content-Length: 5a\r\n", "hello", .bad),
        .framed("length with a point", "Content-Length: 5.0\r\n", "hello", .bad),
        .framed("length empty", "Content-Length:\r\n", "", .bad),
        .framed("length of blanks", "Content-Length:   \r\n", "", .bad),
        .framed("length with comma", "Content-Length: 5,\r\n", "hello", .bad),
        .framed("length over 64 bits", "Content-Length: 18446744073709551621\r\n", "hello", .bad),
        .framed("length over 63 bits", "Content-Length: 9223372036854775813\r\n", "hello", .bad),
        .framed(
            "length of 40 digits", "Content-Length: 1111111111222222222233333333334444444444\r\n", "hello", .bad),
        .framed("length in other digits", "Content-Length: \u{0665}\r\n", "hello", .bad),
        .framed("length quoted", "Content-Length: \"5\"\r\n", "hello", .bad),
        .framed("length with leading zeros", "Content-Length: 0005\r\n", "hello", .either([400], five)),
        .framed("length with blanks around", "Content-Length: \t 5 \t\r\n", "hello", .accepted(five)),
        .framed("length zero", "Content-Length: 0\r\n", "", .accepted(RequestOutcome.seenBody(""))),
        .framed("POST without framing", "", "", .accepted(RequestOutcome.seenBody(""))),
        RequestRow(
            "GET with a body", "GET /body HTTP/1.1\r\nHost: test.example\r\nContent-Length: 5\r\n\r\nhello",
            .accepted(RequestOutcome.seenTarget("/body"))),
        .framed(
            "garbage behind a body", "Content-Length: 5\r\n", "hello\u{1}\u{2}\r\n\r\n", .acceptedThenRejected([400])),
    ]

    // MARK: - Transfer-Encoding (RFC 9112 section 6.1)

    private static let chunk = "5\r\nhello\r\n0\r\n\r\n"

    static let transferCoding: [RequestRow] = [
        .framed("coding and length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunk, .bad),
        .framed("length and coding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunk, .bad),
        .framed(
            "hidden second request", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nGET /evil", .bad),
        .framed("chunked not last", "Transfer-Encoding: chunked, identity\r\n", chunk, .rejected([400, 501])),
        .framed("chunked before gzip", "Transfer-Encoding: chunked, gzip\r\n", chunk, .rejected([400, 501])),
        .framed("chunked twice in a list", "Transfer-Encoding: chunked, chunked\r\n", chunk, .rejected([400, 501])),
        .framed(
            "chunked twice in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunk,
            .rejected([400, 501])),
        .framed(
            "identity behind chunked in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            chunk, .rejected([400, 501])),
        .framed("identity", "Transfer-Encoding: identity\r\n", "", .rejected([400, 501])),
        .framed(
            "identity and length", "Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello",
            .rejected([400, 501])),
        .framed("unknown coding", "Transfer-Encoding: zebra\r\n", chunk, .rejected([501])),
        .framed("gzip and chunked", "Transfer-Encoding: gzip, chunked\r\n", chunk, .rejected([501])),
        .framed("nearly chunked", "Transfer-Encoding: xchunked\r\n", chunk, .rejected([400, 501])),
        .framed("chunked with a tail", "Transfer-Encoding: chunkedx\r\n", chunk, .rejected([400, 501])),
        .framed("chunked with a parameter", "Transfer-Encoding: chunked;q=1\r\n", chunk, .rejected([400, 501])),
        .framed("chunked quoted", "Transfer-Encoding: \"chunked\"\r\n", chunk, .rejected([400, 501])),
        .framed("chunked behind vertical tab", "Transfer-Encoding: \u{b}chunked\r\n", chunk, .rejected([400])),
        .framed("coding empty", "Transfer-Encoding:\r\n", chunk, .rejected([400, 501])),
        .framed("coding with space before colon", "Transfer-Encoding : chunked\r\n", chunk, .bad),
        .framed("coding folded", "Transfer-Encoding:\r\n chunked\r\n", chunk, .bad),
        .framed("coding in any case", "transfer-ENCODING: ChunKed\r\n", chunk, .accepted(five)),
        RequestRow(
            "coding in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: test.example\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)", .bad),
        .framed(
            "a name that only looks like it", "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello",
            .either([400], five)),
    ]

    // MARK: - Field lines (RFC 9112 section 5)

    static let fieldLines: [RequestRow] = [
        RequestRow("bare LF everywhere", "GET / HTTP/1.1\nHost: test.example\n\n", .bad),
        RequestRow("bare LF behind the request line", "GET / HTTP/1.1\nHost: test.example\r\n\r\n", .bad),
        .fields("bare LF behind a field", "X-A: 1\nX-B: 2\r\n", .bad),
        RequestRow("bare LF at the head's end", "GET / HTTP/1.1\r\nHost: test.example\r\n\n", .bad),
        .fields("bare CR in a value", "X-A: one\rtwo\r\n", .bad),
        .fields("bare CR hiding a field", "X-A: one\rTransfer-Encoding: chunked\r\n", .bad),
        .fields("CR twice before LF", "X-A: one\r\r\n", .bad),
        .fields("NUL in a value", "X-A: one\u{0}two\r\n", .bad),
        .fields("NUL in a name", "X\u{0}A: one\r\n", .bad),
        .fields("control in a value", "X-A: one\u{1}two\r\n", .bad),
        .fields("escape in a value", "X-A: \u{1b}[31m\r\n", .bad),
        .fields("DEL in a value", "X-A: one\u{7f}\r\n", .bad),
        .fields("space before colon", "X-A : one\r\n", .bad),
        .fields("tab before colon", "X-A\t: one\r\n", .bad),
        .fields("space in a name", "X A: one\r\n", .bad),
        .fields("empty name", ": one\r\n", .bad),
        .fields("no colon", "X-A one\r\n", .bad),
        .fields("bracket in a name", "X(A): one\r\n", .bad),
        .fields("at sign in a name", "X@A: one\r\n", .bad),
        .fields("slash in a name", "X/A: one\r\n", .bad),
        .fields("quote in a name", "\"X\": one\r\n", .bad),
        .fields("letters beyond ASCII in a name", "X-\u{e9}: one\r\n", .bad),
        RequestRow("fold right behind the request line", "GET / HTTP/1.1\r\n Host: test.example\r\n\r\n", .bad),
        RequestRow(
            "blank line part behind the request line", "GET / HTTP/1.1\r\n \r\nHost: test.example\r\n\r\n", .bad),
        .fields("fold with space", "X-A: one\r\n two\r\n", .bad),
        .fields("fold with tab", "X-A: one\r\n\ttwo\r\n", .bad),
        .fields("fold at the end", "X-A: one\r\n \r\n", .bad),
        .fields("tab in a value", "X-A: one\ttwo\r\n", .accepted { $0.head["X-A"] == "one\ttwo" ? nil : "value" }),
        .fields("no blank behind colon", "X-A:one\r\n", .accepted { $0.head["X-A"] == "one" ? nil : "value" }),
        .fields("empty value", "X-A:\r\n", .accepted { $0.head["X-A"] == "" ? nil : "value" }),
        .fields("every token character", "!#$%&'*+-.^_`|~09aZ: 1\r\n", .fine),
        .fields(
            "text beyond ASCII in a value", "X-A: caf\u{e9}\r\n",
            .either([400]) { $0.head["X-A"] == "caf\u{e9}" ? nil : "value" }),
        .fields("field of 300,000 bytes", "X-A: \(String(repeating: "a", count: 300_000))\r\n", .rejected([431])),
        .fields("name of 300,000 bytes", "\(String(repeating: "a", count: 300_000)): 1\r\n", .rejected([400, 431])),
        .fields("3,000 fields", String(repeating: "X-A: 1\r\n", count: 3000), .rejected([431])),
    ]

    // MARK: - Host (RFC 9112 section 3.2)

    static let host: [RequestRow] = [
        .hostLine("no Host", "", .bad),
        .hostLine("two Hosts, equal", "Host: test.example\r\nHost: test.example\r\n", .bad),
        .hostLine("two Hosts, different", "Host: test.example\r\nhost: other.example\r\n", .bad),
        .hostLine("Host empty", "Host:\r\n", .answered([400, 404])),
        .hostLine("Host with user", "Host: user@test.example\r\n", .bad),
        .hostLine("Host with a space", "Host: test.example evil\r\n", .bad),
        .hostLine("Host list", "Host: test.example, other.example\r\n", .bad),
        .hostLine("Host with a path", "Host: test.example/path\r\n", .bad),
        .hostLine("Host with a query", "Host: test.example?q\r\n", .bad),
        .hostLine("Host with a fragment", "Host: test.example#f\r\n", .bad),
        .hostLine("Host with a scheme", "Host: http://test.example\r\n", .bad),
        .hostLine("Host with letters for a port", "Host: test.example:http\r\n", .bad),
        .hostLine("Host with a port too great", "Host: test.example:99999\r\n", .either([400]) { _ in nil }),
        .hostLine("Host with a negative port", "Host: test.example:-1\r\n", .bad),
        .hostLine("Host with two ports", "Host: test.example:80:80\r\n", .bad),
        .hostLine("Host with only a port", "Host: :80\r\n", .bad),
        .hostLine("Host with an open bracket", "Host: [::1\r\n", .bad),
        .hostLine("Host with a tail behind the bracket", "Host: [::1]evil\r\n", .bad),
        .hostLine("Host with a backslash", "Host: test.example\\evil\r\n", .bad),
        .hostLine("Host with angle brackets", "Host: <test.example>\r\n", .bad),
        .hostLine("Host beyond ASCII", "Host: t\u{e9}st.example\r\n", .bad),
        .hostLine("Host of 2,000 letters", "Host: \(String(repeating: "a", count: 2000))\r\n", .answered([400, 404])),
        .hostLine("Host with an empty port", "Host: test.example:\r\n", .either([400]) { _ in nil }),
        .hostLine("Host in any case", "hOsT: TEST.Example\r\n", .fine),
        .hostLine("Host with blanks around", "Host: \t test.example \t\r\n", .fine),
        RequestRow("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", .answered([400, 404])),
    ]
}
