/// Chunked bodies (RFC 9112 section 7.1).
extension RequestTable {
    private static let five = RequestOutcome.seenBody("hello")
    private static let rest = "\r\nhello\r\n0\r\n\r\n"

    static let chunkSizes: [RequestRow] = [
        .chunked("size empty", rest, .badBody),
        .chunked("size in C notation", "0x5" + rest, .badBody),
        .chunked("size with plus", "+5" + rest, .badBody),
        .chunked("size with minus", "-5" + rest, .badBody),
        .chunked("size behind a blank", " 5" + rest, .badBody),
        .chunked("size behind a tab", "\t5" + rest, .badBody),
        .chunked("size with a letter beyond f", "5g" + rest, .badBody),
        .chunked("size with a comma", "5,5" + rest, .badBody),
        .chunked("size with NUL", "5\u{0}" + rest, .badBody),
        .chunked("size with underscore", "0_5" + rest, .badBody),
        .chunked("size in quotes", "\"5\"" + rest, .badBody),
        .chunked("size of 17 digits that wraps to 5", "10000000000000005" + rest, .badBody),
        .chunked("size of 16 digits beyond 63 bits", "ffffffffffffffff" + rest, .badBody),
        .chunked("size just beyond 63 bits", "8000000000000005" + rest, .badBody),
        .chunked("size of 1,000 digits", String(repeating: "f", count: 1000) + rest, .badBody),
        .chunked("size with leading zeros", "0005" + rest, .either([400], five)),
        .chunked(
            "size in upper case", "A\r\nhellohello\r\n0\r\n\r\n", .accepted(RequestOutcome.seenBody("hellohello"))),
        .chunked("last size of three zeros", "5\r\nhello\r\n000\r\n\r\n", .either([400], five)),
        .chunked("blank behind the size", "5 " + rest, .either([400], five)),
        .chunked("only the last chunk", "0\r\n\r\n", .accepted(RequestOutcome.seenBody(""))),
    ]

    static let chunkEdges: [RequestRow] = [
        .chunked("extension", "5;a=b" + rest, .accepted(five)),
        .chunked("extension without a value", "5;a" + rest, .accepted(five)),
        .chunked("extension quoted", "5;a=\"b;c\"" + rest, .accepted(five)),
        .chunked("extension behind a blank", "5 ;a=b" + rest, .either([400], five)),
        .chunked("extension at the last chunk", "5\r\nhello\r\n0;a=b\r\n\r\n", .accepted(five)),
        .chunked("extension with bare LF", "5;a\nhello\r\n0\r\n\r\n", .badBody),
        .chunked("extension hiding a size behind LF", "5;\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", .badBody),
        .chunked("extension with bare CR", "5;a\rb" + rest, .badBody),
        .chunked("extension with NUL", "5;a=\u{0}" + rest, .badBody),
        .chunked(
            "extension of 300,000 bytes", "5;" + String(repeating: "a", count: 300_000) + rest,
            .bodyRefused([400, 413, 431])),
        .chunked("LF behind the size", "5\nhello\r\n0\r\n\r\n", .badBody),
        .chunked("CR behind the size", "5\rhello\r\n0\r\n\r\n", .badBody),
        .chunked("no CRLF behind the data", "5\r\nhello0\r\n\r\n", .badBody),
        .chunked("LF behind the data", "5\r\nhello\n0\r\n\r\n", .badBody),
        .chunked("CR behind the data", "5\r\nhello\r0\r\n\r\n", .badBody),
        .chunked("CR and a letter behind the data", "5\r\nhello\rX0\r\n\r\n", .badBody),
        .chunked("a letter and LF behind the data", "5\r\nhelloX\n0\r\n\r\n", .badBody),
        .chunked("data longer than said", "5\r\nhello!!\r\n0\r\n\r\n", .badBody),
        .chunked("data shorter than said", "6\r\nhello\r\n0\r\n\r\nxx", .badBody),
        .chunked("LF at the very end", "5\r\nhello\r\n0\r\n\n", .badBody),
        .chunked("only LFs at the end", "5\r\nhello\r\n0\n\n", .badBody),
        .chunked("trailer with a space in its name", "5\r\nhello\r\n0\r\nX Y: 1\r\n\r\n", .badBody),
        .chunked("trailer with space before colon", "5\r\nhello\r\n0\r\nX-Y : 1\r\n\r\n", .badBody),
        .chunked("trailer without colon", "5\r\nhello\r\n0\r\nGET /evil HTTP/1.1\r\n\r\n", .badBody),
        .chunked("trailer folded", "5\r\nhello\r\n0\r\nX-Y: 1\r\n 2\r\n\r\n", .badBody),
        .chunked("trailer with NUL", "5\r\nhello\r\n0\r\nX-Y: \u{0}\r\n\r\n", .badBody),
        .chunked("trailer with bare LF", "5\r\nhello\r\n0\r\nX-Y: 1\nX-Z: 2\r\n\r\n", .badBody),
        .chunked(
            "5,000 trailers", "5\r\nhello\r\n0\r\n" + String(repeating: "X-Y: 1\r\n", count: 5000) + "\r\n",
            .bodyRefused([400, 413, 431])),
        forbiddenTrailer("Content-Length", "3"),
        forbiddenTrailer("Transfer-Encoding", "chunked"),
        forbiddenTrailer("Host", "evil.example"),
        forbiddenTrailer("Connection", "close"),
        forbiddenTrailer("X-Forwarded-For", "1.2.3.4"),
        .chunked(
            "good trailer", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
            .accepted { $0.body == Array("hello".utf8) ? nil : "body" }),
    ]

    /// A field that must not come in a trailer is dropped, or the request refused (RFC 9110 section 6.5.1).
    private static func forbiddenTrailer(_ name: String, _ value: String) -> RequestRow {
        .chunked(
            "trailer \(name)", "5\r\nhello\r\n0\r\n\(name): \(value)\r\n\r\n",
            .either([400]) { request in
                if request.trailers.contains(where: { $0.name.lowercased() == name.lowercased() }) {
                    return "forwarded"
                }
                return request.head.values(name).contains(value) && name != "Transfer-Encoding"
                    ? "merged into the head" : nil
            })
    }
}
