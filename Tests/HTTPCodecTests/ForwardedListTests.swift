import HTTPCodec
import TestSupport
import Testing

/// `Forwarded` as RFC 7239 has it.
@Suite struct ForwardedListTests {
    /// The nodes, "-" for an element without one; `nil` where the value is malformed.
    private func nodes(_ value: [UInt8]) -> [String]? {
        value.withUnsafeBytes { bytes in
            var nodes: [String] = []
            let isWhole = ForwardedList.forEachNode(bytes) { node in
                nodes.append(node.map { String(decoding: $0, as: UTF8.self) } ?? "-")
            }
            return isWhole ? nodes : nil
        }
    }

    @Test(arguments: [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", ["192.0.2.60"]),
        ("for=192.0.2.43, for=198.51.100.17", ["192.0.2.43", "198.51.100.17"]),
        ("For=\"[2001:db8:cafe::17]:4711\"", ["[2001:db8:cafe::17]:4711"]),
        ("for=\"_gazonk\"", ["_gazonk"]), ("for=unknown,by=_x", ["unknown", "-"]), ("", []), (" , ,", []),
        ("proto=https ; for=1.2.3.4;;", ["1.2.3.4"]), ("for=\"a, for=b\"", ["a, for=b"]),
        ("for=\"1.2\\.3.4\"", [""]), ("for=\"\"", [""]), ("host=\"a;b,c\";for=x", ["x"]),
    ])
    func wellFormed(value: String, expected: [String]) { #expect(nodes(Array(value.utf8)) == expected) }

    @Test(arguments: [
        "for", "for=", "for=\"", "for=\"a", "for=\"a\\", "for=a;for=b", "for=[::1]", "=a", "for=a b", "for=\"a\"b",
        "for =a", "for= a", "for=1.2.3.4:80", "\"for\"=a", "for=a,;=",
    ])
    func malformed(value: String) { #expect(nodes(Array(value.utf8)) == nil) }

    @Test(arguments: 0..<8) func anythingIsReadToAnEnd(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let good = Array("for=\"[::1]:2\";proto=http, for=1.2.3.4;host=\"a\\\"b\"".utf8)
        for _ in 0..<1000 {
            let value = random.mutate(good, crossedWith: good, interesting: Array("\"\\;,= ".utf8))
            // What is whole stays whole with an element behind it, and that one is the last.
            guard let found = nodes(value) else { continue }
            #expect(nodes(value + Array(", for=9.9.9.9".utf8)) == found + ["9.9.9.9"], "\(value)")
        }
    }
}
