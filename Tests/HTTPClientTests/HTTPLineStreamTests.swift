import Glibc
import NetAddress
import Reactor
import ScriptedServer
import Testing
import TestSupport

@testable import HTTPClient

/// Runs a stream to its end, or to `lines` lines, and checks that nothing stays behind.
private func stream(
    _ address: SocketAddress, lineLimit: Int = 1_000, timeout: UInt64 = 20_000_000_000, cancelAfter lines: Int = .max
) throws -> [HTTPLineStream.Event] {
    let loop = try EventLoop(bufferLimitBytes: 1 << 20)
    let watchdog = Watchdog(loop)
    var events: [HTTPLineStream.Event] = []
    var open: HTTPLineStream?
    let request = FetchRequest(
        "POST", "/v3/watch", to: .tcp(address), host: "\(address)", body: Array("{}".utf8),
        timeoutNanoseconds: timeout)
    func end() { Alarm(loop, after: 5_000_000) { loop.stop() } }
    open = HTTPLineStream.start(request, lineLimitBytes: lineLimit, on: loop) { event in
        events.append(event)
        if case .ended = event { return end() }
        guard events.count(where: { if case .line = $0 { true } else { false } }) == lines else { return }
        open?.cancel()
        end()
    }
    #expect(events.isEmpty)
    try #require(watchdog.run())
    #expect(loop.handlerCount == 0)
    #expect(loop.buffers.leasedBytes == 0)
    #expect(openConnections(to: address) == 0)
    return events
}

private func line(_ text: String) -> HTTPLineStream.Event { .line(Array(text.utf8)) }

@Suite struct HTTPLineStreamTests {
    private static let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    @Test func linesAreToldWhileTheyCome() throws {
        let answered = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send(Self.chunked + "4\r\none\n\r\n")
            // The rest only once the client has shown, by closing, that it has seen the first line.
            connection.waitForClose()
        }
        #expect(try stream(answered.address, cancelAfter: 1) == [.opened(status: 200), line("one")])
    }

    @Test func linesAreCutWhereverTheyArriveBroken() throws {
        let body = "8\r\none\n\ntwo\r\n2\r\n\r\n\r\n5\r\nthree\r\n0\r\n\r\n"
        let server = try ScriptedServer { connection, index in
            _ = connection.readHead()
            if index == 0 {
                connection.send(Self.chunked + body)
            } else {
                connection.sendByteByByte(Self.chunked + body)
            }
        }
        for _ in 0..<2 {
            #expect(
                try stream(server.address) == [
                    .opened(status: 200), line("one"), line("two"), line("three"), .ended(nil),
                ])
        }
    }

    @Test func otherStatusesKeepTheirBody() throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}")
        }
        #expect(try stream(server.address) == [.opened(status: 401), line("{}"), .ended(nil)])
    }

    @Test func endsWithTheirReasons() throws {
        let server = try ScriptedServer { connection, index in
            _ = connection.readHead()
            switch index {
            case 0: connection.send(Self.chunked + "4\r\none\n\r\n")
            case 1: connection.send(Self.chunked + "b\r\n0123456789\n\r\n")
            case 2: connection.send(Self.chunked + "zz\r\n")
            default: connection.waitForClose()
            }
        }
        let opened = HTTPLineStream.Event.opened(status: 200)
        #expect(try stream(server.address) == [opened, line("one"), .ended(.closedEarly)])
        #expect(try stream(server.address, lineLimit: 9) == [opened, .ended(.bodyTooLarge)])
        let malformed = try stream(server.address)
        if case .ended(.malformed)? = malformed.last {} else { Issue.record("\(malformed)") }
        #expect(try stream(server.address, timeout: 50_000_000) == [.ended(.timedOut(.head))])
    }

    @Test func theTimeoutIsForTheHeadOnly() throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send(Self.chunked + "4\r\none\n\r\n")
            var pause = timespec(tv_sec: 0, tv_nsec: 300_000_000)
            nanosleep(&pause, nil)
            connection.send("4\r\ntwo\n\r\n0\r\n\r\n")
        }
        #expect(
            try stream(server.address, timeout: 250_000_000) == [
                .opened(status: 200), line("one"), line("two"), .ended(nil),
            ])
    }

    @Test(arguments: 0..<20)
    func splittingDoesNotDependOnPieces(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<100 {
            let bytes = (0..<random.below(60)).map { _ in random.element(of: [0x0a, 0x0d, 0x61, 0x62] as [UInt8]) }
            var splitter = LineSplitter(limit: 100)
            var lines: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                var piece = rest.prefix(random.below(9) + 1)
                rest = rest.dropFirst(piece.count)
                while case .line(let line) = splitter.next(&piece) { lines.append(line) }
            }
            if let line = splitter.rest() { lines.append(line) }
            let expected = bytes.split(separator: 0x0a).map { $0.last == 0x0d ? $0.dropLast() : $0 }
            #expect(lines == expected.filter { !$0.isEmpty }.map(Array.init))
        }
    }
}
