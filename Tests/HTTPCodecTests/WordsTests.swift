import TestSupport
import Testing

@testable import HTTPCodec

/// What goes eight octets at a time against the same one at a time.
@Suite struct WordsTests {
    /// Texts of up to 40 octets, mostly of the class, with every octet there is among them.
    private func forEachText(_ usual: String, _ body: (UnsafePointer<UInt8>, [UInt8]) -> Void) {
        var random = SeededRandom(seed: 1)
        let usual = Array(usual.utf8)
        for round in 0..<20_000 {
            var bytes = (0..<random.below(41)).map { _ in random.element(of: usual) }
            if !bytes.isEmpty, round % 4 != 0 { bytes[random.below(bytes.count)] = UInt8(round / 4 % 256) }
            if bytes.count > 1, round % 3 == 0 { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            withExactCopy(bytes) { copy in
                guard let base = copy.baseAddress else { return }
                body(base.assumingMemoryBound(to: UInt8.self), bytes)
            }
        }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    @Test func namesEndWhereTheirOctetsEnd() {
        forEachText("azAZ09-.") { base, bytes in
            let wanted = bytes.firstIndex { !Self.isLetterOrDigit($0) && $0 != 45 && $0 != 46 } ?? bytes.count
            #expect(Octets.endOfName(base, from: 0, to: bytes.count) == wanted, "\(bytes)")
        }
    }

    @Test func targetsEndWhereTheirOctetsEnd() {
        forEachText("/aZ09?&=%!~") { base, bytes in
            let wanted = bytes.firstIndex { !Octets.isTarget($0) } ?? bytes.count
            #expect(Octets.endOfTarget(base, from: 0, to: bytes.count) == wanted, "\(bytes)")
        }
    }

    @Test func textEndsAtTheFirstControlOctet() {
        forEachText(" aZ~é") { base, bytes in
            let wanted = bytes.firstIndex { $0 < 0x20 || $0 == 0x7f } ?? bytes.count
            #expect(Octets.endOfText(base, from: 0, to: bytes.count) == wanted, "\(bytes)")
            let isValue = bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 9 }
            #expect(Octets.isFieldValue(base, bytes.count) == isValue, "\(bytes)")
        }
    }

    @Test(arguments: ["te", "host", "upgrade", "x-client", "100-continue", "x-forwarded-for", "sec-websocket-accept"])
    func namesAreEqualInAnyCase(name: String) {
        let good = Array(name.utf8)
        func isEqual(_ bytes: [UInt8]) -> Bool {
            withExactCopy(bytes) { copy in
                let base = copy.baseAddress!.assumingMemoryBound(to: UInt8.self)
                return switch name {
                case "te": Octets.equal(base, bytes.count, "te")
                case "host": Octets.equal(base, bytes.count, "host")
                case "upgrade": Octets.equal(base, bytes.count, "upgrade")
                case "x-client": Octets.equal(base, bytes.count, "x-client")
                case "100-continue": Octets.equal(base, bytes.count, "100-continue")
                case "x-forwarded-for": Octets.equal(base, bytes.count, "x-forwarded-for")
                default: Octets.equal(base, bytes.count, "sec-websocket-accept")
                }
            }
        }
        for index in good.indices {
            for byte in 0...UInt8.max {
                var bytes = good
                bytes[index] = byte
                let isSame = byte == good[index] || Self.isLetterOrDigit(byte) && byte ^ good[index] == 0x20
                #expect(isEqual(bytes) == isSame, "\(bytes)")
            }
        }
        #expect(!isEqual(good + [97]) && !isEqual(Array(good.dropLast())))
    }

    /// Lines that the quick way reads, and others: what comes out is the same whichever way a line is read.
    @Test func blanksAroundValuesAreNoneOfThem() {
        for (line, value) in [
            ("A-Name: value", "value"), ("A-Name:value", "value"), ("A-Name:  value", "value"),
            ("A-Name: value ", "value"), ("A-Name:\tvalue\t", "value"), ("A-Name: a\tb", "a\tb"), ("A-Name:", ""),
            ("A-Name: ", ""), ("a_name!: é", "é"), ("A-Name: a  b", "a  b"), ("A-Name: x", "x"),
        ] {
            var (request, fields) = (RequestHead(), FieldTable())
            defer { fields.deallocate() }
            withExactCopy(Array("GET / HTTP/1.0\r\n\(line)\r\n\r\n".utf8)) { base in
                let outcome = request.parse(base, limits: MessageLimits(), fields: &fields)
                #expect(outcome == .complete(base.count) && fields.count == 1, "\(line)")
                let found = fields.fields[0].value.bytes(in: base.baseAddress!)
                #expect(String(decoding: found, as: UTF8.self) == value, "\(line)")
                #expect(Int(fields.fields[0].lineEnd) == base.count - 2, "\(line)")
            }
        }
    }
}
