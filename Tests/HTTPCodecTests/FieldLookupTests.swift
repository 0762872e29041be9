import HTTPCodec
import TestSupport
import Testing

@Suite struct FieldLookupTests {
    private func values(_ name: String, in head: String) -> [String] {
        var fields = FieldTable()
        defer { fields.deallocate() }
        var parsed = RequestHead()
        return Array(head.utf8).withUnsafeBytes { raw in
            _ = parsed.parse(raw, limits: MessageLimits(), fields: &fields)
            var index = 0
            var values: [String] = []
            Array(name.utf8).withUnsafeBytes { name in
                while let value = fields.nextValue(name, from: &index, in: raw.baseAddress!) {
                    values.append(String(decoding: value, as: UTF8.self))
                }
            }
            return values
        }
    }

    @Test func everyFieldOfANameIsFound() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-AB: 2\r\nx-a:\r\nX-a:  3 \r\n\r\n"
        #expect(values("X-A", in: head) == ["1", "", "3"])
        #expect(values("x-ab", in: head) == ["2"])
        #expect(values("x", in: head) == [])
        #expect(values("", in: head) == [])
    }

    private func cookies(_ text: String) -> [String] {
        var found: [String] = []
        Array(text.utf8).withUnsafeBytes {
            CookieList.forEach($0) { name, value in
                found.append("\(String(decoding: name, as: UTF8.self))|\(String(decoding: value, as: UTF8.self))")
            }
        }
        return found
    }

    @Test(arguments: [
        ("a=1; b=2", ["a|1", "b|2"]), ("a=1;b=2;", ["a|1", "b|2"]), ("  a=1=2 ;; c", ["a|1=2"]), ("", []),
        (";", []), ("=1", ["|1"]), ("a=", ["a|"]), ("a", []), ("a=\"x y\"", ["a|\"x y\""]),
    ])
    func cookieLists(text: String, expected: [String]) { #expect(cookies(text) == expected) }

    @Test func anyOctetsAreNoHarm() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<2_000 {
            let text = (0..<random.below(20)).map { _ in random.element(of: ["a", "=", ";", " ", "\t"]) }.joined()
            #expect(cookies(text).count <= text.split(separator: ";").count)
        }
    }

    private static let authorities: [(String, UInt16)] = [
        ("a", 0), ("a:80", 80), ("a:", 0), ("a:65535", 65_535), ("[::1]:90", 90), ("[::1]", 0), ("a:00081", 81),
    ]

    @Test(arguments: authorities)
    func ports(host: String, port: UInt16) {
        var fields = FieldTable()
        defer { fields.deallocate() }
        var head = RequestHead()
        Array("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8).withUnsafeBytes { raw in
            #expect(head.parse(raw, limits: MessageLimits(), fields: &fields) == .complete(raw.count))
            #expect(head.port(in: raw.baseAddress!) == port)
        }
    }
}
