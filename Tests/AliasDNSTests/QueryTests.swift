import Testing

@testable import AliasDNS

private func parse(_ bytes: [UInt8]) -> ParsedQuery { ParsedQuery(bytes.span) }

private func isFormatError(_ bytes: [UInt8]) -> Bool {
    if case .refused(.formatError, _, _) = parse(bytes) { return true }
    return false
}

@Suite struct QueryTests {
    @Test func readsAPlainQuery() {
        let bytes: [UInt8] = [
            0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0x77, 0x65, 0x62, 0, 0, 28, 0, 1,
        ]
        let expected = Query(id: 0xabcd, flags: 0x0100, type: 28, recordClass: 1, nameEnd: 16, edns: nil)
        #expect(parse(bytes) == .query(expected))
        #expect(expected.questionEnd == bytes.count)
        #expect(expected.datagramLimit == 512)
    }

    @Test(arguments: [(0, 512), (511, 512), (512, 512), (1000, 1000), (1232, 1232), (4096, 1232), (65_535, 1232)])
    func readsThePayloadSize(_ offered: Int, _ limit: Int) {
        guard case .query(let query) = parse(TestQuery("web").edns(UInt16(offered)).bytes) else {
            Issue.record("not read")
            return
        }
        #expect(query.edns?.payloadSize == UInt16(offered))
        #expect(query.edns?.version == 0)
        #expect(query.datagramLimit == limit)
    }

    @Test func theHeaderDecidesFirst() {
        #expect(parse([]) == .unreadable)
        #expect(parse([UInt8](repeating: 0, count: 11)) == .unreadable)
        #expect(parse(TestQuery("web").with { $0.flags = 0x8100 }.bytes) == .response)
        let update = TestQuery("web").with { $0.flags = 0x2800 }
        #expect(parse(update.bytes) == .refused(.notImplemented, id: 0x1234, flags: 0x2800))
    }

    @Test(arguments: [0, 2, 65_535] as [UInt16])
    func oneQuestionIsDemanded(_ questions: UInt16) {
        #expect(isFormatError(TestQuery("web").with { $0.questions = questions }.bytes))
    }

    @Test func namesHaveLimits() {
        let label = String(repeating: "a", count: 63)
        let fits = TestQuery("web").with { $0.labels = [label, label, label, String(label.prefix(61))] }
        #expect(fits.question.count == 255 + 4)
        guard case .query = parse(fits.bytes) else {
            Issue.record("255 bytes are allowed")
            return
        }
        #expect(isFormatError(fits.with { $0.labels[3] += "a" }.bytes))
        #expect(isFormatError(TestQuery("web").with { $0.labels = [label + "a"] }.bytes))
        for length in [0x40, 0x80, 0xbf] as [UInt8] {
            var bytes = TestQuery("web").bytes
            bytes[12] = length
            #expect(isFormatError(bytes))
        }
    }

    @Test func everyPrefixIsRefused() {
        let whole = TestQuery("restserver.local").edns().bytes
        for length in 12..<whole.count { #expect(isFormatError(Array(whole[..<length]))) }
        #expect(isFormatError(whole + [0]))
    }

    @Test(arguments: [0, 11, 12, 13, 14, 40] as [UInt8])
    func aPointerInTheFirstNameIsRefused(_ target: UInt8) {
        let header = Array(TestQuery("x").bytes[..<12])
        #expect(isFormatError(header + [0xc0, target, 0, 1, 0, 1]))
        #expect(isFormatError(header + [1, 0x78, 0xc0, target, 0, 1, 0, 1]))
    }

    @Test func laterPointersMustPointBackwards() {
        func additional(_ name: [UInt8]) -> [UInt8] {
            TestQuery("web").with { $0.additional = [name + be(1) + be(1) + [0, 0, 0, 0] + be(0)] }.bytes
        }
        let start = UInt8(TestQuery("web").bytes.count)
        guard case .query = parse(additional([0xc0, 12])) else {
            Issue.record("a pointer to the question is allowed")
            return
        }
        #expect(isFormatError(additional([0xc0, start])))
        #expect(isFormatError(additional([0xc0, start + 2])))
        #expect(isFormatError(additional([1, 0x78, 0xc0, start])))
        #expect(isFormatError(additional([0xc0, 3])))
        #expect(isFormatError(additional([0xc0])))
    }

    @Test func aLongChainOfPointersIsRefused() {
        // Each record's name points to the name of the record before it.
        func chain(_ length: Int) -> [UInt8] {
            var query = TestQuery("web")
            var target = 12
            var offset = query.bytes.count
            for _ in 0..<length {
                let record = be(0xc000 | UInt16(target)) + be(1) + be(1) + [0, 0, 0, 0] + be(0)
                query.additional.append(record)
                target = offset
                offset += record.count
            }
            return query.bytes
        }
        guard case .query = parse(chain(32)) else {
            Issue.record("32 are allowed")
            return
        }
        #expect(isFormatError(chain(33)))
    }

    @Test func theOptRecordHasRules() {
        func with(_ records: [UInt8]...) -> [UInt8] { TestQuery("web").with { $0.additional = records }.bytes }
        let opt = TestQuery.opt()
        #expect(!isFormatError(with(opt)))
        #expect(isFormatError(with(opt, opt)))
        #expect(isFormatError(with([1, 0x78] + opt)))
        #expect(!isFormatError(with(TestQuery.opt(options: be(10) + be(2) + [1, 2]))))
        #expect(isFormatError(with(TestQuery.opt(options: be(10) + be(3) + [1, 2]))))
        #expect(isFormatError(with(TestQuery.opt(options: [0, 10, 0]))))
        // The same record in the answer section.
        var moved = with(opt)
        (moved[7], moved[11]) = (1, 0)
        #expect(isFormatError(moved))
        #expect(isFormatError(TestQuery("web", 41).bytes))
    }
}
