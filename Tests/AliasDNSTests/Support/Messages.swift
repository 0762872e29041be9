import MeshCore
import NetAddress

@testable import AliasDNS

/// A query as bytes; every part can be made wrong.
struct TestQuery {
    var id: UInt16 = 0x1234
    var flags: UInt16 = 0x0100
    var questions: UInt16 = 1
    var labels: [String]
    var type: UInt16 = Wire.RecordType.a
    var recordClass: UInt16 = 1
    /// Additional records as bytes.
    var additional: [[UInt8]] = []

    init(_ name: String, _ type: UInt16 = Wire.RecordType.a) {
        labels = name.split(separator: ".").map(String.init)
        self.type = type
    }

    func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }

    static func opt(
        payload: UInt16 = 1232, version: UInt8 = 0, flags: UInt16 = 0x8000, options: [UInt8] = []
    ) -> [UInt8] {
        [0] + be(41) + be(payload) + [0, version] + be(flags) + be(UInt16(options.count)) + options
    }

    func edns(_ payload: UInt16 = 1232) -> Self { with { $0.additional = [Self.opt(payload: payload)] } }

    var question: [UInt8] {
        labels.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0] + be(type) + be(recordClass)
    }

    var bytes: [UInt8] {
        be(id) + be(flags) + be(questions) + be(0) + be(0) + be(UInt16(additional.count)) + question
            + additional.flatMap { $0 }
    }

    /// As on a TCP connection.
    var framed: [UInt8] { be(UInt16(bytes.count)) + bytes }
}

func be(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }

/// An answer taken apart; `nil` where it is not well formed to the last byte.
struct TestAnswer {
    struct Record: Hashable {
        let name: String
        let type: UInt16
        let recordClass: UInt16
        let ttl: UInt32
        let data: [UInt8]

        var address: IPAddress? {
            func word(_ range: Range<Int>) -> UInt64 { data[range].reduce(0) { $0 << 8 | UInt64($1) } }
            if type == 1, data.count == 4 { return IPAddress(v4: UInt32(word(0..<4))) }
            if type == 28, data.count == 16 { return IPAddress(high: word(0..<8), low: word(8..<16)) }
            return nil
        }
    }

    let id: UInt16
    let flags: UInt16
    var name: String?
    var question: [UInt8] = []
    var answers: [Record] = []
    var authorities: [Record] = []
    var additionals: [Record] = []

    var rcode: UInt16 { flags & 15 }
    var isAuthoritative: Bool { flags & 0x0400 != 0 }
    var isTruncated: Bool { flags & 0x0200 != 0 }
    var addresses: [IPAddress] { answers.compactMap(\.address) }
    var opt: Record? { additionals.first { $0.type == 41 } }

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 12 else { return nil }
        func number(_ offset: Int) -> UInt16? {
            offset + 2 <= bytes.count ? UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1]) : nil
        }
        id = number(0)!
        flags = number(2)!
        var offset = 12
        if number(4) == 1 {
            guard let (name, end) = Self.name(bytes, 12), end + 4 <= bytes.count else { return nil }
            self.name = name
            question = Array(bytes[12..<end + 4])
            offset = end + 4
        }
        var sections: [[Record]] = [[], [], []]
        for section in 0..<3 {
            for _ in 0..<number(6 + 2 * section)! {
                guard let (name, end) = Self.name(bytes, offset), let type = number(end), let kind = number(end + 2),
                    let high = number(end + 4), let low = number(end + 6), let length = number(end + 8),
                    end + 10 + Int(length) <= bytes.count
                else { return nil }
                offset = end + 10 + Int(length)
                sections[section].append(
                    Record(
                        name: name, type: type, recordClass: kind, ttl: UInt32(high) << 16 | UInt32(low),
                        data: Array(bytes[(end + 10)..<offset])))
            }
        }
        guard offset == bytes.count else { return nil }
        (answers, authorities, additionals) = (sections[0], sections[1], sections[2])
    }

    private static func name(_ bytes: [UInt8], _ start: Int) -> (String, Int)? {
        var labels: [String] = []
        var offset = start
        var end: Int?
        for _ in 0..<200 {
            guard offset < bytes.count else { return nil }
            let length = Int(bytes[offset])
            if length == 0 { return (labels.joined(separator: "."), end ?? offset + 1) }
            if length >= 0xc0 {
                guard offset + 1 < bytes.count else { return nil }
                end = end ?? offset + 2
                offset = (length & 63) << 8 | Int(bytes[offset + 1])
                continue
            }
            guard offset + 1 + length <= bytes.count else { return nil }
            labels.append(String(decoding: bytes[(offset + 1)..<(offset + 1 + length)], as: UTF8.self))
            offset += 1 + length
        }
        return nil
    }
}

enum TestZone {
    static let vip = IPAddress(v4: 0x7f60_0001)
    static let vip6 = IPAddress(high: 0xfd00_0000_0000_0000, low: 7)
    static func tasks(_ count: Int) -> [IPAddress] { (0..<count).map { IPAddress(v4: 0x0a00_0001 + UInt32($0)) } }

    static func make(tasks count: Int = 3) -> Zone {
        Zone(
            [
                ZoneEntry(name: "restserver.local", addresses: [vip]),
                ZoneEntry(name: "dual.local", addresses: [vip, vip6]),
                ZoneEntry(name: "a.b.local", addresses: [vip]),
                ZoneEntry(name: "web", addresses: [vip]),
                ZoneEntry(name: "tasks.web", addresses: tasks(count)),
                ZoneEntry(name: "tasks.idle", addresses: []),
            ], serial: 42)
    }
}

extension Responder {
    /// The outcome and the bytes written.
    func run(
        _ message: [UInt8], _ zone: Zone = TestZone.make(), over transport: Transport = .datagram, rotation: UInt64 = 0
    ) -> (Outcome, [UInt8]) {
        var room = [UInt8](repeating: 0xee, count: 65_535 + 8)
        let outcome = room.withUnsafeMutableBytes { memory in
            respond(
                to: message.span, zone: zone, over: transport, rotation: rotation,
                into: UnsafeMutableRawBufferPointer(rebasing: memory[..<65_535]))
        }
        guard case .answer(let answer) = outcome else { return (outcome, []) }
        return (outcome, Array(room[..<answer.length]))
    }
}
