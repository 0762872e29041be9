import Glibc
import MeshCore
import NetAddress
import Reactor
import Testing

@testable import AliasDNS

/// Real sockets, one loop a test.
@Suite(.serialized) struct ServerTests {
    @Test func answersOverUDP() throws {
        let rig = try Rig()
        defer { rig.stop() }
        #expect(rig.address.port != 0)
        let client = rig.datagramClient()
        for id in 1...200 as ClosedRange<UInt16> {
            client.write(TestQuery("restserver.local").with { $0.id = id }.bytes)
        }
        for id in 1...200 as ClosedRange<UInt16> {
            let answer = try #require(client.read().flatMap { TestAnswer($0) })
            #expect(answer.id == id && answer.addresses == [TestZone.vip])
        }
        #expect(rig.ask(TestQuery("nosuch.local"))?.rcode == 3)
        #expect(rig.ask(TestQuery("example.com"))?.rcode == 5)
        let counters = rig.counters
        #expect(counters.queriesUDP == 202 && counters.noError == 200)
        #expect(counters.noSuchName == 1 && counters.refused == 1)
    }

    @Test func countsWhatItDoesNotAnswer() throws {
        let rig = try Rig()
        defer { rig.stop() }
        let client = rig.datagramClient()
        client.write([1, 2, 3])
        client.write(TestQuery("web").with { $0.flags = 0x8000 }.bytes)
        client.write([UInt8](repeating: 0, count: 4097))
        client.write(Array(TestQuery("web").bytes.dropLast()))
        #expect(client.read().flatMap { TestAnswer($0) }?.rcode == 1)
        let counters = rig.counters
        #expect(counters.queriesUDP == 4 && counters.dropped == 3 && counters.malformed == 2)
        #expect(counters.formatErrors == 1)
    }

    @Test func truncatedOverUDPWholeOverTCP() throws {
        let rig = try Rig(zone: TestZone.make(tasks: 100))
        defer { rig.stop() }
        let short = try #require(rig.ask(TestQuery("tasks.web")))
        #expect(short.isTruncated && short.answers.count == 30)
        let client = rig.streamClient()
        client.write(TestQuery("tasks.web").framed)
        let whole = try #require(client.readFrame().flatMap { TestAnswer($0) })
        #expect(!whole.isTruncated && Set(whole.addresses) == Set(TestZone.tasks(100)))
        #expect(rig.counters.truncated == 1 && rig.counters.queriesTCP == 1)
    }

    @Test func theZoneIsSwapped() throws {
        let rig = try Rig()
        defer { rig.stop() }
        let other = IPAddress(v4: 0x7f60_0063)
        rig.update(Zone([ZoneEntry(name: "new.local", addresses: [other])]))
        _ = rig.state
        #expect(rig.ask(TestQuery("new.local"))?.addresses == [other])
        #expect(rig.ask(TestQuery("restserver.local"))?.rcode == 3)
    }

    @Test func pipelinedQueriesOverTCP() throws {
        let rig = try Rig()
        defer { rig.stop() }
        let client = rig.streamClient()
        let queries = (0..<500).map { index in
            TestQuery(index & 1 == 0 ? "web" : "nosuch.local").with { $0.id = UInt16(index) }
        }
        #expect(client.write(queries.flatMap(\.framed)))
        client.endWriting()
        for index in 0..<500 {
            let answer = try #require(client.readFrame().flatMap { TestAnswer($0) })
            #expect(answer.id == UInt16(index) && answer.rcode == (index & 1 == 0 ? 0 : 3))
        }
        #expect(client.read() == [])
    }

    @Test func queriesInPieces() throws {
        let rig = try Rig()
        defer { rig.stop() }
        let client = rig.streamClient()
        for byte in TestQuery("web").framed + TestQuery("dual.local").framed.prefix(20) { client.write([byte]) }
        #expect(client.readFrame().flatMap { TestAnswer($0) }?.addresses == [TestZone.vip])
        client.write(Array(TestQuery("dual.local").framed.dropFirst(20)))
        #expect(client.readFrame().flatMap { TestAnswer($0) }?.addresses == [TestZone.vip])
    }

