import Glibc
import HTTPCodec
import NetAddress
import TestSupport
import Testing

@testable import L7Router

/// Lines of the access log, as text.
@Suite struct AccessLineTests {
    private func line(
        _ entry: AccessEntry, _ texts: [ExchangeNotes.Slot: [UInt8]], at wallSeconds: UInt64 = 1_795_243_065,
        _ format: AccessLog.Format = .json
    ) -> String {
        var notes = ExchangeNotes()
        var calendar = CalendarText()
        defer {
            notes.deallocate()
            calendar.deallocate()
        }
        for (slot, text) in texts { text.withUnsafeBytes { notes.set(slot, $0) } }
        calendar.set(wallNanoseconds: wallSeconds * 1_000_000_000 + 42_000)
        return withUnsafeTemporaryAllocation(byteCount: AccessEntry.longestLine, alignment: 8) { space in
            guard let base = space.baseAddress else { return "" }
            var writer = HeadWriter(base, capacity: space.count)
            switch format {
            case .json: writer.appendJSON(entry, notes, calendar)
            case .combined: writer.appendCombined(entry, notes, calendar)
            }
            #expect(!writer.hasOverflowed)
            return String(decoding: space[..<writer.count], as: UTF8.self)
        }
    }

    private func entry() throws -> AccessEntry {
        var entry = AccessEntry(
            peer: try #require(SocketAddress("[2001:db8::1]:5000")), client: try #require(IPAddress("192.0.2.7")),
            status: 200, endNanoseconds: 9_000_000, reason: .ok)
        (entry.bytesIn, entry.bytesOut, entry.bodyBytesOut) = (10, 300, 200)
        entry.times = ExchangeTimes(
            headBegan: 1_000_000, parsed: 1_500_000, picked: 1_400_000, connected: 2_500_000, firstByte: 5_500_999)
        entry.instance = SocketAddress("127.0.0.1:9001")
        entry.retries = 1
        return entry
    }

    private static let texts: [ExchangeNotes.Slot: [UInt8]] = [
        .method: Array("GET".utf8), .host: Array("x.test".utf8), .target: Array("/a?b=\"c\"".utf8),
        .userAgent: Array("curl\\8 \u{e9}".utf8), .service: Array("web".utf8), .requestID: Array("id-1".utf8),
    ]

    @Test func json() throws {
        #expect(
            try line(entry(), Self.texts)
                == #"{"time":"2026-11-21T06:37:45.000042Z","client":"192.0.2.7","peer":"[2001:db8::1]:5000","#
                + #""method":"GET","host":"x.test","target":"/a?b=\"c\"","protocol":"HTTP/1.1","status":200,"#
                + #""bytes_in":10,"bytes_out":300,"head_us":500,"pick_us":0,"connect_us":1100,"first_byte_us":3000,"#
                + #""total_us":8000,"service":"web","instance":"127.0.0.1:9001","retries":1,"request_id":"id-1","#
                + #""trace_id":null,"user_agent":"curl\\8 é","referer":null,"reason":"ok"}"# + "\n")
    }

    @Test func jsonOfWhatWasNoRequest() throws {
        let peer = try #require(SocketAddress("127.0.0.1:5000"))
        let entry = AccessEntry(
            peer: peer, client: peer.ip, status: 400, endNanoseconds: 5, reason: .requestError)
        #expect(
            line(entry, [:], at: 0)
                == #"{"time":"1970-01-01T00:00:00.000042Z","client":"127.0.0.1","peer":"127.0.0.1:5000","method":null,"#
                + #""host":null,"target":null,"protocol":null,"status":400,"bytes_in":0,"bytes_out":0,"#
                + #""head_us":null,"pick_us":null,"connect_us":null,"first_byte_us":null,"total_us":null,"#
                + #""service":null,"instance":null,"retries":0,"request_id":null,"trace_id":null,"user_agent":null,"#
                + #""referer":null,"reason":"http_request_error"}"# + "\n")
    }

    @Test func combined() throws {
        #expect(
            try line(entry(), Self.texts, .combined)
                == #"192.0.2.7 - - [21/Nov/2026:06:37:45 +0000] "GET /a?b=\x22c\x22 HTTP/1.1" 200 200 "-" "#
                + #""curl\x5c8 \xc3\xa9""# + "\n")
        var aborted = try entry()
        (aborted.status, aborted.version) = (0, .http10)
        #expect(line(aborted, Self.texts, .combined).contains("HTTP/1.0\" 000 200"))
        #expect(try line(entry(), [:], .combined).contains(#""-" 200 200 "-" "-""#))
    }

