import CLinux
import Glibc
import NetAddress
import Testing

@testable import Reactor

@Suite struct ListenerTests {
    private let anywhere = SocketAddress(IPAddress.loopbackV4, 0)

    private func dial(_ address: SocketAddress?, _ count: Int) throws -> [Socket] {
        let address = try #require(address)
        return try (0..<count).map { _ in try Socket.dial(address) }
    }

    @Test func aBurstIsBoundedAndNothingIsLost() throws {
        let loop = try EventLoop()
        var perTurn: [UInt64: Int] = [:]
        var accepted: [Socket] = []
        let listener = try TCPListener(try Socket.listen(anywhere, shared: false), on: loop) { socket, peer in
            #expect(peer?.ip == .loopbackV4)
            perTurn[loop.turns, default: 0] += 1
            accepted.append(socket)
            if accepted.count == 300 { loop.stop() }
        }
        let clients = try dial(listener.localAddress, 300)
        loop.runGuarded()
        #expect(accepted.count == 300)
        #expect(perTurn.values.allSatisfy { $0 <= 64 })
        (clients + accepted).forEach { $0.close() }
        listener.finish()
    }

    @Test func aListenerKnowsHowManyWait() throws {
        let socket = try Socket.listen(anywhere, shared: false)
        #expect(socket.waitingConnections == 0)
        let clients = try dial(socket.localAddress(), 3)
        #expect(socket.waitingConnections == 3)
        guard case .connection(let accepted, _) = socket.accept() else {
            Issue.record("nothing was accepted")
            return
        }
        #expect(socket.waitingConnections == 2)
        #expect(accepted.waitingConnections == nil && clients[0].waitingConnections == nil)
        #expect(SocketPair().near.waitingConnections == nil, "a UNIX socket")
        (clients + [accepted, socket]).forEach { $0.close() }
    }

    /// Each wave comes when the one before it has been taken: what comes later is told anew.
    @Test func wavesAreTaken() throws {
        let loop = try EventLoop()
        var clients: [Socket] = []
        var accepted: [Socket] = []
        let listener = try TCPListener(try Socket.listen(anywhere, shared: false), on: loop) { socket, _ in
            accepted.append(socket)
        }
        let timer = TestHandler()
        loop.attach(timer)
        timer.onDeadline = {
            if accepted.count == 45 { return loop.stop() }
            if accepted.count == clients.count {
                clients += (try? dial(listener.localAddress, clients.isEmpty ? 1 : 11)) ?? []
            }
            loop.setDeadline(timer, after: 1)
        }
        loop.setDeadline(timer, after: 1)
        loop.runGuarded()
        #expect(accepted.count == 45)
        (clients + accepted).forEach { $0.close() }
        listener.finish()
    }

    @Test func theOwnerMayHoldBack() throws {
        let loop = try EventLoop()
        var (isOpen, asked) = (false, 0)
        var accepted: [Socket] = []
        let listener = try TCPListener(
            try Socket.listen(anywhere, shared: false), on: loop,
            mayAccept: {
                asked += 1
                return isOpen || accepted.count < 2
            },
            accepted: { socket, _ in
                accepted.append(socket)
                if accepted.count == 5 { loop.stop() }
            })
        let clients = try dial(listener.localAddress, 5)
        let timer = TestHandler()
        loop.attach(timer)
        timer.onDeadline = {
            #expect(accepted.count == 2)
            #expect(asked < 20, "it does not spin")
            isOpen = true
            listener.resume()
        }
        loop.setDeadline(timer, after: 30_000_000)
        loop.runGuarded()
        #expect(accepted.count == 5)
        (clients + accepted).forEach { $0.close() }
        listener.finish()
    }

    @Test func theListenerTriesAgainByItself() throws {
        let loop = try EventLoop()
        var asked = 0
        var accepted: [Socket] = []
        let listener = try TCPListener(
            try Socket.listen(anywhere, shared: false), on: loop,
            mayAccept: {
                asked += 1
                return asked > 1
            },
            accepted: { socket, _ in
                accepted.append(socket)
                loop.stop()
            })
        let clients = try dial(listener.localAddress, 1)
        loop.runGuarded()
        #expect(accepted.count == 1)
        (clients + accepted).forEach { $0.close() }
        listener.finish()
    }

