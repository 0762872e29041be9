/// Request lines and targets (RFC 9112 section 3), and fields that steer the connection.
extension RequestTable {
    static let requestLine: [RequestRow] = [
        .line("method with an at sign", "G@T / HTTP/1.1", .bad),
        .line("method with a bracket", "GET( / HTTP/1.1", .bad),
        .line("method with a colon", "GET: / HTTP/1.1", .bad),
        .line("method with NUL", "GE\u{0}T / HTTP/1.1", .bad),
        .line("no method", " / HTTP/1.1", .bad),
        .line("method alone", "GET", .bad),
        .line(
            "method of 100,000 letters", "\(String(repeating: "A", count: 100_000)) / HTTP/1.1",
            .rejected([400, 414, 431, 501])),
        .line(
            "method in lower case", "get / HTTP/1.1", .either([400, 405, 501]) { $0.method == "get" ? nil : "method" }),
        .line("unknown method", "BREW / HTTP/1.1", .either([405, 501]) { $0.method == "BREW" ? nil : "method" }),
        .line("HTTP/2.0", "GET / HTTP/2.0", .rejected([505])),
        .line("HTTP/3.0", "GET / HTTP/3.0", .rejected([505])),
        .line("HTTP/0.9", "GET / HTTP/0.9", .rejected([400, 505])),
        .line("HTTP/1.2", "GET / HTTP/1.2", .either([400, 505]) { _ in nil }),
        .line("version in lower case", "GET / http/1.1", .bad),
        .line("version of two digits", "GET / HTTP/1.10", .bad),
        .line("version with leading zero", "GET / HTTP/01.1", .bad),
        .line("version without minor", "GET / HTTP/1", .bad),
        .line("version with comma", "GET / HTTP/1,1", .bad),
        .line("version with a tail", "GET / HTTP/1.1x", .bad),
        .line("version of another protocol", "GET / ICY/1.1", .bad),
        .line("version torn", "GET / HTTP /1.1", .bad),
        .line("no version", "GET /", .bad),
        .line("blank behind the version", "GET / HTTP/1.1 ", .bad),
        .line("two blanks before the target", "GET  / HTTP/1.1", .bad),
        .line("two blanks before the version", "GET /  HTTP/1.1", .bad),
        .line("tab before the target", "GET\t/ HTTP/1.1", .bad),
        .line("tab before the version", "GET /\tHTTP/1.1", .bad),
        .line("form feed before the version", "GET /\u{c}HTTP/1.1", .bad),
        .line("bare CR as separator", "GET\r/ HTTP/1.1", .bad),
        .line("blank before the method", " GET / HTTP/1.1", .bad),
        .line("tab before the method", "\tGET / HTTP/1.1", .bad),
        .line("one empty line before", "\r\nGET / HTTP/1.1", .fine),
        .line("two empty lines before", "\r\n\r\nGET / HTTP/1.1", .fine),
        .line("empty line of bare LF before", "\nGET / HTTP/1.1", .bad),
        RequestRow("damaged preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", .rejected([400, 505])),
        RequestRow(
            "a TLS greeting",
            bytes: [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 13, 10, 13, 10],
            .bad),
        RequestRow("only blanks", "    \r\n\r\n", .bad),
        RequestRow(
            "a good request, then a bad one",
            "GET / HTTP/1.1\r\nHost: test.example\r\n\r\nGET / HTTP/1.1\r\nHost : test.example\r\n\r\n",
            .acceptedThenRejected([400])),
    ]

