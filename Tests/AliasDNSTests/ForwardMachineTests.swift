import Testing

@testable import AliasDNS

/// Hands out 0, 1, 2, … as the 16-bit ids.
private struct Counting: RandomNumberGenerator {
    var value: UInt64 = 0

    mutating func next() -> UInt64 {
        value += 1
        return value
    }
}

@Suite struct ForwardMachineTests {
    private func asked(_ step: ForwardMachine.Step) -> String {
        if case .ask(let upstream, let overTCP, _) = step { return "\(upstream)\(overTCP ? "t" : "u")" }
        return "\(step)"
    }

    @Test func asksEachUpstreamOnceFromThePreferred() {
        var random = Counting()
        var machine = ForwardMachine(upstreamCount: 3, preferred: 2, wantsWhole: false)
        #expect(asked(machine.start(using: &random)) == "2u")
        #expect(asked(machine.failed(using: &random)) == "0u")
        #expect(asked(machine.received(.unwilling, using: &random)) == "1u")
        #expect(machine.failed(using: &random) == .giveUp)
    }

    @Test func theLastUnwillingReplyIsRelayed() {
        var random = Counting()
        var machine = ForwardMachine(upstreamCount: 2, preferred: 0, wantsWhole: false)
        _ = machine.start(using: &random)
        #expect(asked(machine.received(.unwilling, using: &random)) == "1u")
        #expect(machine.received(.unwilling, using: &random) == .relay)
    }

    @Test func foreignMessagesChangeNothing() {
        var random = Counting()
        var machine = ForwardMachine(upstreamCount: 1, preferred: 0, wantsWhole: true)
        _ = machine.start(using: &random)
        let id = machine.id
        for _ in 0..<10 { #expect(machine.received(.foreign, using: &random) == .wait) }
        #expect(machine.id == id)
        #expect(machine.received(.usable, using: &random) == .relay)
    }

    @Test func aWholeAnswerIsFetchedOverTCP() {
        var random = SplitMix(seed: 1)
        var machine = ForwardMachine(upstreamCount: 2, preferred: 0, wantsWhole: true)
        _ = machine.start(using: &random)
        let first = machine.id
        #expect(asked(machine.received(.truncated, using: &random)) == "0t")
        #expect(machine.id != first)
        #expect(asked(machine.received(.foreign, using: &random)) == "1u")
        #expect(asked(machine.received(.truncated, using: &random)) == "1t")
        #expect(machine.received(.truncated, using: &random) == .relay)
        var datagram = ForwardMachine(upstreamCount: 2, preferred: 0, wantsWhole: false)
        _ = datagram.start(using: &random)
        #expect(datagram.received(.truncated, using: &random) == .relay)
    }

    @Test func noUpstreamGivesUp() {
        var random = Counting()
        var machine = ForwardMachine(upstreamCount: 0, preferred: 0, wantsWhole: false)
        #expect(machine.start(using: &random) == .giveUp)
        #expect(machine.upstream == 0)
    }
}

@Suite struct ReplyTests {
    private let query = TestQuery("Example.com").bytes

    private func judge(_ change: (inout [UInt8]) -> Void) -> Reply {
        var reply = query
        reply[2] = 0x81
        reply[3] = 0x80
        change(&reply)
        return Reply(reply.span, to: query.span, questionEnd: query.count, id: 0x1234)
    }

    @Test func onlyTheAnswerToTheQuestionCounts() {
        #expect(judge { _ in } == .usable)
        #expect(judge { $0[1] ^= 1 } == .foreign)
        #expect(judge { $0[2] = 0x01 } == .foreign)
        #expect(judge { $0[2] |= 0x08 } == .foreign)
        #expect(judge { $0[13] |= 0x20 } == .foreign)
        #expect(judge { $0[$0.count - 3] = 28 } == .foreign)
        #expect(judge { $0[5] = 2 } == .foreign)
        #expect(judge { $0.removeLast() } == .foreign)
        #expect(judge { $0 = [] } == .foreign)
        #expect(judge { $0 += [1, 2, 3] } == .usable)
    }

    @Test func repliesAreToldApart() {
        #expect(judge { $0[2] |= 2 } == .truncated)
        for rcode in [2, 4, 5] as [UInt8] { #expect(judge { $0[3] |= rcode } == .unwilling) }
        #expect(judge { $0[3] |= 3 } == .usable)
        #expect(
            judge {
                $0 = Array($0[..<12])
                ($0[3], $0[5]) = (0x81, 0)
            } == .headerOnly)
        #expect(
            judge {
                $0 = Array($0[..<12])
                $0[5] = 0
            } == .foreign)
    }
}