    /// A descriptor that cannot be accepted from stands for "no descriptors left": every arrival would fail.
    @Test func failuresAreToldOnceInAWhile() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        var refusals: [Int32] = []
        let listener = try TCPListener(pair.near, on: loop, refused: { refusals.append($0.code) }) { _, _ in }
        let timer = TestHandler()
        loop.attach(timer)
        var rounds = 0
        timer.onDeadline = {
            rounds += 1
            pair.far.write("an arrival")
            if rounds == 5 { loop.stop() } else { loop.setDeadline(timer, after: 1) }
        }
        loop.setDeadline(timer, after: 1)
        loop.runGuarded()
        #expect(rounds == 5)
        #expect(refusals == [EINVAL] || refusals == [EOPNOTSUPP])
        loop.detach(listener)
    }

    @Test func finishTakesWhatHasConnected() throws {
        let loop = try EventLoop()
        var accepted: [Socket] = []
        let listener = try TCPListener(try Socket.listen(anywhere, shared: false), on: loop) { socket, _ in
            accepted.append(socket)
        }
        let clients = try dial(listener.localAddress, 3)
        listener.finish()
        listener.finish()
        #expect(accepted.count == 3)
        #expect(listener.localAddress == nil)
        (clients + accepted).forEach { $0.close() }
    }

    @Test func finishWithinACallback() throws {
        let loop = try EventLoop()
        var accepted: [Socket] = []
        var listener: TCPListener?
        listener = try TCPListener(try Socket.listen(anywhere, shared: false), on: loop) { socket, _ in
            accepted.append(socket)
            listener?.finish()
            loop.stop()
        }
        let clients = try dial(listener?.localAddress, 4)
        loop.runGuarded()
        #expect(accepted.count == 4)
        (clients + accepted).forEach { $0.close() }
    }

    @Test func sharedListenersAndIPv6() throws {
        let first = try Socket.listen(anywhere, shared: true)
        let second = try Socket.listen(first.localAddress()!, shared: true)
        #expect(throws: SystemError("bind", EADDRINUSE)) { try Socket.listen(first.localAddress()!, shared: false) }
        let six = try Socket.listen(SocketAddress(IPAddress("::1")!, 0), shared: false)
        #expect(six.localAddress()?.ip == IPAddress("::1"))
        [first, second, six].forEach { $0.close() }
    }
}

@Suite struct UnixSocketTests {
    @Test func aStaleSocketIsReplaced() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/admin"
        let first = try Socket.listen(unixPath: path)
        #expect(throws: SystemError("bind", EADDRINUSE)) { try Socket.listen(unixPath: path) }
        first.close()
        let second = try Socket.listen(unixPath: path)
        let client = try Socket.dial(unixPath: path)
        [second, client].forEach { $0.close() }
    }

    @Test func anyOtherFileStands() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/precious"
        try FileBytes.replace(path, Array("data".utf8))
        #expect(throws: SystemError("bind", EADDRINUSE)) { try Socket.listen(unixPath: path) }
        #expect(try FileBytes.read(path, limit: 10) == Array("data".utf8))
    }

    @Test func aListenerWithAFullQueueIsNotStale() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/busy"
        let listener = try Socket.listen(unixPath: path)
        var clients: [Socket] = []
        while clients.count < 5_000, let client = try? Socket.dial(unixPath: path) { clients.append(client) }
        #expect(clients.count < 5_000)
        #expect(throws: SystemError("bind", EADDRINUSE)) { try Socket.listen(unixPath: path) }
        clients.first?.close()
        (clients.dropFirst() + [listener]).forEach { $0.close() }
    }

    @Test func namesThatAreTooLong() {
        let path = "/tmp/" + String(repeating: "x", count: 200)
        #expect(throws: SystemError.self) { try Socket.listen(unixPath: path) }
        #expect(throws: SystemError.self) { try Socket.dial(unixPath: path) }
    }
}
