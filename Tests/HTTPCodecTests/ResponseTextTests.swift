import HTTPCodec
import TestSupport
import Testing

/// Header blocks of HTTP/2 responses rendered as HTTP/1.1.
@Suite struct ResponseTextTests {
    struct Rendered {
        var text = ""
        var fault: MessageError?
        var isChunked = false
        var isTunnel = false
        var status = 0
    }

    /// How the block came.
    struct Setting {
        var hasBody = false
        var toHead = false
        var accept: WebSocketAccept?
        var capacity = 16 << 10
        var limits = MessageLimits()
    }

    static let accept = withExactCopy(Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)) { WebSocketAccept(key: $0) }

    static func render(_ fields: [([UInt8], [UInt8])], _ setting: Setting = Setting()) -> Rendered {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: setting.capacity, alignment: 1)
        defer { memory.deallocate() }
        var text = ResponseText(
            memory, capacity: setting.capacity, limits: setting.limits, accept: setting.accept)
        for (name, value) in fields {
            withExactCopy(name) { name in withExactCopy(value) { value in text.append(name, value) } }
        }
        let isChunked = text.finish(hasBody: setting.hasBody, toHead: setting.toHead)
        let bytes = UnsafeRawBufferPointer(start: memory, count: text.count)
        return Rendered(
            text: String(decoding: bytes, as: UTF8.self), fault: text.fault, isChunked: isChunked,
            isTunnel: text.isTunnel, status: text.status)
    }

    private func render(_ fields: [(String, String)], _ setting: Setting = Setting()) -> Rendered {
        Self.render(fields.map { (Array($0.0.utf8), Array($0.1.utf8)) }, setting)
    }

    @Test func bodiesGetALengthOrChunks() {
        let head = [(":status", "200"), ("x-a", "1")]
        #expect(
            render(head, Setting(hasBody: true)).text
                == "HTTP/1.1 200 \r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n")
        #expect(render(head).text == "HTTP/1.1 200 \r\nx-a: 1\r\ncontent-length: 0\r\n\r\n")
        #expect(render(head, Setting(toHead: true)).text == "HTTP/1.1 200 \r\nx-a: 1\r\n\r\n")
        let counted = render(head + [("content-length", "3")], Setting(hasBody: true))
        #expect(!counted.isChunked && counted.text.hasSuffix("content-length: 3\r\n\r\n"))
        for status in ["103", "204", "304"] {
            #expect(render([(":status", status)]).text == "HTTP/1.1 \(status) \r\n\r\n")
        }
    }

    @Test func successIsAnUpgradeWhereAWebSocketWasAskedFor() {
        let fields = [
            (":status", "200"), ("sec-websocket-protocol", "chat"), ("sec-websocket-accept", "another"),
            ("content-length", "7"),
        ]
        let rendered = render(fields, Setting(hasBody: true, accept: Self.accept))
        #expect(rendered.fault == nil && rendered.isTunnel && !rendered.isChunked)
        #expect(
            rendered.text
                == "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
                + "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: chat\r\n\r\n")
        let refused = render([(":status", "403")], Setting(hasBody: true, accept: Self.accept))
        #expect(!refused.isTunnel && refused.text.hasPrefix("HTTP/1.1 403 \r\n") && refused.isChunked)
        let interim = render([(":status", "103")], Setting(hasBody: true, accept: Self.accept))
        #expect(!interim.isTunnel && interim.text == "HTTP/1.1 103 \r\n\r\n")
    }

    @Test(
        arguments: [
            ([], MessageError.badStatusLine), ([(":status", "101")], .badStatusLine),
            ([(":status", "99")], .badStatusLine),
            ([(":status", "600")], .badStatusLine), ([(":status", "2000")], .badStatusLine),
            ([(":status", "20x")], .badStatusLine), ([(":status", "")], .badStatusLine),
            ([("x-a", "1")], .badStatusLine),
            ([(":status", "200"), (":status", "200")], .badStatusLine), ([(":path", "/")], .badStatusLine),
            ([(":status", "200"), ("connection", "close")], .badFieldName),
            ([(":status", "200"), ("transfer-encoding", "chunked")], .badFieldName),
            ([(":status", "200"), ("upgrade", "websocket")], .badFieldName),
            ([(":status", "200"), ("x-a\r\nx-b", "1")], .badFieldName),
            ([(":status", "200"), ("", "1")], .badFieldName),
            ([(":status", "200"), ("x-a", "1\r\n\r\n")], .badFieldValue),
            ([(":status", "200"), ("x-a", "1\u{0}")], .badFieldValue),
        ] as [([(String, String)], MessageError)])
    func faults(_ fields: [(String, String)], fault: MessageError) { #expect(render(fields).fault == fault) }

    @Test func limits() {
        let many = (0..<101).map { ("x-\($0)", "1") }
        #expect(render([(":status", "200")] + many).fault == .tooManyFields)
        let long = String(repeating: "v", count: 15_400)
        #expect(render([(":status", "200"), ("x", long)]).fault == .headTooLarge)
        #expect(render([(":status", "200"), ("x", "1")], Setting(capacity: 30)).fault == .headTooLarge)
    }

    // MARK: - Whatever comes

    private static let names = [
        ":status", ":path", "content-length", "set-cookie", "sec-websocket-accept", "sec-websocket-protocol",
        "connection", "transfer-encoding", "upgrade", "te", "host", "x-a", "trailer", "",
    ]
    private static let values = [
        "200", "204", "304", "101", "103", "404", "599", "0", "5", "chunked", "websocket", "a=1; path=/", "",
        String(repeating: "v", count: 300),
    ]
    private static let marks = Array("\r\n\r\n: \t,;\u{0}\u{7f}0aA/*".utf8) + [0x80, 0xff]

    /// What comes out without a fault is one HTTP/1.1 head with these fields and no other, and its reader finds the
    /// same end of the body.
    @Test(arguments: 0..<8) func anyBlock(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var whole = 0
        for _ in 0..<4000 {
            var fields: [([UInt8], [UInt8])] =
                random.once(in: 4)
                ? [] : [(Array(":status".utf8), Array(random.element(of: Array(Self.values.prefix(7))).utf8))]
            for _ in 0..<random.below(8) {
                var name = Array(random.element(of: Self.names).utf8)
                var value = Array(random.element(of: Self.values).utf8)
                if random.once(in: 6) { name = random.mutate(name, crossedWith: value, interesting: Self.marks) }
                if random.once(in: 4) { value = random.mutate(value, crossedWith: name, interesting: Self.marks) }
                fields.insert((name, value), at: random.once(in: 9) ? random.below(fields.count + 1) : fields.count)
            }
            let setting = Setting(
                hasBody: random.once(in: 2), toHead: random.once(in: 5),
                accept: random.once(in: 3) ? Self.accept : nil, capacity: 60 + random.below(16_000))
            let rendered = Self.render(fields, setting)
            guard rendered.fault == nil else { continue }
            whole += 1
            check(rendered, fields, setting)
        }
        #expect(whole > 300, "some are whole")
    }

    private func check(_ rendered: Rendered, _ fields: [([UInt8], [UInt8])], _ setting: Setting) {
        let lines = rendered.text.utf8.split(separator: 10, omittingEmptySubsequences: false)
        #expect(lines.dropLast().allSatisfy { $0.last == 13 && !$0.dropLast().contains(13) && !$0.contains(0) })
        #expect(lines.dropFirst().dropLast(2).allSatisfy { $0.count > 1 } && lines.last?.isEmpty == true)
        var given = Set(fields.map { String(decoding: $0.0, as: UTF8.self) })
        given.formUnion(["transfer-encoding", "content-length"])
        if rendered.isTunnel { given.formUnion(["connection", "upgrade", "sec-websocket-accept"]) }
        for line in lines.dropFirst().dropLast(2) {
            let name = String(line.prefix { $0 != 58 }) ?? ""
            #expect(given.contains(name))
            #expect(name != "transfer-encoding" || rendered.isChunked)
        }
        let read = readResponse(Array(rendered.text.utf8), toHead: setting.toHead)
        guard case .complete(let end) = read.outcome else { return }
        #expect(end == rendered.text.utf8.count)
        #expect(read.status == (rendered.isTunnel ? 101 : rendered.status))
        #expect(read.options.contains(.upgrade) == rendered.isTunnel)
        #expect(read.framing != .untilClose, "an end that only the connection would tell")
        #expect((read.framing == .chunked) == rendered.isChunked)
    }
}
