import NetAddress
import TestSupport
import Testing

@testable import Reactor

@Suite struct RouteMessageTests {
    private func network(_ text: String) throws -> IPNetwork { try #require(IPNetwork(text)) }

    // MARK: - Questions

    /// As `ip route add local 10.96.0.0/16 dev lo proto 109` sends it on a little-endian machine.
    @Test func theBytesOfAnAddition() throws {
        let message = RouteMessage.change(.add, try network("10.96.0.0/16"), interface: 1, sequence: 7)
        #expect(
            message == [
                44, 0, 0, 0, 24, 0, 0x05, 0x06, 7, 0, 0, 0, 0, 0, 0, 0,  // length, RTM_NEWROUTE, flags, sequence, port
                2, 16, 0, 0, 255, 109, 254, 2, 0, 0, 0, 0,  // AF_INET, /16, table local, origin, scope host, local
                8, 0, 1, 0, 10, 96, 0, 0,  // RTA_DST
                8, 0, 4, 0, 1, 0, 0, 0,  // RTA_OIF
            ])
    }

    @Test func theBytesOfARemovalInIPv6() throws {
        let message = RouteMessage.change(.remove, try network("fd00:96::/112"), interface: 1, sequence: 8)
        #expect(message.prefix(16) == [56, 0, 0, 0, 25, 0, 0x05, 0, 8, 0, 0, 0, 0, 0, 0, 0])
        #expect(message[16..<28] == [10, 112, 0, 0, 255, 109, 0, 2, 0, 0, 0, 0])
        #expect(message[28..<48] == [20, 0, 1, 0, 0xfd, 0, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(message.count == 56)
    }

    @Test func theBytesOfAList() {
        let message = RouteMessage.list(isV4: true, sequence: 1)
        #expect(message == [28, 0, 0, 0, 26, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 2] + [UInt8](repeating: 0, count: 11))
    }

    // MARK: - Answers

    /// What is sent as a change reads as a route.
    private func listed(_ text: String, sequence: UInt32 = 1) throws -> [UInt8] {
        RouteMessage.change(.add, try network(text), interface: 1, sequence: sequence)
    }

    @Test func routesResultsAndTheEndAreRead() throws {
        let failed: [UInt8] = [20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]
        let done: [UInt8] = [16, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        let datagram = try listed("10.96.0.0/16") + listed("fd00:96::/112") + failed + done
        #expect(
            RouteMessage.answers(datagram, sequence: 1) == [
                .localRoute(LocalRoute(network: try network("10.96.0.0/16"), origin: 109)),
                .localRoute(LocalRoute(network: try network("fd00:96::/112"), origin: 109)),
                .result(1), .done,
            ])
    }

    @Test func whatIsNoLocalRouteOrNotOursIsPassedOver() throws {
        var elsewhere = try listed("10.96.0.0/16")
        elsewhere[20] = 254  // the main table
        var unicast = try listed("10.96.0.0/16")
        unicast[23] = 1
        var hostBits = try listed("10.96.0.0/16")
        hostBits[17] = 8
        var longPrefix = try listed("10.96.0.0/16")
        longPrefix[17] = 33
        for message in [elsewhere, unicast, hostBits, longPrefix, try listed("10.96.0.0/16", sequence: 2)] {
            #expect(RouteMessage.answers(message, sequence: 1).isEmpty)
        }
    }

    @Test func brokenMessagesEndTheReading() throws {
        let whole = try listed("10.96.0.0/16")
        for length in 0..<whole.count {
            #expect(RouteMessage.answers(Array(whole.prefix(length)), sequence: 1).isEmpty)
        }
        for wrong in [UInt8(0), 15, 45, 255] {
            var message = whole
            message[0] = wrong
            #expect(RouteMessage.answers(message, sequence: 1).isEmpty)
        }
        var attribute = whole
        attribute[28] = 3
        #expect(RouteMessage.answers(attribute, sequence: 1).isEmpty, "an attribute shorter than its head")
    }

    @Test func nothingTrapsOnNoise() throws {
        var random = SeededRandom(seed: 11)
        let whole = try listed("10.96.0.0/16") + listed("fd00:96::/112")
        for _ in 0..<20_000 {
            var message = whole
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                message[Int.random(in: 0..<message.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            message = Array(message.prefix(Int.random(in: 0...message.count, using: &random)))
            #expect(RouteMessage.answers(message, sequence: 1).count <= 2)
        }
    }

    // MARK: - What to do

    struct Situation: Sendable {
        var present: [(network: String, origin: UInt8)]
        var step: LocalRoute.Step
    }

    static let situations = [
        Situation(present: [], step: .add), Situation(present: [("127.0.0.0/8", 2)], step: .add),
        Situation(present: [("10.96.0.0/16", 109)], step: .adopt),
        Situation(present: [("10.96.0.0/16", 3)], step: .nothing),
        Situation(present: [("10.0.0.0/8", 4)], step: .nothing),
        Situation(present: [("10.0.0.0/8", 109)], step: .nothing),
        Situation(present: [("10.96.0.0/17", 4)], step: .add),
        Situation(present: [("10.96.0.0/16", 109), ("10.0.0.0/8", 4)], step: .nothing),
    ]

    @Test(arguments: situations)
    func stepsFollowWhatIsThere(situation: Situation) throws {
        let routes = try situation.present.map { LocalRoute(network: try network($0.network), origin: $0.origin) }
        #expect(LocalRoute.step(for: try network("10.96.0.0/16"), among: routes) == situation.step)
    }
}
