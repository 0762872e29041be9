import MeshCore
import Testing

@testable import AliasDNS

/// Mutated queries: nothing traps, nothing is written behind the limit, and what is answered is well formed.
@Suite struct FuzzTests {
    static let corpus: [[UInt8]] = [
        TestQuery("restserver.local").bytes,
        TestQuery("tasks.web").edns(4096).bytes,
        TestQuery("dual.local", 255).edns(512).bytes,
        TestQuery("nosuch.local", 28).edns().bytes,
        TestQuery("example.com", 6).bytes,
        TestQuery("").bytes,
        TestQuery("web").with { $0.additional = [TestQuery.opt(options: be(10) + be(4) + [1, 2, 3, 4])] }.bytes,
        TestQuery("web").with { $0.additional = [[0xc0, 12] + be(1) + be(1) + [0, 0, 0, 9] + be(1) + [7]] }.bytes,
        TestQuery("web").with { $0.labels = Array(repeating: "a", count: 127) }.bytes,
    ]

    private static func mutated(_ random: inout SplitMix) -> [UInt8] {
        var bytes = corpus.randomElement(using: &random) ?? []
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let place = Int.random(in: 0...max(bytes.count - 1, 0), using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0 where !bytes.isEmpty: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
            case 1 where !bytes.isEmpty: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes = Array(bytes.prefix(place))
            case 3: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: min(place, bytes.count))
            case 4 where place + 1 < bytes.count:
                (bytes[place], bytes[place + 1]) = (0xc0, UInt8.random(in: 0..<64, using: &random))
            case 5: bytes += corpus.randomElement(using: &random)?.suffix(place) ?? []
            default: if bytes.count > 12 { bytes[5 + 2 * (place % 4)] = UInt8(place & 3) }
            }
        }
        return bytes
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func mutatedQueries(_ seed: UInt64) {
        var random = SplitMix(seed: seed)
        let zone = TestZone.make(tasks: 90)
        let responders = [false, true].map { Responder(ttlSeconds: 5, canForward: $0) }
        var room = [UInt8](repeating: 0, count: 4096)
        var answered = 0
        for step in 0..<20_000 {
            let bytes = Self.mutated(&random)
            let isStream = step & 1 == 1
            let limit = isStream ? 4000 : 1232
            room[limit] = 0xee
            let outcome = room.withUnsafeMutableBytes { memory in
                responders[step >> 1 & 1].respond(
                    to: bytes.span, zone: zone, over: isStream ? .stream : .datagram, rotation: UInt64(step),
                    into: UnsafeMutableRawBufferPointer(rebasing: memory[..<4000]))
            }
            guard case .answer(let answer) = outcome else { continue }
            answered += 1
            let isSound =
                answer.length <= limit && room[limit] == 0xee && TestAnswer(Array(room[..<answer.length])) != nil
            guard isSound else {
                Issue.record("seed \(seed), step \(step): \(bytes)")
                return
            }
        }
        #expect(answered > 5000)
    }

    @Test func mutatedReplies() {
        var random = SplitMix(seed: 4)
        let query = TestQuery("tasks.web").edns()
        guard case .query(let parsed) = ParsedQuery(query.bytes.span) else { return }
        var usable = 0
        for _ in 0..<20_000 {
            var bytes = Responder(ttlSeconds: 5, canForward: false).run(query.bytes).1
            let kept = Int.random(in: 0...bytes.count, using: &random)
            if Bool.random(using: &random) { bytes = Array(bytes.prefix(kept)) }
            for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
            }
            let reply = Reply(bytes.span, to: query.bytes.span, questionEnd: parsed.questionEnd, id: 0x1234)
            if reply == .usable {
                usable += 1
                #expect(bytes.count >= parsed.questionEnd && Array(bytes[12..<parsed.questionEnd]) == query.question)
            }
        }
        #expect(usable > 1000)
    }
}
