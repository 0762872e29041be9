import JSONCodec
import TestSupport
import Testing

@Suite struct Base64Tests {
    /// RFC 4648 section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func vectors(plain: String, encoded: String) {
        #expect(Base64.encode(plain) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test func everyByteThereAndBack() {
        let all = (0...255).map { UInt8($0) }
        #expect(Base64.decode(Base64.encode(all)) == all)
        #expect(Base64.encode([0xfb, 0xff, 0xbf]) == "+/+/")
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg===", "=", "==", "====", "Zm9v=", "Zg==Zg==", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zm-_",
        "Z===", "Zm9vYm=y", "Zm9\u{e9}",
    ])
    func refused(text: String) { #expect(Base64.decode(text) == nil) }

    @Test(arguments: 0..<20)
    func roundTripAndOneSpelling(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let text = Base64.encode(bytes)
            #expect(Base64.decode(text) == bytes)
            // Any text that is taken is the one that `encode` writes.
            var other = Array(text.utf8)
            guard !other.isEmpty else { continue }
            other[Int.random(in: 0..<other.count, using: &random)] = UInt8.random(in: 0x20...0x7e, using: &random)
            let mutated = String(decoding: other, as: UTF8.self)
            if let decoded = Base64.decode(mutated) { #expect(Base64.encode(decoded) == mutated) }
        }
    }
}