    @Test(
        arguments: [
            ([0x22, 0x5c, 0x0a, 0x0d, 0x09, 0x00, 0x7f], #"\"\\\u000a\u000d\t\u0000\u007f"#),
            ([0xff, 0x41, 0xc3], #"\u00ffA\u00c3"#), ([0xc3, 0xa9], "é"), ([0xc0, 0xaf], #"\u00c0\u00af"#),
            ([0xed, 0xa0, 0x80], #"\u00ed\u00a0\u0080"#), ([0xe2, 0x82, 0xac], "€"), ([0xe2, 0x82], #"\u00e2\u0082"#),
            ([0xf0, 0x9f, 0x98, 0x80], "😀"), ([0xf4, 0x90, 0x80, 0x80], #"\u00f4\u0090\u0080\u0080"#),
            ([0xc2, 0x85], #"\u0085"#), ([0xe2, 0x80, 0xa8, 0xe2, 0x80, 0xa9], #"\u2028\u2029"#),
            ([0xc2, 0xa0], "\u{a0}"), ([0xe0, 0x9f, 0xbf], #"\u00e0\u009f\u00bf"#),
        ] as [([UInt8], String)])
    func escapes(bytes: [UInt8], expected: String) throws {
        #expect(try line(entry(), [.userAgent: bytes]).contains("\"user_agent\":\"\(expected)\","))
    }

    /// Whatever octets a client sends: one line, whose members are what they were.
    @Test(arguments: 0..<16) func noOctetsForgeALine(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<20 {
            let hostile: [UInt8] = Array("\"\\\r\n,{}:\u{e9}".utf8) + [0xff, 0xc3, 0xed, 0xa0, 0]
            func text(_ limit: Int) -> [UInt8] {
                (0..<random.below(limit)).map { _ in
                    random.once(in: 3) ? random.element(of: hostile) : UInt8(random.below(256))
                }
            }
            var texts: [ExchangeNotes.Slot: [UInt8]] = [:]
            for slot in ExchangeNotes.Slot.allCases { texts[slot] = text(slot.capacity + 100) }
            let json = try line(entry(), texts)
            #expect(json.hasSuffix("\"reason\":\"ok\"}\n") && json.filter { $0.isNewline }.count == 1)
            let members = try #require(StrictJSON(json.dropLast()).object(), "\(json)")
            #expect(members.count == 23)
            #expect(members.map(\.name).first == "time" && members.last?.value == "ok")
            for (slot, name) in [(ExchangeNotes.Slot.target, "target"), (.referer, "referer")] {
                guard let bytes = texts[slot]?.prefix(slot.capacity), !bytes.isEmpty else { continue }
                let found = members.first { $0.name == name }?.value
                #expect(found == decoded(Array(bytes)), "\(name)")
            }
            let combined = try line(entry(), texts, .combined)
            #expect(combined.utf8.allSatisfy { $0 == 10 || (0x20..<0x7f).contains($0) })
            #expect(combined.utf8.filter { $0 == 10 }.count == 1 && combined.utf8.filter { $0 == 0x22 }.count == 6)
        }
    }

    /// Well-formed UTF-8 as it is, every other octet as the character of its number.
    private func decoded(_ bytes: [UInt8]) -> String {
        var result = String.UnicodeScalarView()
        var rest = bytes[...]
        while let first = rest.first {
            let lengths = first < 0x80 ? 1...1 : 2...4
            let length = lengths.first { rest.count >= $0 && String(validating: rest.prefix($0), as: UTF8.self) != nil }
            if let length, let text = String(validating: rest.prefix(length), as: UTF8.self) {
                result.append(contentsOf: text.unicodeScalars)
                rest = rest.dropFirst(length)
            } else {
                result.append(Unicode.Scalar(first))
                rest = rest.dropFirst()
            }
        }
        return String(result)
    }

    @Test func everyReasonHasATokenOfItsOwn() {
        let tokens = EndReason.allCases.map { "\($0.token)" }
        #expect(Set(tokens).count == tokens.count)
        #expect(tokens.allSatisfy { $0.allSatisfy { $0 == "_" || $0.isLowercase } })
    }

    @Test func dates() {
        for days in stride(from: 0, to: 400_000, by: 37) {
            var seconds = time_t(days) * 86_400
            var parts = tm()
            gmtime_r(&seconds, &parts)
            let date = CalendarText.date(days: UInt64(days))
            #expect(Int(date.year) == Int(parts.tm_year) + 1900 && date.month == Int(parts.tm_mon) + 1)
            #expect(date.day == Int(parts.tm_mday))
        }
    }
}

/// A reader of one flat JSON object that takes nothing but what RFC 8259 allows.
private struct StrictJSON {
    private var rest: Substring.UnicodeScalarView

    init(_ text: Substring) { rest = text.unicodeScalars }

    /// Members in order; numbers and `null` as their text. `nil`: not a JSON object.
    consuming func object() -> [(name: String, value: String)]? {
        var members: [(name: String, value: String)] = []
        guard take("{") else { return nil }
        repeat {
            guard let name = string(), take(":"), let value = rest.first == "\"" ? string() : bare() else { return nil }
            members.append((name, value))
        } while take(",")
        return take("}") && rest.isEmpty ? members : nil
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func bare() -> String? {
        let text = String(rest.prefix { $0 != "," && $0 != "}" })
        rest.removeFirst(text.unicodeScalars.count)
        return text == "null" || UInt64(text) != nil ? text : nil
    }

    private mutating func string() -> String? {
        guard take("\"") else { return nil }
        var result = String.UnicodeScalarView()
        while let scalar = rest.popFirst() {
            if scalar == "\"" { return String(result) }
            guard scalar.value >= 0x20 else { return nil }
            if scalar != "\\" {
                result.append(scalar)
                continue
            }
            switch rest.popFirst() {
            case "\""?: result.append("\"")
            case "\\"?: result.append("\\")
            case "t"?: result.append("\t")
            case "u"?:
                guard let code = UInt32(String(rest.prefix(4)), radix: 16), let character = Unicode.Scalar(code) else {
                    return nil
                }
                rest.removeFirst(4)
                result.append(character)
            default: return nil
            }
        }
        return nil
    }
}
