import MeshCore
import NetAddress
import Reactor
import Testing

@testable import AliasDNS

private let hundredMilliseconds: UInt64 = 100_000_000

/// Forwarding to upstreams that the test plays.
@Suite(.serialized) struct ForwardTests {
    private let record: [UInt8] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9]

    @Test func relaysTheAnswerOfAnUpstream() throws {
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address])
        defer { rig.stop() }
        let client = rig.datagramClient()
        let query = TestQuery("ExAmple.com").edns(4096)
        client.write(query.bytes)
        let (asked, from) = try #require(upstream.receive())
        // As it came, but for the id and the payload size.
        #expect(Array(asked[2...]) == Array(query.edns(1232).bytes[2...]))
        var answer = asked
        (answer[2], answer[3], answer[7]) = (0x81, 0x80, 1)
        let end = 12 + query.question.count
        answer.insert(contentsOf: record, at: end)
        upstream.send(answer, to: from)
        let relayed = try #require(client.read().flatMap { TestAnswer($0) })
        #expect(relayed.id == 0x1234 && relayed.name == "ExAmple.com" && relayed.flags == 0x8180)
        #expect(relayed.addresses == [IPAddress(v4: 0xc000_0209)])
        let counters = rig.counters
        #expect(counters.forwarded == 1 && counters.noError == 1 && rig.state.forwards == 0)
    }

    @Test func ourOwnNamesAreNeverForwarded() throws {
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address])
        defer { rig.stop() }
        #expect(rig.ask(TestQuery("nosuch.local"))?.rcode == 3)
        #expect(rig.ask(TestQuery("web"))?.flags == 0x8580)
        #expect(rig.counters.forwarded == 0)
    }

    @Test func idsAndPortsDiffer() throws {
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address])
        defer { rig.stop() }
        let client = rig.datagramClient()
        var ids: Set<UInt16> = []
        var ports: Set<UInt16> = []
        for _ in 0..<50 {
            client.write(TestQuery("example.com").bytes)
            let (asked, from) = try #require(upstream.receive())
            ids.insert(UInt16(asked[0]) << 8 | UInt16(asked[1]))
            ports.insert(from.port)
        }
        #expect(ids.count > 45 && ports.count == 50)
    }

    @Test func forgedAnswersAreIgnored() throws {
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address])
        defer { rig.stop() }
        let client = rig.datagramClient()
        client.write(TestQuery("example.com").bytes)
        let (asked, from) = try #require(upstream.receive())
        let good = asked.answered(appending: record, count: 1)
        var wrongID = good
        wrongID[1] ^= 1
        var otherCase = good
        otherCase[13] ^= 0x20
        upstream.send(wrongID, to: from)
        upstream.send(otherCase, to: from)
        upstream.send(asked, to: from)
        // Right in everything but its source.
        Peer.datagramUpstream().send(good, to: from)
        upstream.send(good, to: from)
        #expect(client.read().flatMap { TestAnswer($0) }?.addresses.count == 1)
        #expect(rig.counters.foreignReplies == 3 && rig.counters.noError == 1)
    }

    @Test func theNextUpstreamIsAsked() throws {
        var limits = AliasDNSLimits()
        limits.forwardNanoseconds = 5 * hundredMilliseconds
        let silent = Peer.datagramUpstream()
        let unwilling = Peer.datagramUpstream()
        let good = Peer.datagramUpstream()
        // Nobody listens there: the kernel says so at once.
        let gone = Peer.datagramUpstream().address
        let rig = try Rig(
            upstreams: [gone, silent.address, unwilling.address, good.address], limits: limits)
        defer { rig.stop() }
        let client = rig.datagramClient()
        client.write(TestQuery("example.com").bytes)
        #expect(silent.receive() != nil)
        let (refused, at) = try #require(unwilling.receive())
        unwilling.send(refused.answered(5), to: at)
        let (asked, from) = try #require(good.receive())
        good.send(asked.answered(3), to: from)
        #expect(client.read().flatMap { TestAnswer($0) }?.rcode == 3)
        #expect(rig.counters.forwardTimeouts == 1 && rig.counters.forwardFailures == 1)
        // The upstreams that failed are not asked first again.
        client.write(TestQuery("example.org").bytes)
        #expect(unwilling.receive() != nil)
    }

    @Test func silenceEverywhereIsServerFailure() throws {
        var limits = AliasDNSLimits()
        limits.forwardNanoseconds = hundredMilliseconds
        let silent = [Peer.datagramUpstream(), Peer.datagramUpstream()]
        let rig = try Rig(upstreams: silent.map(\.address), limits: limits)
        defer { rig.stop() }
        // Their ports stay taken to the end; a free one would be refused at once.
        defer { withExtendedLifetime(silent) {} }
        let answer = try #require(rig.ask(TestQuery("example.com").edns()))
        #expect(answer.rcode == 2 && answer.id == 0x1234 && answer.name == "example.com" && answer.opt != nil)
        #expect(rig.counters.forwardTimeouts == 2 && rig.counters.serverFailures == 1)
        #expect(rig.state.forwards == 0)
    }

    @Test func tooManyAtOnceIsServerFailure() throws {
        var limits = AliasDNSLimits()
        limits.forwards = 3
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address], limits: limits)
        defer { rig.stop() }
        let client = rig.datagramClient()
        for _ in 0..<3 { client.write(TestQuery("example.com").bytes) }
        for _ in 0..<3 { #expect(upstream.receive() != nil) }
        #expect(rig.ask(TestQuery("example.com"))?.rcode == 2)
        #expect(rig.state.forwards == 3 && rig.counters.forwardOverflows == 1)
    }

    @Test func aLongReplyIsCutForUDPClients() throws {
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address])
        defer { rig.stop() }
        let client = rig.datagramClient()
        client.write(TestQuery("example.com").bytes)
        let (asked, from) = try #require(upstream.receive())
        upstream.send(asked.answered(appending: (0..<40).flatMap { _ in record }, count: 40), to: from)
        let answer = try #require(client.read().flatMap { TestAnswer($0) })
        #expect(answer.isTruncated && answer.answers.isEmpty && answer.id == 0x1234)
        #expect(rig.counters.truncated == 1)
    }

    @Test func aTruncatedReplyIsFetchedOverTCPForTCPClients() throws {
        let (datagrams, streams) = try #require(Peer.upstreamPair())
        let rig = try Rig(upstreams: [datagrams.address])
        defer { rig.stop() }
        let client = rig.streamClient()
        client.write(TestQuery("example.com").framed)
        let (asked, from) = try #require(datagrams.receive())
        datagrams.send(asked.answered(0x0200), to: from)
        let connection = try #require(streams.acceptOne())
        let again = try #require(connection.readFrame())
        #expect(again[2...] == asked[2...])
        let reply = again.answered(appending: (0..<200).flatMap { _ in record }, count: 200).framed
        connection.write(Array(reply[..<1000]))
        connection.write(Array(reply[1000...]))
        let answer = try #require(client.readFrame().flatMap { TestAnswer($0) })
        #expect(answer.id == 0x1234 && answer.answers.count == 200 && !answer.isTruncated)
        // The client's connection goes on.
        client.write(TestQuery("web").framed)
        #expect(client.readFrame().flatMap { TestAnswer($0) }?.addresses == [TestZone.vip])
    }

    @Test func aTruncatedReplyIsRelayedToUDPClients() throws {
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address])
        defer { rig.stop() }
        let client = rig.datagramClient()
        client.write(TestQuery("example.com").bytes)
        let (asked, from) = try #require(upstream.receive())
        upstream.send(asked.answered(0x0200), to: from)
        #expect(client.read().flatMap { TestAnswer($0) }?.isTruncated == true)
    }

    @Test func anUpstreamThatBreaksItsStreamIsServerFailure() throws {
        let (datagrams, streams) = try #require(Peer.upstreamPair())
        let rig = try Rig(upstreams: [datagrams.address])
        defer { rig.stop() }
        for bytes in [[], [0], [0, 5, 1, 2, 3, 4, 5], [0, 40, 1, 2]] as [[UInt8]] {
            let client = rig.streamClient()
            client.write(TestQuery("example.com").framed)
            let (asked, from) = try #require(datagrams.receive())
            datagrams.send(asked.answered(0x0200), to: from)
            let connection = try #require(streams.acceptOne())
            _ = connection.readFrame()
            connection.write(bytes)
            connection.endWriting()
            #expect(client.readFrame().flatMap { TestAnswer($0) }?.rcode == 2)
        }
    }

    @Test func forwardedAndOwnAnswersMixOnOneConnection() throws {
        var limits = AliasDNSLimits()
        limits.forwardsPerClient = 4
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address], limits: limits)
        defer { rig.stop() }
        let client = rig.streamClient()
        let queries = (0..<40).map { index in
            TestQuery(index % 2 == 0 ? "example.com" : "web").with { $0.id = UInt16(index) }
        }
        client.write(queries.flatMap(\.framed))
        client.endWriting()
        for _ in 0..<20 {
            let (asked, from) = try #require(upstream.receive())
            upstream.send(asked.answered(appending: record, count: 1), to: from)
        }
        var ids: Set<UInt16> = []
        for _ in 0..<40 { ids.insert(try #require(client.readFrame().flatMap { TestAnswer($0) }).id) }
        #expect(ids == Set(0..<40))
        #expect(client.read() == [])
    }

    @Test func closingWhileForwarding() throws {
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address])
        defer { rig.stop() }
        let client = rig.streamClient()
        client.write(TestQuery("example.com").framed)
        let (asked, from) = try #require(upstream.receive())
        rig.stop()
        upstream.send(asked.answered(), to: from)
        #expect(client.isClosedByPeer())
    }

    @Test func aClientThatLeavesIsForgotten() throws {
        let upstream = Peer.datagramUpstream()
        let rig = try Rig(upstreams: [upstream.address])
        defer { rig.stop() }
        do {
            let client = rig.streamClient()
            client.write(TestQuery("example.com").framed)
        }
        let (asked, from) = try #require(upstream.receive())
        upstream.send(asked.answered(), to: from)
        #expect(rig.ask(TestQuery("web")) != nil)
        let isForgotten = (0..<100_000).contains { _ in
            let state = rig.state
            return state.clients == 0 && state.forwards == 0
        }
        #expect(isForgotten && rig.counters.forwarded == 1)
    }

    @Test func theServerIsNotItsOwnUpstream() throws {
        let first = try Rig()
        let address = first.address
        first.stop()
        let rig = try Rig(listen: address, upstreams: [address])
        defer { rig.stop() }
        #expect(rig.ask(TestQuery("example.com"))?.rcode == 5)
    }
}
