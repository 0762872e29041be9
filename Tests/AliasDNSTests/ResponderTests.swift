import MeshCore
import NetAddress
import Testing

@testable import AliasDNS

private let alone = Responder(ttlSeconds: 5, canForward: false)
private let forwarding = Responder(ttlSeconds: 5, canForward: true)

private func ask(
    _ query: TestQuery, _ responder: Responder = alone, _ zone: Zone = TestZone.make(),
    over transport: Responder.Transport = .datagram, rotation: UInt64 = 0
) throws -> TestAnswer {
    try #require(TestAnswer(responder.run(query.bytes, zone, over: transport, rotation: rotation).1))
}

@Suite struct ResponderTests {
    @Test func answersToTheByte() {
        let query = TestQuery("restserver.local").bytes
        let expected: [UInt8] =
            [0x12, 0x34, 0x85, 0x00, 0, 1, 0, 1, 0, 0, 0, 0] + query[12...]
            + [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 96, 0, 1]
        #expect(alone.run(query).1 == expected)
    }

    @Test func answersByFamily() throws {
        let a = try ask(TestQuery("dual.local"))
        #expect(a.addresses == [TestZone.vip])
        let aaaa = try ask(TestQuery("dual.local", 28))
        #expect(aaaa.addresses == [TestZone.vip6])
        #expect(aaaa.answers.first?.ttl == 5)
        let any = try ask(TestQuery("dual.local", 255))
        #expect(any.addresses == [TestZone.vip, TestZone.vip6])
        #expect(try ask(TestQuery("web").with { $0.recordClass = 255 }).answers.first?.recordClass == 1)
    }

    @Test func theCaseOfTheNameComesBack() throws {
        let query = TestQuery("ReStServer.lOcAl")
        let answer = try ask(query)
        #expect(answer.question == query.question)
        #expect(answer.answers.first?.name == "ReStServer.lOcAl")
        #expect(try ask(TestQuery("NoSuch.LoCaL")).authorities.first?.name == "LoCaL")
    }

    @Test(arguments: [28, 15, 16, 12, 33, 255, 65_280] as [UInt16])
    func noDataHasTheSOA(_ type: UInt16) throws {
        let name = type == 255 ? "tasks.idle" : "restserver.local"
        let answer = try ask(TestQuery(name, type))
        #expect(answer.rcode == 0 && answer.isAuthoritative && answer.answers.isEmpty)
        #expect(answer.authorities.count == 1 && answer.authorities[0].type == 6)
        #expect(answer.authorities[0].name == (type == 255 ? "tasks.idle" : "local"))
    }

    @Test func unknownUnderLocalDoesNotExist() throws {
        let answer = try ask(TestQuery("nosuch.local"), forwarding)
        #expect(answer.rcode == 3 && answer.isAuthoritative)
        let soa = try #require(answer.authorities.first)
        #expect(soa.name == "local" && soa.type == 6 && soa.recordClass == 1 && soa.ttl == 5)
        let names = "\u{5}meshd\u{7}invalid\0\u{a}hostmaster\u{5}meshd\u{7}invalid\0"
        #expect(Array(soa.data.prefix(names.utf8.count)) == Array(names.utf8))
        let numbers = soa.data.dropFirst(names.utf8.count)
        #expect(Array(numbers) == [0, 0, 0, 42, 0, 0, 0x0e, 0x10, 0, 0, 2, 0x58, 0, 1, 0x51, 0x80, 0, 0, 0, 5])
    }

    @Test func emptyNonTerminalsExist() throws {
        #expect(try ask(TestQuery("b.local")).rcode == 0)
        #expect(try ask(TestQuery("local")).rcode == 0)
    }

    @Test func theApexHasItsSOA() throws {
        #expect(try ask(TestQuery("local", 6)).answers.first?.type == 6)
        #expect(try ask(TestQuery("web", 6)).answers.first?.name == "web")
        #expect(try ask(TestQuery("restserver.local", 6)).answers.isEmpty)
    }

    @Test(arguments: ["nosuchservice", "example.com", "x.web", ""])
    func otherNamesAreForwardedOrRefused(_ name: String) throws {
        let query = TestQuery(name)
        let answer = try ask(query)
        #expect(answer.rcode == 5 && !answer.isAuthoritative && answer.question == query.question)
        guard case .forward(let parsed) = forwarding.run(query.bytes).0 else {
            Issue.record("not forwarded")
            return
        }
        #expect(parsed.id == 0x1234)
    }

    @Test func flagsComeBack() throws {
        #expect(try ask(TestQuery("web").with { $0.flags = 0 }).flags == 0x8400)
        #expect(try ask(TestQuery("web").with { $0.flags = 0x0110 }).flags == 0x8510)
        // AA, TC, RA, Z and AD of a query mean nothing.
        #expect(try ask(TestQuery("web").with { $0.flags = 0x06e0 }).flags == 0x8400)
        #expect(try ask(TestQuery("web"), forwarding).flags == 0x8580)
    }