    /// Four hundred answers of 16 KiB are far more than the socket and the server hold; none may be lost.
    @Test func aSlowReaderHoldsItsQueriesUp() throws {
        let rig = try Rig(zone: TestZone.make(tasks: 1000))
        defer { rig.stop() }
        let client = Peer.stream(to: rig.address, receiveBuffer: 8192)
        let writer = Handoff<Bool>()
        let descriptor = dup(client.descriptor)
        let bytes = (0..<400).flatMap { index in TestQuery("tasks.web").with { $0.id = UInt16(index) }.framed }
        let thread = try WorkerThread(name: "dns-writer") {
            var sent = 0
            while sent < bytes.count {
                let start = sent
                let count = bytes.withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress! + start, $0.count - start, 0)
                }
                guard count > 0 else { break }
                sent += count
            }
            writer.give(sent == bytes.count)
        }
        for index in 0..<400 {
            let answer = try #require(client.readFrame())
            #expect(answer[0] == UInt8(index >> 8) && answer[1] == UInt8(index & 255) && answer.count == 16_027)
        }
        #expect(writer.take())
        thread.join()
        close(descriptor)
    }

    @Test(arguments: [[0, 0], [0, 11], [0x10, 0x01], [0, 12] + [UInt8](repeating: 0x80, count: 12)] as [[UInt8]])
    func aBrokenStreamIsClosed(_ bytes: [UInt8]) throws {
        let rig = try Rig()
        defer { rig.stop() }
        let client = rig.streamClient()
        client.write(bytes)
        #expect(client.isClosedByPeer())
        #expect(rig.state.clients == 0)
    }

    @Test func idleClientsAreClosed() throws {
        var limits = AliasDNSLimits()
        limits.idleNanoseconds = 20_000_000
        let rig = try Rig(limits: limits)
        defer { rig.stop() }
        let silent = rig.streamClient()
        let halfway = rig.streamClient()
        halfway.write([0, 50, 1])
        #expect(silent.isClosedByPeer() && halfway.isClosedByPeer())
        #expect(rig.counters.clientsClosed == 2)
    }

    @Test func clientsAboveTheLimitWait() throws {
        var limits = AliasDNSLimits()
        limits.clients = 2
        let rig = try Rig(limits: limits)
        defer { rig.stop() }
        var clients = (0..<2).map { _ in rig.streamClient() }
        defer { withExtendedLifetime(clients) {} }
        for client in clients {
            client.write(TestQuery("web").framed)
            #expect(client.readFrame() != nil)
        }
        let waiting = rig.streamClient()
        waiting.write(TestQuery("web").framed)
        #expect(rig.state.clients == 2)
        clients.removeLast()
        #expect(waiting.readFrame() != nil)
        #expect(rig.state.clients == 2)
    }

    /// The client's socket is connected, so an answer from another address would never reach it.
    @Test(arguments: [1, 5, 0x0102] as [UInt32])
    func aWildcardSocketAnswersFromTheAddressAsked(_ host: UInt32) throws {
        let rig = try Rig(listen: SocketAddress(.anyV4, 0))
        defer { rig.stop() }
        let client = Peer.datagram(to: SocketAddress(IPAddress(v4: 0x7f00_0000 | host), rig.address.port))
        client.write(TestQuery("web").bytes)
        #expect(client.read().flatMap { TestAnswer($0) }?.addresses == [TestZone.vip])
    }

    @Test func anAddressInUseIsAnError() throws {
        let rig = try Rig()
        defer { rig.stop() }
        #expect(throws: SystemError("bind", EADDRINUSE)) { try Rig(listen: rig.address) }
        let blocked = try #require(Peer.upstreamPair())
        #expect(throws: SystemError.self) { try Rig(listen: blocked.streams.address) }
    }

    @Test func closingEndsClientsAndFreesTheAddress() throws {
        let rig = try Rig()
        defer { rig.stop() }
        let client = rig.streamClient()
        client.write(TestQuery("web").framed)
        #expect(client.readFrame() != nil)
        rig.stop()
        #expect(client.isClosedByPeer())
        #expect(try Rig(listen: rig.address).ask(TestQuery("web")) != nil)
    }
}
