import HTTPCodec
import TestSupport
import Testing

/// Header blocks of HTTP/2 rendered as HTTP/1.1.
@Suite struct RequestTextTests {
    struct Rendered {
        var text = ""
        var fault: MessageError?
        var isChunked = false
    }

    private static let key = WebSocketKey(0x7468_6520_7361_6d70, 0x6c65_206e_6f6e_6365)

    static let base: [(String, String)] = [
        (":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/x?y=1"),
    ]

    static func render(
        _ fields: [([UInt8], [UInt8])], hasBody: Bool = false, capacity: Int = 16 << 10,
        limits: MessageLimits = MessageLimits()
    ) -> Rendered {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 1)
        defer { memory.deallocate() }
        var text = RequestText(memory, capacity: capacity, limits: limits)
        for (name, value) in fields {
            withExactCopy(name) { name in withExactCopy(value) { value in text.append(name, value) } }
        }
        let isChunked = text.finish(hasBody: hasBody) { key }
        let bytes = UnsafeRawBufferPointer(start: memory, count: text.count)
        return Rendered(text: String(decoding: bytes, as: UTF8.self), fault: text.fault, isChunked: isChunked)
    }

    private func render(_ fields: [(String, String)], hasBody: Bool = false) -> Rendered {
        Self.render(fields.map { (Array($0.0.utf8), Array($0.1.utf8)) }, hasBody: hasBody)
    }

    @Test func pseudoFieldsInAnyOrder() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<24 {
            let rendered = render(Self.base.shuffled(using: &random) + [("accept", "*/*"), ("x-a", "1")])
            #expect(rendered.fault == nil)
            #expect(
                rendered.text == "GET /x?y=1 HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\nx-a: 1\r\n\r\n")
        }
    }

    @Test func bodiesGetALengthOrChunks() {
        let post = [(":method", "POST")] + Self.base.dropFirst()
        let chunked = render(post, hasBody: true)
        #expect(chunked.isChunked && chunked.text.hasSuffix("transfer-encoding: chunked\r\n\r\n"))
        let counted = render(post + [("content-length", "3")], hasBody: true)
        #expect(!counted.isChunked && counted.text.hasSuffix("content-length: 3\r\n\r\n"))
        #expect(render(post).text.hasSuffix("content-length: 0\r\n\r\n"))
        #expect(!render(Self.base).text.contains("content-length"))
    }

    @Test func hostMayOnlyRepeatTheAuthority() {
        #expect(render(Self.base + [("host", "A.Example")]).text == "GET /x?y=1 HTTP/1.1\r\nhost: a.example\r\n\r\n")
        #expect(render(Self.base + [("host", "b.example")]).fault == .repeatedHost)
        #expect(render(Self.base + [("host", "a.example"), ("host", "a.example")]).fault == .repeatedHost)
        let bare = Self.base.filter { $0.0 != ":authority" }
        #expect(render(bare + [("host", "c.example")]).text == "GET /x?y=1 HTTP/1.1\r\nhost: c.example\r\n\r\n")
    }

    @Test func crumbsAreOneCookie() {
        let rendered = render(
            Self.base + [("cookie", "a=1"), ("x-a", "2"), ("cookie", "b=2"), ("x-b", "3"), ("cookie", "c=3")])
        #expect(
            rendered.text
                == "GET /x?y=1 HTTP/1.1\r\nhost: a.example\r\ncookie: a=1; b=2; c=3\r\nx-a: 2\r\nx-b: 3\r\n\r\n")
    }

    @Test func onlyTrailersOfTE() {
        #expect(render(Self.base + [("te", "trailers")]).text.hasSuffix("te: trailers\r\n\r\n"))
        #expect(!render(Self.base + [("te", "gzip")]).text.contains("te:"))
    }

    @Test(arguments: [
        ([(":path", "http://other/")], MessageError.badTarget), ([(":path", "")], .badTarget),
        ([(":path", "/a b")], .badTarget), ([(":path", "/a\r\nx: y")], .badTarget), ([(":path", "**")], .badTarget),
        ([(":method", "GET / HTTP/1.1\r\nx: y")], .badMethod), ([(":method", "")], .badMethod),
        ([(":method", "CONNECT")], .unsupportedMethod), ([(":authority", "a\r\nx: y")], .badHost),
        ([(":authority", "a b")], .badHost), ([(":status", "200")], .badFieldName),
        ([("x-a", "1\r\nx-b: 2")], .badFieldValue), ([("x-a", "1\u{0}")], .badFieldValue),
        ([("x-a\r\nx-b", "1")], .badFieldName), ([("x a", "1")], .badFieldName), ([("", "1")], .badFieldName),
        ([("cookie", "a=1"), ("cookie", "b\r\nx: y")], .badFieldValue),
        ([("connection", "close")], .badFieldName), ([("transfer-encoding", "chunked")], .badFieldName),
        ([("upgrade", "h2c")], .badFieldName), ([("keep-alive", "1")], .badFieldName),
        ([("proxy-connection", "close")], .badFieldName), ([("x-a", "1"), (":scheme", "http")], .badFieldName),
    ])
    func faults(_ fields: [(String, String)], fault: MessageError) {
        let replaced = Set(fields.map(\.0))
        #expect(render(Self.base.filter { !replaced.contains($0.0) || $0.0 == "x-a" } + fields).fault == fault)
    }

    private static let tunnel: [(String, String)] = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "a.example"),
        (":path", "/chat"),
    ]

    @Test func anExtendedConnectIsAnUpgrade() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<24 {
            let fields =
                Self.tunnel.shuffled(using: &random) + [
                    ("sec-websocket-version", "13"), ("sec-websocket-key", "of the client"), ("host", "A.example"),
                ]
            for hasBody in [true, false] {
                let rendered = render(fields, hasBody: hasBody)
                #expect(rendered.fault == nil && !rendered.isChunked)
                #expect(
                    rendered.text
                        == "GET /chat HTTP/1.1\r\nhost: a.example\r\nsec-websocket-version: 13\r\n"
                        + "connection: Upgrade\r\nupgrade: websocket\r\n"
                        + "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            }
        }
    }

    @Test(arguments: [
        (":protocol", "connect-udp", MessageError.unsupportedTunnel), (":protocol", "web socket", .badFieldName),
        (":protocol", "", .badFieldName), (":path", "*", .badTarget), (":path", "", .badTarget),
        (":authority", "", .badHost), (":method", "GET", .badMethod), (":method", "connect", .badMethod),
        ("content-length", "0", .badContentLength), ("upgrade", "websocket", .badFieldName),
    ])
    func faultsOfTunnels(name: String, value: String, fault: MessageError) {
        #expect(render(Self.tunnel.filter { $0.0 != name } + [(name, value)], hasBody: true).fault == fault)
    }

    @Test func whatATunnelNeeds() {
        for (name, fault) in [(":authority", MessageError.missingHost), (":path", .badTarget), (":method", .badMethod)]
        {
            #expect(render(Self.tunnel.filter { $0.0 != name }).fault == fault)
        }
        #expect(render([(":method", "CONNECT"), (":authority", "a.example:443")]).fault == .unsupportedMethod)
    }

    @Test func twiceIsAFault() {
        for field in Self.base where field.0 != ":scheme" { #expect(render(Self.base + [field]).fault != nil) }
    }

    @Test func limits() {
        let many = (0..<101).map { ("x-\($0)", "1") }
        #expect(render(Self.base + many).fault == .tooManyFields)
        #expect(render(Self.base + [("x", String(repeating: "v", count: 15_400))]).fault == .headTooLarge)
        let long = "/" + String(repeating: "p", count: 8191)
        let whole = render([(":path", long), (":method", "GET"), (":authority", "a.example")])
        #expect(whole.fault == nil && whole.text.hasPrefix("GET \(long) HTTP/1.1\r\nhost: a.example\r\n"))
        #expect(render([(":path", long + "p"), (":method", "GET")]).fault == .targetTooLong)
    }

    private static let names = [
        ":method", ":path", ":authority", ":scheme", ":protocol", "host", "cookie", "te", "content-length", "x-a",
        "sec-websocket-key",
        "connection", "transfer-encoding", "accept", "",
    ]
    private static let values = [
        "GET", "POST", "HEAD", "CONNECT", "websocket", "/", "/a?b", "*", "a.example", "https", "trailers", "5",
        "chunked", "", "a=1",
        String(repeating: "v", count: 300),
    ]

    /// Whatever comes in: what comes out without a fault is one HTTP/1.1 head with these fields and no other.
    @Test(arguments: 0..<8) func anyBlock(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var whole = 0
        for _ in 0..<4000 {
            let start = random.once(in: 3) ? [] : random.once(in: 4) ? Self.tunnel : Self.base
            var fields = start.map { (Array($0.0.utf8), Array($0.1.utf8)) }
            for _ in 0..<random.below(8) {
                var name = Array(random.element(of: Self.names).utf8)
                var value = Array(random.element(of: Self.values).utf8)
                if random.once(in: 6) { name = random.mutate(name, crossedWith: value, interesting: Self.marks) }
                if random.once(in: 4) { value = random.mutate(value, crossedWith: name, interesting: Self.marks) }
                fields.insert((name, value), at: random.once(in: 4) ? random.below(fields.count + 1) : fields.count)
            }
            let rendered = Self.render(fields, hasBody: random.once(in: 2), capacity: 600 + random.below(16_000))
            guard rendered.fault == nil else { continue }
            whole += 1
            check(rendered, fields)
        }
        #expect(whole > 300, "some are whole")
    }

    private static let ownNames: Set<String> = [
        "host", "transfer-encoding", "content-length", "connection", "upgrade", "sec-websocket-key",
    ]
    private static let marks = Array("\r\n\r\n: \t,;\u{0}\u{7f}0aA/*".utf8) + [0x80, 0xff]

    private func check(_ rendered: Rendered, _ fields: [([UInt8], [UInt8])]) {
        let lines = rendered.text.utf8.split(separator: 10, omittingEmptySubsequences: false)
        #expect(lines.dropLast().allSatisfy { $0.last == 13 && !$0.dropLast().contains(13) && !$0.contains(0) })
        // Request line, lines, an empty one, and nothing behind it.
        #expect(lines.dropFirst().dropLast(2).allSatisfy { $0.count > 1 } && lines.last?.isEmpty == true)
        let given = Set(fields.map { String(decoding: $0.0, as: UTF8.self) })
        for line in lines.dropFirst().dropLast(2) {
            let name = String(line.prefix { $0 != 58 }) ?? ""
            #expect(given.contains(name) || Self.ownNames.contains(name))
            #expect(name != "transfer-encoding" || rendered.isChunked)
        }
        let read = readRequest(Array(rendered.text.utf8))
        if case .complete(let end) = read.outcome { #expect(end == rendered.text.utf8.count) }
    }
}
