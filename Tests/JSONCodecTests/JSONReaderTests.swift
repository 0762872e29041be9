import JSONCodec
import TestSupport
import Testing

private func parse(_ text: String) -> JSONValue? { try? JSONValue.parse(text) }

@Suite struct JSONReaderTests {
    @Test(arguments: [
        ("null", JSONValue.null), (" true\n", .bool(true)), ("false", .bool(false)), ("0", .number("0")),
        ("-0", .number("-0")), ("10", .number("10")), ("-12.50e+3", .number("-12.50e+3")), ("1E9", .number("1E9")),
        ("0.5", .number("0.5")), ("\"\"", .string("")), ("\"a/b\"", .string("a/b")),
        (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{c}\n\r\t")), (#""\u00e9x\u20AC""#, .string("éx€")),
        (#""\ud83d\ude00!""#, .string("😀!")), (#""\u0000""#, .string("\u{0}")), ("\"grün\"", .string("grün")),
        ("[]", .array([])), ("[ 1 , [ ] , {} ]", .array([.number("1"), .array([]), .object([])])),
        ("{}", .object([])),
        (
            #"{"a":1,"b":{"a":null}}"#,
            .object([
                JSONMember("a", .number("1")), JSONMember("b", .object([JSONMember("a", .null)])),
            ])
        ),
    ])
    func taken(text: String, expected: JSONValue) throws { #expect(try JSONValue.parse(text) == expected) }

    @Test(arguments: [
        "", " ", "nul", "nulll", "True", "01", "-", "-01", "00", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "\"",
        "\"a",
        "\"\n\"", #""\x""#, #""\u12""#, #""\u12g4""#, #""\ud800""#, #""\ud800x""#, #""\ud800\u0041""#, #""\udc00""#,
        "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}",
        "{1:2}",
        "{\"a\" 1}", #"{"a":1,"a":2}"#, "1 2", "{}x", "//", "'a'", "\u{feff}1",
    ])
    func refused(text: String) { #expect(parse(text) == nil) }

    @Test func placesAreToldInBytes() {
        let problem = #expect(throws: JSONProblem.self) { try JSONValue.parse("{\"é\": x}") }
        #expect(problem?.description == "byte 7: expected a value")
        let end = #expect(throws: JSONProblem.self) { try JSONValue.parse("[1") }
        #expect(end?.description == "byte 2: ends where ',' or ']' was expected")
    }

    @Test func bytesThatAreNoUTF8() {
        for bytes: [UInt8] in [[0x22, 0xff, 0x22], [0x22, 0xc3, 0x22], [0x22, 0x5c, 0x6e, 0xc0, 0x80, 0x22]] {
            #expect(throws: JSONProblem.self) { try JSONValue.parse(bytes) }
        }
    }

    @Test func limits() throws {
        let nested = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(parse(nested) != nil)
        #expect(parse("[" + nested + "]") == nil)
        #expect(parse(String(repeating: "[", count: 1_000_000)) == nil)
        #expect(throws: JSONProblem.self) { try JSONValue.parse("[1,2]", limits: JSONLimits(nodes: 2)) }
        #expect(throws: JSONProblem.self) { try JSONValue.parse("[1,2]", limits: JSONLimits(bytes: 4)) }
        #expect(try JSONValue.parse("[1,2]", limits: JSONLimits(bytes: 5, nodes: 3, depth: 1)).items?.count == 2)
    }

    @Test func manyNamesAreStillUnique() {
        let names = (0..<100).map { "\"n\($0)\":0" }
        #expect(parse("{" + names.joined(separator: ",") + "}")?.members?.count == 100)
        #expect(parse("{" + (names + ["\"n42\":1"]).joined(separator: ",") + "}") == nil)
    }

    @Test func access() throws {
        let value = try JSONValue.parse(#"{"a":"1","b":2,"c":[true],"d":-3.5,"e":"x","f":"+1"}"#)
        #expect((value["a"]?.integer, value["b"]?.integer, value["d"]?.integer) == (1, 2, nil))
        #expect((value["e"]?.integer, value["f"]?.integer, value["g"]?.integer) == (nil, nil, nil))
        #expect((value["a"]?.text, value["b"]?.text) == ("1", nil))
        #expect(value["c"]?.items?.first?.bool == true)
        #expect(try JSONValue.parse("9223372036854775808").integer == nil)
    }

    // MARK: - Random texts

    private static func tree(_ depth: Int, _ random: inout SeededRandom) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .number(String(Int.random(in: -1_000...1_000, using: &random)))
        case 3, 4:
            let scalars = (0..<Int.random(in: 0...6, using: &random)).compactMap { _ in
                Unicode.Scalar(
                    UInt32.random(in: 0...0x11_0000, using: &random) >> UInt32.random(in: 0...16, using: &random))
            }
            return .string(String(String.UnicodeScalarView(scalars)))
        case 5: return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in tree(depth - 1, &random) })
        default:
            let count = Int.random(in: 0...4, using: &random)
            return .object((0..<count).map { JSONMember("k\($0)", tree(depth - 1, &random)) })
        }
    }

    private static func text(_ value: JSONValue, _ random: inout SeededRandom) -> String {
        let space = Bool.random(using: &random) ? " " : ""
        switch value {
        case .null: return "null"
        case .bool(let value): return "\(value)"
        case .number(let text): return text
        case .string(let text): return quoted(text, &random)
        case .array(let items): return "[" + items.map { space + Self.text($0, &random) }.joined(separator: ",") + "]"
        case .object(let members):
            let parts = members.map { "\(quoted($0.name, &random))\(space):\(Self.text($0.value, &random))\(space)" }
            return "{" + parts.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String, _ random: inout SeededRandom) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            if scalar.value < 0x20 || scalar == "\"" || scalar == "\\" || Bool.random(using: &random) {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    @Test(arguments: 0..<30)
    func whatIsWrittenIsRead(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<50 {
            let value = Self.tree(5, &random)
            let text = Self.text(value, &random)
            #expect(try JSONValue.parse(text) == value, "\(text)")
        }
    }

    /// Broken texts are told or read, and never more.
    @Test(arguments: 0..<30)
    func survivesMutations(seed: UInt64) {
        var random = SeededRandom(seed: seed &+ 1_000)
        for _ in 0..<200 {
            let value = Self.tree(5, &random)
            var bytes = Array(Self.text(value, &random).utf8)
            for _ in 0..<Int.random(in: 1...5, using: &random) where !bytes.isEmpty {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: at)
                default: bytes.insert(contentsOf: bytes[..<at], at: at)
                }
                if bytes.count > 100_000 { bytes.removeLast(bytes.count - 100_000) }
            }
            _ = try? JSONValue.parse(bytes)
        }
    }
}
