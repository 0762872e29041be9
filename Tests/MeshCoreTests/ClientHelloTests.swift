import TestSupport
import Testing

@testable import MeshCore

@Suite struct ClientHelloTests {
    /// A ClientHello with these extensions, as one handshake message.
    private static func message(_ extensions: [UInt8], session: Int = 32) -> [UInt8] {
        func number(_ value: Int, _ bytes: Int) -> [UInt8] {
            (0..<bytes).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
        }
        var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32)
        body += number(session, 1) + [UInt8](repeating: 8, count: session)
        body += number(4, 2) + [0x13, 0x01, 0x13, 0x02] + [1, 0]
        body += number(extensions.count, 2) + extensions
        return [1] + number(body.count, 3) + body
    }

    private static func serverName(_ name: String, kind: UInt8 = 0) -> [UInt8] {
        func number(_ value: Int) -> [UInt8] {
            [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
        }
        let host = Array(name.utf8)
        let entry = [kind] + number(host.count) + host
        return [0, 0] + number(entry.count + 2) + number(entry.count) + entry
    }

    private static let alpn: [UInt8] = [0, 16, 0, 5, 0, 3, 2, 0x68, 0x32]

    private static func records(_ message: [UInt8], of size: Int = 1 << 14) -> [UInt8] {
        stride(from: 0, to: message.count, by: size).flatMap { start -> [UInt8] in
            let part = message[start..<min(start + size, message.count)]
            return [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 255)] + part
        }
    }

    private func look(_ bytes: [UInt8]) -> ClientHello.Finding { bytes.withUnsafeBytes { ClientHello.look(at: $0) } }

    @Test func findsTheName() {
        let message = Self.message(Self.alpn + Self.serverName("Web.Example."))
        #expect(look(Self.records(message)) == .serverName("web.example"))
        for size in [1, 3, 50, 511] { #expect(look(Self.records(message, of: size)) == .serverName("web.example")) }
        // What follows the message is nobody's business here.
        #expect(look(Self.records(message) + [22, 9, 9]) == .serverName("web.example"))
    }

    @Test func everyPrefixIsIncomplete() {
        let bytes = Self.records(Self.message(Self.serverName("web.example")), of: 20)
        for count in 0..<bytes.count { #expect(look(Array(bytes[..<count])) == .incomplete, "\(count) bytes") }
        #expect(look(bytes) == .serverName("web.example"))
    }

    @Test(
        arguments: [
            Array("GET / HTTP/1.1\r\n\r\n".utf8), [0], [22, 2], [22, 3, 1, 0, 0], [22, 3, 1, 0x50, 0],
            [22, 3, 1, 0, 1, 2],
            records(message(alpn)), records(message([])), records(message(serverName("", kind: 0))),
            records(message(serverName("web.example", kind: 1))), records(message(serverName("a b"))),
            records(message([0, 0, 0, 9, 0, 99, 0])), records([1, 0, 0, 2, 3, 3]), records([1, 0xff, 0xff, 0xff]),
            records(message(serverName(String(repeating: "a", count: 256)))), [21, 3, 3, 0, 2, 1, 0],
        ] as [[UInt8]])
    func othersHaveNone(bytes: [UInt8]) { #expect(look(bytes) == .none) }

    @Test func beyondTheLimitThereIsNone() {
        let padding: [UInt8] = [0, 21, 0x3f, 0xf0] + [UInt8](repeating: 0, count: 0x3ff0)
        let bytes = Self.records(Self.message(padding + Self.serverName("web.example")))
        #expect(look(Array(bytes.prefix(ClientHello.limitBytes))) == .none)
        let small: [UInt8] = [0, 21, 0x30, 0] + [UInt8](repeating: 0, count: 0x3000)
        let whole = Self.records(Self.message(small + Self.serverName("web.example")), of: 1_000)
        #expect(look(whole) == .serverName("web.example"))
    }

    @Test func strangeBytesDoNotTrap() {
        var random = SeededRandom(seed: 11)
        let good = Self.records(Self.message(Self.alpn + Self.serverName("web.example")), of: 90)
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            bytes.removeLast(random.below(bytes.count))
            let whole = look(bytes)
            let half = look(Array(bytes[..<(bytes.count / 2)]))
            #expect(half == .incomplete || half == whole)
        }
    }
}

@Suite struct ServerNameTableTests {
    private typealias Target = ServerNameTable.Target

    private func pools(_ table: ServerNameTable, _ name: String) -> [Int32] { table.targets(name).map(\.pool) }

    private func relays(_ table: ServerNameTable, _ name: String) -> Bool {
        Array(name.utf8).withUnsafeBytes { table.relays($0) }
    }

    @Test func theMostSpecificHostDecides() {
        let table = ServerNameTable(
            relayed: [
                (.exact("vault.company.com"), Target(pool: 1, weight: 100)),
                (.wildcard("company.com"), Target(pool: 2, weight: 100)),
                (.wildcard("deep.company.com"), Target(pool: 3, weight: 100)),
                (.exact("both.company.com"), Target(pool: 4, weight: 50)),
                (.exact("both.company.com"), Target(pool: 5, weight: 50)),
            ], served: [.exact("www.company.com"), .exact("both.company.com"), .wildcard("served.company.com")])
        #expect(pools(table, "vault.company.com") == [1])
        #expect(pools(table, "other.company.com") == [2])
        #expect(pools(table, "a.b.company.com") == [2])
        #expect(pools(table, "x.deep.company.com") == [3])
        #expect(pools(table, "both.company.com") == [4, 5])
        #expect(pools(table, "www.company.com") == [])
        #expect(pools(table, "x.served.company.com") == [])
        #expect(pools(table, "company.com") == [])
        #expect(!table.isEmpty)
        for (name, isRelayed) in [
            ("vault.company.com", true), ("VAULT.Company.COM.", true), ("other.company.com", true),
            ("a.b.company.com", true), ("both.company.com", true), ("www.company.com", false),
            ("x.served.company.com", false), ("company.com", false), ("", false),
        ] { #expect(relays(table, name) == isRelayed, "\(name)") }
    }

    @Test func withoutTCPRoutesItIsEmpty() {
        let table = ServerNameTable(served: [.exact("a.example")])
        #expect(table.isEmpty && pools(table, "a.example").isEmpty)
        let any = ServerNameTable(relayed: [(.any, Target(pool: 9, weight: 1))], served: [.exact("a.example")])
        #expect(pools(any, "b.example") == [9] && pools(any, "a.example") == [])
        #expect(relays(any, "b.example") && !relays(any, "a.example") && !relays(table, "a.example"))
    }
}