    @Test func refusals() throws {
        #expect(try ask(TestQuery("web").with { $0.recordClass = 3 }).rcode == 5)
        #expect(try ask(TestQuery("web", 252)).rcode == 5)
        #expect(try ask(TestQuery("example.com", 251), forwarding).rcode == 5)
        let update = try ask(TestQuery("web").with { $0.flags = 0x2900 })
        #expect(update.rcode == 4 && update.name == nil && update.flags == 0xa904)
        let broken = alone.run(Array(TestQuery("web").bytes.dropLast())).1
        #expect(broken == [0x12, 0x34, 0x81, 0x01, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(alone.run([1, 2, 3]).0 == .drop(isMalformed: true))
        #expect(alone.run(TestQuery("web").with { $0.flags = 0x8000 }.bytes).0 == .drop(isMalformed: false))
    }

    @Test func ednsIsEchoed() throws {
        let plain = try ask(TestQuery("web"))
        #expect(plain.additionals.isEmpty)
        for query in [TestQuery("web"), TestQuery("x.local"), TestQuery("example.com")] {
            let opt = try #require(try ask(query.edns(4096)).opt)
            #expect(opt.name == "" && opt.recordClass == 1232 && opt.ttl == 0 && opt.data.isEmpty)
        }
    }

    @Test func anotherEdnsVersionIsBad() throws {
        let answer = try ask(TestQuery("web").with { $0.additional = [TestQuery.opt(version: 1)] })
        #expect(answer.rcode == 0 && answer.answers.isEmpty)
        #expect(answer.opt?.ttl == 0x0100_0000)
    }

    /// Header and question of `tasks.web` take 27 bytes, a record 16, the OPT record 11.
    @Test(arguments: [(30, false, 30), (31, true, 30)])
    func plainAnswersEndAt512(_ count: Int, _ truncated: Bool, _ expected: Int) throws {
        let zone = TestZone.make(tasks: count)
        let (outcome, bytes) = alone.run(TestQuery("tasks.web").bytes, zone)
        let answer = try #require(TestAnswer(bytes))
        #expect(bytes.count <= 512)
        #expect(answer.isTruncated == truncated && answer.answers.count == expected)
        let rcode = Rcode.noError
        #expect(outcome == .answer(.init(length: bytes.count, rcode: rcode, isTruncated: truncated)))
        #expect(try ask(TestQuery("tasks.web"), alone, zone, over: .stream).answers.count == count)
    }

    @Test(arguments: [(600, 35), (1232, 74), (4096, 74)])
    func ednsAnswersEndAtThePayloadSize(_ payload: Int, _ expected: Int) throws {
        let bytes = alone.run(TestQuery("tasks.web").edns(UInt16(payload)).bytes, TestZone.make(tasks: 200)).1
        let answer = try #require(TestAnswer(bytes))
        #expect(bytes.count <= min(payload, 1232))
        #expect(answer.isTruncated && answer.answers.count == expected && answer.opt != nil)
    }

    @Test func aStreamAnswerEndsAtItsLength() throws {
        let answer = try ask(TestQuery("tasks.web").edns(), alone, TestZone.make(tasks: 5000), over: .stream)
        #expect(answer.isTruncated && answer.answers.count == (65_535 - 27 - 11) / 16 && answer.opt != nil)
    }

    @Test func theLongestNameHasRoomForEverything() throws {
        let label = String(repeating: "a", count: 63)
        let query = TestQuery("x").with { $0.labels = [label, label, label, String(label.prefix(55)), "local"] }
        let answer = try ask(query.edns(0))
        #expect(query.question.count == 259)
        #expect(answer.rcode == 3 && answer.authorities.count == 1 && answer.opt != nil)
    }

    @Test func everyAddressComesFirstInTurn() throws {
        var first: [IPAddress: Int] = [:]
        // Every second number, as a client that asks A and AAAA makes it.
        for rotation in stride(from: 0, to: 6000, by: 2) {
            let answer = try ask(TestQuery("tasks.web"), rotation: UInt64(rotation))
            #expect(Set(answer.addresses) == Set(TestZone.tasks(3)))
            first[answer.addresses[0], default: 0] += 1
        }
        for address in TestZone.tasks(3) { #expect((800...1200).contains(first[address, default: 0])) }
    }

    @Test func aShortRoomIsNotOverrun() {
        for size in [0, 4, 12, 100, 511] {
            var room = [UInt8](repeating: 0xee, count: 600)
            for query in [TestQuery("web"), TestQuery("example.com"), TestQuery("x.local")] {
                room.withUnsafeMutableBytes { memory in
                    _ = alone.respond(
                        to: query.bytes.span, zone: TestZone.make(), over: .stream, rotation: 0,
                        into: UnsafeMutableRawBufferPointer(rebasing: memory[..<size]))
                }
                #expect(room[size...].allSatisfy { $0 == 0xee })
            }
        }
    }
}
