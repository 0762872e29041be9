import TestSupport
import Testing

@testable import HTTPCodec

@Suite struct RequestHeadTests {
    @Test func aPlainRequest() {
        let read = readRequest("GET /a/b?c=d HTTP/1.1\r\nHost: Example.com:8080\r\nAccept:\t*/* \r\nX:\r\n\r\nbody")
        #expect(read.outcome == .complete(67))
        #expect(read.method == "GET" && read.target == "/a/b?c=d" && read.path == "/a/b?c=d")
        #expect(read.authority == "Example.com:8080" && read.host == "Example.com")
        #expect(read.minor == 1 && read.framing == .none && read.options == [])
        #expect(read.fields.map(\.name) == ["Host", "Accept", "X"])
        #expect(read.fields.map(\.value) == ["Example.com:8080", "*/*", ""])
    }

    @Test(
        arguments: [
            ("GET", .get, true), ("HEAD", .head, true), ("POST", .post, false), ("PUT", .put, true),
            ("DELETE", .delete, true), ("OPTIONS", .options, true), ("TRACE", .trace, true), ("PATCH", .patch, false),
            ("get", .other, false), ("GETS", .other, false), ("PROPFIND", .other, false), ("M-SEARCH", .other, false),
            ("!#$%&'*+-.^_`|~09aZ", .other, false), ("X", .other, false), ("CONNECt", .other, false),
        ] as [(String, RequestHead.Method, Bool)])
    func methods(name: String, method: RequestHead.Method, isIdempotent: Bool) {
        var (head, fields) = (RequestHead(), FieldTable())
        defer { fields.deallocate() }
        let outcome = withExactCopy(Array("\(name) / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)) {
            head.parse($0, limits: MessageLimits(), fields: &fields)
        }
        #expect(outcome == .complete(name.utf8.count + 24))
        #expect(head.method == method && head.method.isIdempotent == isIdempotent)
    }

    /// (first line without its CRLF, the error demanded)
    @Test(
        arguments: [
            ("", .badRequestLine), (" ", .badRequestLine), ("GET", .badRequestLine), ("GET ", .badTarget),
            ("GET /", .badTarget), ("GET / ", .badVersion), (" GET / HTTP/1.1", .badRequestLine),
            ("GET  / HTTP/1.1", .badTarget), ("GET /  HTTP/1.1", .badVersion), ("GET / HTTP/1.1 ", .badVersion),
            ("GET\t/ HTTP/1.1", .badRequestLine), ("GET /\tHTTP/1.1", .badTarget), ("GET / HTTP/1.1\r", .badVersion),
            ("G\rT / HTTP/1.1", .badRequestLine), ("GET /\r HTTP/1.1", .badTarget), ("GET /a b HTTP/1.1", .badVersion),
            ("G(T / HTTP/1.1", .badRequestLine), ("GÉT / HTTP/1.1", .badRequestLine), ("GET /é HTTP/1.1", .badTarget),
            ("GET /\u{0} HTTP/1.1", .badTarget), ("GET /\u{7f} HTTP/1.1", .badTarget),
            ("GET /#frag HTTP/1.1", .badTarget),
            ("GET a HTTP/1.1", .badTarget), ("GET * HTTP/1.1", .badTarget), ("GET ?a HTTP/1.1", .badTarget),
            ("OPTIONS ** HTTP/1.1", .badTarget), ("GET example.com:80 HTTP/1.1", .badTarget),
            ("GET ftp://a/ HTTP/1.1", .badTarget), ("GET http:/a HTTP/1.1", .badTarget),
            ("GET http:// HTTP/1.1", .badTarget),
            ("GET http:///a HTTP/1.1", .badHost), ("GET https://?a HTTP/1.1", .badHost),
            ("GET http://u@a/ HTTP/1.1", .badHost), ("GET http://a:b/ HTTP/1.1", .badHost),
            ("GET http://a:80:80/ HTTP/1.1", .badHost), ("GET http://a:123456/ HTTP/1.1", .badHost),
            ("CONNECT a:80 HTTP/1.1", .unsupportedMethod), ("CONNECT / HTTP/1.1", .unsupportedMethod),
            ("GET / HTTP/2.0", .unsupportedVersion), ("GET / HTTP/0.9", .unsupportedVersion),
            ("GET / HTTP/1", .badVersion), ("GET / HTTP/1.", .badVersion), ("GET / HTTP/1.10", .badVersion),
            ("GET / HTTP/11.1", .badVersion), ("GET / HTTP/1,1", .badVersion), ("GET / http/1.1", .badVersion),
            ("GET / HTTP 1.1", .badVersion), ("GET / ICE/1.0", .badVersion), ("GET / HTTP/a.1", .badVersion),
            ("PRI * HTTP/2.0", .unsupportedVersion),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", .badMethod),
        ] as [(String, MessageError)])
    func badFirstLines(line: String, error: MessageError) {
        #expect(readRequest("\(line)\r\nHost: a\r\n\r\n").error == error)
    }

    /// (header lines without the last CRLF, the error demanded)
    @Test(
        arguments: [
            ("Host: a\r\nX : b", .badFieldName), ("Host: a\r\n: b", .badFieldName), ("Host: a\r\nX", .badFieldName),
            ("Host: a\r\nX y: b", .badFieldName), ("Host: a\r\nX\u{0}: b", .badFieldName),
            ("Host: a\r\n\u{7f}: b", .badFieldName),
            ("Host: a\r\nXé: b", .badFieldName), ("Host: a\r\n(X): b", .badFieldName),
            ("Host: a\r\nX\t: b", .badFieldName),
            ("Host: a\r\n b", .obsoleteFold), ("Host: a\r\n\tb", .obsoleteFold), (" Host: a", .obsoleteFold),
            ("Host: a\r\nX: b\r\n c: d", .obsoleteFold), ("Host: a\r\n \r\nX: b", .obsoleteFold),
            ("Host: a\nX: b", .bareLineFeed), ("Host: a\r\nX: b\n", .bareLineFeed), ("Host: a\r\n\n", .bareLineFeed),
            ("Host: a\rX: b", .badFieldValue), ("Host: a\r\nX: b\r\r", .badFieldValue),
            ("Host: a\r\n\rX: b", .badFieldName),
            ("Host: a\r\nX: \u{0}", .badFieldValue), ("Host: a\r\nX: b\u{1}c", .badFieldValue),
            ("Host: a\r\nX: 0123456789abcdef\u{7f}", .badFieldValue), ("Host: a\r\nX: 1234567\u{1f}9", .badFieldValue),
            ("X: b", .missingHost), ("Host: a\r\nHost: a", .repeatedHost), ("Host: a\r\nhOST: b", .repeatedHost),
            ("Host: a b", .badHost), ("Host: a/b", .badHost), ("Host: u@a", .badHost), ("Host: a,b", .badHost),
            ("Host: a:x", .badHost), ("Host: a:1:2", .badHost), ("Host: :80", .badHost), ("Host: [::1", .badHost),
            ("Host: []", .badHost), ("Host: [::1]x", .badHost), ("Host: [g]", .badHost), ("Host: é", .badHost),
            ("Host: a%20b", .badHost), ("Host: http://a", .badHost),
            ("Host: a\r\nContent-Length: 1\r\nContent-Length: 1", .repeatedContentLength),
            ("Host: a\r\nContent-Length: 1\r\ncontent-length: 2", .repeatedContentLength),
            ("Host: a\r\nContent-Length: 1, 1", .badContentLength), ("Host: a\r\nContent-Length:", .badContentLength),
            ("Host: a\r\nContent-Length: +1", .badContentLength), ("Host: a\r\nContent-Length: -1", .badContentLength),
            ("Host: a\r\nContent-Length: 1 2", .badContentLength),
            ("Host: a\r\nContent-Length: 0x1", .badContentLength),
            ("Host: a\r\nContent-Length: 1.0", .badContentLength), ("Host: a\r\nContent-Length: 1;", .badContentLength),
            ("Host: a\r\nContent-Length: 18446744073709551616", .badContentLength),
            ("Host: a\r\nContent-Length: 9223372036854775808", .badContentLength), ("Host:", .badHost),
            ("Host: a:65536", .badHost),
            ("Host: a\r\nContent-Length: ١", .badContentLength),
            ("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", .lengthAndTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0", .lengthAndTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .badTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked", .unknownTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: chunked, chunked", .badTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: chunked, identity", .badTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: gzip, chunked", .unknownTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: identity", .unknownTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: xchunked", .unknownTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: chunked;q=1", .unknownTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: \"chunked\"", .unknownTransferEncoding),
            ("Host: a\r\nTransfer-Encoding:", .badTransferEncoding),
            ("Host: a\r\nTransfer-Encoding: ,", .badTransferEncoding),
            ("Host: a\r\nExpect: 200-ok", .unknownExpectation),
            ("Host: a\r\nExpect: 100-continue, x", .unknownExpectation),
            ("Host: a\r\nExpect: x\r\nContent-Length: 1\r\nContent-Length: 2", .repeatedContentLength),
        ] as [(String, MessageError)])
    func badFields(lines: String, error: MessageError) {
        #expect(readRequest("POST / HTTP/1.1\r\n\(lines)\r\n\r\n").error == error)
    }

    @Test(
        arguments: [
            ("Content-Length: 0", .none), ("Content-Length: 5", .length(5)), ("content-length:0005", .length(5)),
            ("Content-Length: 9223372036854775807", .length(.max >> 1)),
            ("Content-Length: 9223372036854775807", .length(9_223_372_036_854_775_807)),
            ("Transfer-Encoding: chunked", .chunked), ("transfer-encoding: CHUNKED", .chunked),
            ("Transfer-Encoding: , chunked ,", .chunked), ("X: y", .none),
            ("Connection: content-length\r\nContent-Length: 3", .length(3)),
        ] as [(String, Framing)])
    func framing(line: String, framing: Framing) {
        #expect(readRequest("POST / HTTP/1.1\r\nHost: a\r\n\(line)\r\n\r\n").framing == framing)
    }

    @Test func transferEncodingNeedsHTTP11() {
        #expect(readRequest("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").error == .transferEncodingInHTTP10)
    }

    /// (target, Host; path, authority, host demanded)
    @Test(arguments: [
        ("/", "a", "/", "a", "a"), ("/x", "a.b.c:1", "/x", "a.b.c:1", "a.b.c"),
        ("/x", "[::1]:80", "/x", "[::1]:80", "[::1]"),
        ("//x", "a", "//x", "a", "a"), ("/x", "a_b-c.d", "/x", "a_b-c.d", "a_b-c.d"), ("/x", "a:", "/x", "a:", "a"),
        ("http://b/x?y", "a", "/x?y", "b", "b"), ("HTTP://b:81", "a", "", "b:81", "b"),
        ("https://b?q", "a", "?q", "b", "b"), ("http://[::2]:9/", "a", "/", "[::2]:9", "[::2]"),
    ])
    func targets(target: String, host: String, path: String, authority: String, name: String) {
        let read = readRequest("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        #expect(read.path == path && read.authority == authority && read.host == name, "\(read.outcome)")
    }

    @Test func optionsStar() {
        let read = readRequest("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(read.target == "*" && read.path == "" && read.host == "a")
    }

    @Test func oldVersionsNeedNoHost() {
        #expect(readRequest("GET / HTTP/1.0\r\n\r\n").outcome == .complete(18))
        #expect(readRequest("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").error == .repeatedHost)
        #expect(readRequest("GET / HTTP/1.9\r\nHost: a\r\n\r\n").minor == 1)
    }

    @Test func absoluteTargetsNeedAHostToo() {
        #expect(readRequest("GET http://a/ HTTP/1.1\r\n\r\n").error == .missingHost)
        #expect(readRequest("GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n").error == .badHost)
    }

    /// (version, fields; whether the connection stays)
    @Test(arguments: [
        (1, "", true), (0, "", false), (1, "Connection: close\r\n", false), (0, "Connection: keep-alive\r\n", true),
        (1, "Connection: Keep-Alive, CLOSE\r\n", false), (1, "Connection: x\r\nConnection: close\r\n", false),
        (0, "Connection: keep-alive, close\r\n", false), (1, "Connection: closed\r\n", true),
        (0, "Keep-Alive: timeout=5\r\n", false),
    ])
    func persistence(minor: Int, lines: String, isKept: Bool) {
        var (head, fields) = (RequestHead(), FieldTable())
        defer { fields.deallocate() }
        _ = withExactCopy(Array("GET / HTTP/1.\(minor)\r\nHost: a\r\n\(lines)\r\n".utf8)) {
            head.parse($0, limits: MessageLimits(), fields: &fields)
        }
        #expect(head.keepsAlive == isKept)
    }

    @Test func hopByHopFieldsAreDropped() {
        let read = readRequest(
            """
            GET / HTTP/1.1\r\nConnection: close, X-Secret ,, host, content-length, te\r\nx-secret: 1\r
            Host: a\r\nKeep-Alive: 1\r
            Content-Length: 3\r\nTE: trailers, gzip\r\nTrailer: x\r\nProxy-Connection: x\r
            Upgrade: websocket\r\nX-Secret: 2\r
            Accept: b\r\n\r\n
            """)
        #expect(read.fields.filter { !$0.isDropped }.map(\.name) == ["Host", "Content-Length", "Trailer", "Accept"])
        #expect(read.options == [.close, .acceptsTrailers], "Upgrade is not named in Connection")
    }

    @Test func upgradesAndExpectations() {
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nExpect: 100-Continue\r\n\r\n"
        let new = readRequest("GET / HTTP/1.1\r\nHost: a\r\n" + upgrade)
        #expect(new.options == [.upgrade, .expectContinue])
        #expect(new.upgradeField == 2)
        // RFC 9110 sections 7.8 and 10.1.1: neither means anything in HTTP/1.0.
        #expect(readRequest("GET / HTTP/1.0\r\nHost: a\r\n" + upgrade).options == [])
        #expect(readRequest("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n").options == [])
    }

    @Test func emptyLinesBeforeARequest() {
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(readRequest("\r\n" + request).outcome == .complete(29))
        #expect(readRequest("\r\n\r\n" + request).outcome == .complete(31))
        #expect(readRequest("\r\n\r\n\r\n" + request).error == .badRequestLine)
        #expect(readRequest("\n" + request).error == .bareLineFeed)
        #expect(readRequest("\r" + request).error != nil)
        for prefix in ["", "\r", "\r\n", "\r\n\r", "\r\n\r\n", "\r\n\r\n\r"] {
            #expect(readRequest(prefix).outcome == .incomplete)
        }
    }

    @Test func limitsAreExact() {
        let limits = MessageLimits(targetBytes: 20, fields: 3, headBytes: 200)
        func target(_ count: Int) -> String { "/" + String(repeating: "a", count: count - 1) }
        #expect(readRequest("GET \(target(20)) HTTP/1.1\r\nHost: a\r\n\r\n", limits: limits).error == nil)
        #expect(readRequest("GET \(target(21)) HTTP/1.1\r\nHost: a\r\n\r\n", limits: limits).error == .targetTooLong)
        #expect(readRequest("GET \(target(85))", limits: limits).error == .targetTooLong)
        let lines = "Host: a\r\nB: b\r\nC: c\r\n"
        #expect(readRequest("GET / HTTP/1.1\r\n\(lines)\r\n", limits: limits).error == nil)
        #expect(readRequest("GET / HTTP/1.1\r\n\(lines)D: d\r\n\r\n", limits: limits).error == .tooManyFields)
        func head(_ count: Int) -> String {
            let start = "GET / HTTP/1.1\r\nHost: a\r\nX: "
            return start + String(repeating: "x", count: count - start.utf8.count - 4) + "\r\n\r\n"
        }
        #expect(readRequest(head(200), limits: limits).outcome == .complete(200))
        #expect(readRequest(head(201), limits: limits).error == .headTooLarge)
        #expect(readRequest(Array(head(201).utf8.dropLast()), limits: limits).error == .headTooLarge)
        #expect(readRequest(Array(head(200).utf8.dropLast()), limits: limits).outcome == .incomplete)
    }

    /// A buffer of `headBytes` that is full must never be told to wait for more.
    @Test func aFullBufferIsNeverIncomplete() {
        let limits = MessageLimits(targetBytes: 8192, fields: 10, headBytes: 256)
        for start in [
            "GET /", "\r\n\r\nGET /", "GET / HTTP/1.1\r\nHost: ", "GET / HTTP/1.1\r\nX", "XXXXXXXXXXXX", "G /?",
        ] {
            let bytes = Array((start + String(repeating: "a", count: 256)).utf8.prefix(256))
            #expect(readRequest(bytes, limits: limits).error != nil, "\(start)")
            #expect(readRequest(Array(bytes.prefix(255)), limits: limits).outcome == .incomplete, "\(start)")
        }
    }

    @Test func aFieldLimitAboveTheTableIsTheTable() {
        var limits = MessageLimits()
        limits.fields = 1_000
        let lines = String(repeating: "X: y\r\n", count: FieldTable.maximum - 1)
        #expect(readRequest("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n", limits: limits).error == nil)
        #expect(
            readRequest("GET / HTTP/1.1\r\nHost: a\r\n\(lines)X: y\r\n\r\n", limits: limits).error == .tooManyFields)
    }
}

@Suite struct OctetTests {
    @Test func classes() {
        let token = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        for byte in UInt8.min...UInt8.max {
            #expect(Octets.isToken(byte) == token.contains(byte), "\(byte)")
            #expect(Octets.isTarget(byte) == (byte > 0x20 && byte < 0x7f && byte != 0x23))
            #expect(Octets.isDigit(byte) == (0x30...0x39).contains(byte))
            let hex = Int(String(UnicodeScalar(byte)), radix: 16)
            #expect(Octets.hexValue(byte).map(Int.init) == (byte < 128 ? hex : nil), "\(byte)")
            #expect(Octets.lowercased(byte) == ((65...90).contains(byte) ? byte + 32 : byte))
        }
    }

    /// The eight-at-a-time test against one octet at a time, each octet at each place of a word and beside each other.
    @Test func fieldValues() {
        var random = SeededRandom(seed: 5)
        let odd: [UInt8] = [0, 1, 8, 9, 10, 13, 0x1f, 0x20, 0x21, 0x7e, 0x7f, 0x80, 0x81, 0x9f, 0xa0, 0xfe, 0xff]
        for _ in 0..<100_000 {
            let bytes = (0..<random.below(25)).map { _ in
                random.once(in: 8)
                    ? random.element(of: odd) : random.once(in: 2) ? 0x80 : 0x20 + UInt8(random.below(95))
            }
            let isGood = bytes.allSatisfy { $0 == 9 || $0 >= 0x20 && $0 != 0x7f }
            let found = bytes.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { Octets.isFieldValue($0, buffer.count) } ?? true
            }
            #expect(found == isGood, "\(bytes)")
        }
    }

    @Test func everyErrorHasAStatusAndAReason() {
        for error in MessageError.allCases {
            #expect((400...599).contains(error.status))
            #expect(!"\(error.reason)".contains("\""))
        }
        #expect(MessageError.targetTooLong.status == 414 && MessageError.headTooLarge.status == 431)
        #expect(MessageError.unsupportedVersion.status == 505 && MessageError.unknownTransferEncoding.status == 501)
        #expect(MessageError.lengthAndTransferEncoding.status == 400)
    }
}
