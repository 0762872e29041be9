import CLinux
import Glibc
import MeshCore
import NetAddress
import Testing

@testable import L4Proxy
@testable import Reactor

@Suite struct DirectionTests {
    /// Two ends of a TCP connection over loopback, closed at the end.
    private final class TCPPair {
        let near: Socket
        let far: Socket

        init() throws {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { Glibc.close(listener) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let isConnected = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(listener, $0, length) == 0 && listen(listener, 1) == 0
                        && getsockname(listener, $0, &length) == 0 && connect(fd, $0, length) == 0
                }
            }
            try #require(isConnected)
            near = Socket(descriptor: fd)
            far = Socket(descriptor: accept(listener, nil, nil))
            for socket in [near, far] { _ = fcntl(socket.descriptor, F_SETFL, O_NONBLOCK) }
        }

        deinit {
            near.close()
            far.close()
        }
    }

    private func put(_ bytes: [UInt8], _ socket: Socket, urgent: Bool = false) {
        let flags = Int32(MSG_NOSIGNAL) | (urgent ? Int32(MSG_OOB) : 0)
        let count = bytes.withUnsafeBytes { CLinux.send(socket.descriptor, $0.baseAddress, $0.count, flags) }
        #expect(count == bytes.count)
    }

    private func takeAll(_ socket: Socket) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = bytes.withUnsafeMutableBytes { recv(socket.descriptor, $0.baseAddress, $0.count, 0) }
        return Array(bytes.prefix(max(0, count)))
    }

    /// At an urgent mark the kernel splices nothing, which behind a FIN looks like the end.
    @Test func whatFollowsAnUrgentMarkIsNotCutByAnEndBehindIt() throws {
        let loop = try EventLoop()
        let worker = RelayWorker(loop: loop, balancer: Balancer(seed: 1), options: RelayOptions(), dialed: { _, _ in })
        let client = try TCPPair()
        let instance = try TCPPair()
        let source = RelayEnd(accepted: client.far)
        let sink = RelayEnd(accepted: instance.near)
        var direction = Direction()
        var counter: UInt64 = 0

        // Buffers that come full make a sender whose bytes are spliced.
        let bulk = [UInt8](repeating: 0x61, count: 2 * BufferPool.smallCapacity)
        put(bulk, client.near)
        source.isReadable = true
        #expect(direction.pump(from: source, to: sink, worker, &counter) == .waiting)
        let isBulkWhole = takeAll(instance.far) == bulk
        #expect(isBulkWhole)

        let part = [UInt8](repeating: 0x62, count: 10_000)
        put(part, client.near)
        put([0x21], client.near, urgent: true)
        put(part, client.near)
        client.near.shutdownWrite()
        // The event of the first bytes: that of the mark and of the end is not dispatched yet.
        source.isReadable = true
        #expect(direction.pump(from: source, to: sink, worker, &counter) == .waiting)
        source.ready([.readable, .urgent, .peerClosed])
        #expect(direction.pump(from: source, to: sink, worker, &counter) == .ended)
        let isRestWhole = takeAll(instance.far) == part + part
        #expect(isRestWhole)
        #expect(counter == UInt64(bulk.count + 2 * part.count))
    }

    @Test func theEndOfABulkSenderNeedsNoBuffer() throws {
        let loop = try EventLoop(bufferLimitBytes: BufferPool.smallCapacity)
        let worker = RelayWorker(loop: loop, balancer: Balancer(seed: 1), options: RelayOptions(), dialed: { _, _ in })
        let client = try TCPPair()
        let instance = try TCPPair()
        let source = RelayEnd(accepted: client.far)
        let sink = RelayEnd(accepted: instance.near)
        var direction = Direction()
        var counter: UInt64 = 0
        put([UInt8](repeating: 0x61, count: 2 * BufferPool.smallCapacity), client.near)
        source.isReadable = true
        #expect(direction.pump(from: source, to: sink, worker, &counter) == .waiting)

        let last = try #require(loop.buffers.leaseSmall())
        defer { loop.buffers.giveBack(last) }
        client.near.shutdownWrite()
        source.ready([.readable, .peerClosed])
        #expect(direction.pump(from: source, to: sink, worker, &counter) == .ended)
    }
}
