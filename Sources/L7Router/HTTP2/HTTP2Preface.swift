/// The first bytes of an HTTP/2 connection (RFC 9113 section 3.4): no HTTP/1.1 request begins like this.
enum HTTP2Preface {
    case whole, begun, other

    private static let text: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    static func look(at bytes: UnsafeRawBufferPointer) -> HTTP2Preface {
        let expected = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        let count = min(bytes.count, expected.count)
        for index in 0..<count where bytes[index] != expected[index] { return .other }
        return count == expected.count ? .whole : .begun
    }
}
