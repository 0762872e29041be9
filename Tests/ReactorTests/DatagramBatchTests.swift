import NetAddress
import Testing

@testable import Reactor

@Suite struct DatagramBatchTests {
    private func count(_ result: IOResult) -> Int? {
        if case .count(let count) = result { return count }
        return nil
    }

    /// What one socket receives, a byte string each.
    private func drain(_ socket: Socket) -> [[UInt8]] {
        var all: [[UInt8]] = []
        var space = [UInt8](repeating: 0, count: 2_000)
        while case .datagram(let count, _, _) = space.withUnsafeMutableBytes({
            socket.receiveDatagram($0.baseAddress!, $0.count)
        }) { all.append(Array(space[..<count])) }
        return all
    }

    @Test(arguments: ["0.0.0.0:0", "[::]:0", "127.0.0.1:0"]) func batchesGoThereAndBack(address: String) throws {
        let service = try Socket.datagramService(try #require(SocketAddress(address)), shared: true)
        let port = try #require(service.localAddress()).port
        let asked = SocketAddress(IPAddress("127.0.0.1")!, port)
        let client = try Socket.datagram(connectedTo: asked)
        let sent = (0..<40).map { [UInt8](repeating: UInt8($0), count: $0 * 30) }
        for bytes in sent {
            #expect(
                count(
                    bytes.withUnsafeBytes { client.send($0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!, $0.count) })
                    == bytes.count)
        }

        let batch = DatagramBatch()
        #expect(count(batch.receive(from: service)) == 32)
        for index in 0..<32 {
            #expect(batch.length(index) == index * 30)
            #expect(batch.path(index)?.peer == client.localAddress())
            #expect(batch.path(index)?.local == (address.hasPrefix("127") ? nil : asked.ip))
        }
        let path = try #require(batch.path(3))
        #expect(count(batch.send(3..<32, through: service, along: path)) == 29)
        #expect(drain(client) == Array(sent[3..<32]))
        #expect(count(batch.receive(from: service)) == 8)
        #expect(count(batch.send(0..<8, through: service, along: path)) == 8)
        #expect(drain(client) == Array(sent[32...]))
        if case .wouldBlock = batch.receive(from: service) {} else { Issue.record("nothing is left") }
        service.close()
        client.close()
    }

    @Test func anUnreachablePortIsTold() throws {
        let gone = try Socket.datagram(SocketAddress(.loopbackV4, 0))
        let address = try #require(gone.localAddress())
        gone.close()
        let service = try Socket.datagram(SocketAddress(.loopbackV4, 0))
        let sender = try Socket.datagram(connectedTo: try #require(service.localAddress()))
        #expect(count("x".utf8CString.withUnsafeBytes { sender.send($0.baseAddress!, 1) }) == 1)
        let batch = DatagramBatch()
        #expect(count(batch.receive(from: service)) == 1)
        let flow = try Socket.datagram(connectedTo: address)
        #expect(count(batch.send(0..<1, through: flow)) == 1)
        var found: SystemError?
        if case .failed(let code) = batch.receive(from: flow) { found = SystemError("recv", code) }
        #expect(found?.isUnreachable == true)
        [service, sender, flow].forEach { $0.close() }
    }
}
