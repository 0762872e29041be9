import Testing

@testable import L7Router

@Suite struct PrefaceTests {
    private static let text = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    @Test func everyPrefixIsABeginning() {
        for count in 0..<Self.text.count {
            #expect(Self.text.prefix(count).withUnsafeBytes(HTTP2Preface.look) == .begun)
        }
        #expect(Self.text.withUnsafeBytes(HTTP2Preface.look) == .whole)
        #expect((Self.text + [0, 0, 0, 4]).withUnsafeBytes(HTTP2Preface.look) == .whole)
    }

    @Test func anythingElseIsNot() {
        for index in Self.text.indices {
            var damaged = Self.text
            damaged[index] ^= 1
            #expect(damaged.withUnsafeBytes(HTTP2Preface.look) == .other)
        }
        #expect(Array("POST".utf8).withUnsafeBytes(HTTP2Preface.look) == .other)
    }
}