    static let target: [RequestRow] = [
        RequestRow(
            "absolute form wins over Host", "GET http://test.example/abs?q HTTP/1.1\r\nHost: other.example\r\n\r\n",
            .accepted { request in
                if request.target != "/abs?q" { return "target \(request.target)" }
                return request.head.values("Host") == ["test.example"] ? nil : "Host \(request.head.values("Host"))"
            }),
        RequestRow(
            "absolute form of an unknown host", "GET http://other.example/ HTTP/1.1\r\nHost: test.example\r\n\r\n",
            .answered([404])),
        .line(
            "absolute form without a path", "GET http://test.example HTTP/1.1",
            .accepted(RequestOutcome.seenTarget("/"))),
        .line(
            "absolute form with a query only", "GET http://test.example?a=1 HTTP/1.1",
            .either([400], RequestOutcome.seenTarget("/?a=1"))),
        .line(
            "absolute form with a port", "GET http://test.example:8080/x HTTP/1.1",
            .accepted(RequestOutcome.seenTarget("/x"))),
        .line(
            "absolute form in upper case", "GET HTTP://TEST.example/x HTTP/1.1",
            .accepted(RequestOutcome.seenTarget("/x"))),
        .line("absolute form with user", "GET http://user:pw@test.example/ HTTP/1.1", .bad),
        .line("absolute form without a host", "GET http:///path HTTP/1.1", .bad),
        .line("absolute form of another scheme", "GET ftp://test.example/ HTTP/1.1", .answered([400, 404, 421, 501])),
        .line("absolute form with a bad port", "GET http://test.example:port/ HTTP/1.1", .bad),
        RequestRow("absolute form without Host", "GET http://test.example/ HTTP/1.1\r\nX: 1\r\n\r\n", .bad),
        .line("authority form with GET", "GET test.example:80 HTTP/1.1", .bad),
        .line("CONNECT", "CONNECT test.example:443 HTTP/1.1", .answered([405, 501])),
        .line("CONNECT with a path", "CONNECT / HTTP/1.1", .rejected([400, 405, 501])),
        .line(
            "asterisk with OPTIONS", "OPTIONS * HTTP/1.1",
            .either([200, 204, 400, 404, 501], RequestOutcome.seenTarget("*"))),
        .line("asterisk with GET", "GET * HTTP/1.1", .bad),
        .line("asterisk with a tail", "OPTIONS *x HTTP/1.1", .bad),
        .line("no leading slash", "GET path HTTP/1.1", .bad),
        .line("query alone", "GET ?q=1 HTTP/1.1", .bad),
        .line("fragment", "GET /a#b HTTP/1.1", .bad),
        .line("space in the target", "GET /a b HTTP/1.1", .bad),
        .line("control in the target", "GET /a\u{1}b HTTP/1.1", .bad),
        .line("NUL in the target", "GET /a\u{0}b HTTP/1.1", .bad),
        .line("DEL in the target", "GET /a\u{7f}b HTTP/1.1", .bad),
        .line("letters beyond ASCII in the target", "GET /caf\u{e9} HTTP/1.1", .bad),
        .line("bare CR in the target", "GET /a\rb HTTP/1.1", .bad),
        .line("angle brackets in the target", "GET /a<b> HTTP/1.1", .either([400], RequestOutcome.seenTarget("/a<b>"))),
        .line("broken percent code", "GET /%zz HTTP/1.1", .either([400], RequestOutcome.seenTarget("/%zz"))),
        .line("coded NUL", "GET /%00 HTTP/1.1", .either([400], RequestOutcome.seenTarget("/%00"))),
        .line("coded slash stays coded", "GET /a%2Fb HTTP/1.1", .either([400], RequestOutcome.seenTarget("/a%2Fb"))),
        .line("two slashes stay two", "GET //evil/x HTTP/1.1", .either([400], RequestOutcome.seenTarget("//evil/x"))),
        .line(
            "target of 200,000 letters", "GET /\(String(repeating: "a", count: 200_000)) HTTP/1.1",
            .rejected([414, 431])),
    ]

    static let options: [RequestRow] = [
        .fields("unknown expectation", "Expect: 200-ok\r\n", .answered([417])),
        .fields("close and keep-alive", "Connection: close, keep-alive\r\n", .fine),
        .fields("Connection with a bad token", "Connection: \u{1}\r\n", .bad),
        .fields("Connection of commas", "Connection: ,,,\r\n", .either([400]) { _ in nil }),
        .framed(
            "Connection names the length", "Connection: Content-Length\r\nContent-Length: 5\r\n", "hello",
            .either([400], RequestOutcome.seenBody("hello"))),
        .framed(
            "Connection names the coding", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n", .either([400], RequestOutcome.seenBody("hello"))),
        .fields(
            "Connection names Host", "Connection: Host\r\n",
            .either([400]) { $0.head.values("Host") == ["test.example"] ? nil : "Host is gone" }),
        .framed(
            "upgrade with a body", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", "hello",
            .either([400], RequestOutcome.seenBody("hello"))),
        .fields(
            "Upgrade without Connection", "Upgrade: websocket\r\n",
            .accepted { $0.head["Upgrade"] == nil ? nil : "Upgrade was forwarded" }),
        .fields(
            "upgrade to HTTP/2 in clear text",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
            .accepted { $0.head["HTTP2-Settings"] == nil ? nil : "HTTP2-Settings was forwarded" }),
        RequestRow(
            "upgrade in HTTP/1.0",
            "GET / HTTP/1.0\r\nHost: test.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            .accepted { $0.head["Upgrade"] == nil ? nil : "Upgrade was forwarded" }),
        RequestRow(
            "expectation in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: test.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
            .accepted(RequestOutcome.seenBody("hello"))),
        .line("TRACE", "TRACE / HTTP/1.1", .either([400, 405, 501]) { $0.method == "TRACE" ? nil : "method" }),
        .fields("length zero on GET", "Content-Length: 0\r\n", .fine),
        .fields("spoofed inner field", "X-Forwarded-For : 1.2.3.4\r\n", .bad),
        RequestRow(
            "a second request hidden in a body",
            "POST / HTTP/1.1\r\nHost: test.example\r\nContent-Length: 44\r\n\r\n"
                + "GET /evil HTTP/1.1\r\nHost: test.example\r\n\r\n\r\n",
            .accepted { $0.body.count == 44 ? nil : "body of \($0.body.count)" }),
    ]
}
