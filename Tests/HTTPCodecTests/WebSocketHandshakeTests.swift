import HTTPCodec
import Testing

@Suite struct WebSocketHandshakeTests {
    /// The sample of RFC 6455 section 1.3.
    @Test func theAnswerToAKey() {
        let accept = WebSocketKey(0x7468_6520_7361_6d70, 0x6c65_206e_6f6e_6365).accept
        #expect(accept == ResponseTextTests.accept)
        let said = Array("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".utf8)
        #expect(withExactCopy(said) { accept.isSaid(by: $0) })
        for index in said.indices {
            var other = said
            other[index] ^= 1
            #expect(!withExactCopy(other) { accept.isSaid(by: $0) })
        }
        #expect(!withExactCopy(Array(said.dropLast())) { accept.isSaid(by: $0) })
        #expect(!withExactCopy([]) { accept.isSaid(by: $0) })
    }

    /// Every length that a text may have, against digests computed elsewhere: one or two blocks.
    @Test(arguments: [
        (0, "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="), (1, "FtgH8qqfEKHvZKEZYEWkYDhlXNY="),
        (19, "yzaGyu0mcUukN7CdsSwa30tnCpc="), (20, "dUYRM7bOMwDmbriNIPr11x+r3E0="),
        (27, "NCEiOv6lMC9mC8oEZnneqRdJ4DU="), (28, "xMWmCBqYJY4uXzUs8PNU1t+Pzro="),
        (64, "jGdebzmm20QI0DmM5dGETWg7dwQ="), (80, "jGdebzmm20QI0DmM5dGETWg7dwQ="),
    ])
    func keysOfAnyLength(count: Int, said: String) {
        let accept = withExactCopy([UInt8](repeating: 0x61, count: count)) { WebSocketAccept(key: $0) }
        #expect(withExactCopy(Array(said.utf8)) { accept.isSaid(by: $0) }, "\(count)")
    }

    @Test(arguments: [
        ("dGhlIHNhbXBsZSBub25jZQ==", true), ("AAAAAAAAAAAAAAAAAAAAAA==", true), ("+/+/+/+/+/+/+/+/+/+/+w==", true),
        ("", false), ("dGhlIHNhbXBsZSBub25jZQ=", false), ("dGhlIHNhbXBsZSBub25jZQ===", false),
        ("dGhlIHNhbXBsZSBub25jZQAA", false), ("dGhlIHNhbXBs SBub25jZQ==", false), ("dGhlIHNhbXBs=SBub25jZQ==", false),
    ])
    func keys(text: String, isOne: Bool) {
        #expect(withExactCopy(Array(text.utf8)) { WebSocketKey.isWellFormed($0) } == isOne)
    }

    @Test(arguments: [
        ("GET", "websocket", true), ("GET", "WebSocket", true), ("GET", "foo, websocket/13, websocket", true),
        ("GET", "websocket/13", false), ("GET", "h2c", false), ("POST", "websocket", false),
        ("GET", "websockets", false),
    ])
    func whoAsks(method: String, upgrade: String, asks: Bool) {
        let text = "\(method) / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: \(upgrade)\r\n\r\n"
        withExactCopy(Array(text.utf8)) { bytes in
            var fields = FieldTable()
            defer { fields.deallocate() }
            var head = RequestHead()
            guard case .complete = head.parse(bytes, limits: MessageLimits(), fields: &fields) else {
                Issue.record("no head")
                return
            }
            #expect(head.asksWebSocket(fields, in: bytes.baseAddress!) == asks)
        }
    }
}
