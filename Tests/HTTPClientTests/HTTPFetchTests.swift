import Glibc
import HTTPCodec
import NetAddress
import Reactor
import ScriptedServer
import Synchronization
import Testing

@testable import HTTPClient

private let ample: UInt64 = 20_000_000_000
private let brief: UInt64 = 50_000_000
/// Enough for a server on loopback to have said what it has to say.
private let patient: UInt64 = 1_000_000_000

/// Runs one fetch to its end and checks that nothing stays behind.
private func fetch(_ request: FetchRequest, bufferLimitBytes: Int = 1 << 20) throws -> FetchResult? {
    let loop = try EventLoop(bufferLimitBytes: bufferLimitBytes)
    let watchdog = Watchdog(loop)
    var results: [FetchResult] = []
    var isStarted = false
    HTTPFetch.start(request, on: loop) { result in
        #expect(isStarted, "called from within start")
        #expect(loop.buffers.leasedBytes == 0)
        results.append(result)
        // A second call would come in one of the next turns.
        Alarm(loop, after: 5_000_000) { loop.stop() }
    }
    isStarted = true
    try #require(watchdog.run())
    #expect(results.count == 1)
    #expect(loop.handlerCount == 0)
    #expect(loop.buffers.leasedBytes == 0)
    if case .tcp(let address) = request.target { #expect(openConnections(to: address) == 0) }
    return results.first
}

private func get(
    _ address: SocketAddress, timeout: UInt64 = ample, limit: Int = 1 << 20, keepsBody: Bool = true
) -> FetchRequest {
    FetchRequest(
        "GET", "/health", to: .tcp(address), host: "\(address)", timeoutNanoseconds: timeout, bodyLimitBytes: limit,
        keepsBody: keepsBody)
}

private func response(_ status: Int, _ body: String) -> FetchResult {
    .response(status: status, body: Array(body.utf8))
}

@Suite struct HTTPFetchTests {
    static let wholeResponses: [(String, FetchResult)] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", response(200, "hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", response(200, "hello")),
        ("HTTP/1.1 204 No Content\r\n\r\n", response(204, "")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", response(200, "")),
        ("HTTP/1.1 503 Busy\r\n\r\nuntil close", response(503, "until close")),
        ("HTTP/1.0 200 OK\r\n\r\n", response(200, "")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            response(200, "hello world")
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nChecksum: 1\r\n\r\n",
            response(200, "abc")
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
                + "Content-Length: 2\r\n\r\nok", response(200, "ok")
        ),
        (
            // More than one buffer holds: the second head is cut where the first receive ends.
            "HTTP/1.1 103 Early Hints\r\nX: " + String(repeating: "a", count: 12_000) + "\r\n\r\nHTTP/1.1 200 OK\r\nY: "
                + String(repeating: "b", count: 12_000) + "\r\nContent-Length: 2\r\n\r\nok", response(200, "ok")
        ),
    ]

    @Test(arguments: wholeResponses)
    func readsAWholeResponse(text: String, expected: FetchResult) throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send(text)
        }
        #expect(try fetch(get(server.address)) == expected)
    }

    @Test(arguments: wholeResponses)
    func readsAResponseByteByByte(text: String, expected: FetchResult) throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.sendByteByByte(text)
        }
        #expect(try fetch(get(server.address)) == expected)
    }

    @Test func sendsRequestLineFieldsAndBody() throws {
        let seen = Mutex("")
        let server = try ScriptedServer { connection, _ in
            var text = connection.readHead()
            while !text.hasSuffix("{}"), let more = connection.read() { text += String(decoding: more, as: UTF8.self) }
            seen.withLock { $0 = text }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        let request = FetchRequest(
            "POST", "/v3/kv/range?x=1", to: .tcp(server.address), host: "etcd:2379",
            headers: [("Content-Type", "application/json")], body: Array("{}".utf8), timeoutNanoseconds: ample)
        #expect(try fetch(request) == response(200, ""))
        #expect(
            seen.withLock { $0 } == "POST /v3/kv/range?x=1 HTTP/1.1\r\nHost: etcd:2379\r\nAccept: */*\r\n"
                + "Connection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    }

    @Test func movesLargeBodiesBothWays() throws {
        let size = 3 << 20
        let server = try ScriptedServer { connection, _ in
            let lines = connection.readHead().utf8.split(separator: 10, omittingEmptySubsequences: false)
            var received = lines.last?.count ?? 0
            while received < size, let more = connection.read() { received += more.count }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(received)\r\n\r\n")
            connection.send([UInt8](repeating: 7, count: received))
        }
        var request = get(server.address, limit: size)
        request.method = "PUT"
        request.body = [UInt8](repeating: 65, count: size)
        #expect(try fetch(request) == .response(status: 200, body: [UInt8](repeating: 7, count: size)))
    }

    @Test func takesAnAnswerThatComesBeforeTheWholeRequestIsSent() throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.read()
            connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            connection.waitForClose()
        }
        var request = get(server.address)
        request.body = [UInt8](repeating: 65, count: 64 << 20)
        #expect(try fetch(request) == response(413, "no"))
    }

    @Test func headHasNoBodyWhateverItSays() throws {
        let server = try ScriptedServer { connection, _ in
            #expect(connection.readHead().hasPrefix("HEAD /health "))
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            connection.waitForClose()
        }
        var request = get(server.address)
        request.method = "HEAD"
        #expect(try fetch(request) == response(200, ""))
    }

    @Test func endsBehindTheHeadWhereNoBodyIsKept() throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send("HTTP/1.1 302 Found\r\nContent-Length: 99999999999\r\n\r\n")
            connection.waitForClose()
        }
        #expect(try fetch(get(server.address, limit: 0, keepsBody: false)) == response(302, ""))
    }

    static let failures: [(String, FetchFailure)] = [
        ("", .closedEarly),
        ("HTTP/1.1 200 OK\r\nContent-Le", .closedEarly),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", .closedEarly),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", .closedEarly),
        ("HTTP/1.1 100 Continue\r\n\r\n", .closedEarly),
        ("SSH-2.0-OpenSSH\r\n", .malformed(.badStatusLine)),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", .malformed(.bareLineFeed)),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", .malformed(.badContentLength)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", .malformed(.badChunkSize)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", .bodyTooLarge),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", .bodyTooLarge),
        ("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "a", count: 101), .bodyTooLarge),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + String(repeating: "a", count: 100)
                + "\r\n1\r\nb\r\n0\r\n\r\n", .bodyTooLarge
        ),
        ("HTTP/1.1 200 OK\r\nX: " + String(repeating: "a", count: 20_000), .malformed(.headTooLarge)),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + String(repeating: "a", count: 20_000),
            .malformed(.badTrailer)
        ),
        (String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 11), .malformed(.badStatusLine)),
    ]

    @Test(arguments: failures)
    func failsAsNamed(text: String, expected: FetchFailure) throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send(text)
        }
        #expect(try fetch(get(server.address, limit: 100)) == .failed(expected))
    }

    static let stalls: [(String, FetchPhase)] = [
        ("", .head), ("HTTP/1.1 200 OK\r\n", .head), ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", .body),
    ]

    @Test(arguments: stalls)
    func timesOutWhereTheServerStalls(text: String, phase: FetchPhase) throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send(text)
            connection.waitForClose()
        }
        #expect(try fetch(get(server.address, timeout: patient)) == .failed(.timedOut(phase)))
    }

    @Test func refusedConnection() throws {
        let bound = try BoundSocket()
        defer { bound.release() }
        guard case .failed(let failure)? = try fetch(get(bound.address)) else {
            Issue.record("a refused connection gave a response")
            return
        }
        #expect(failure.description == "connection refused")
        #expect(!failure.isLocal)
    }

    @Test func noBufferIsANamedFailure() throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send("HTTP/1.1 200 OK\r\n\r\n")
            connection.waitForClose()
        }
        #expect(try fetch(get(server.address), bufferLimitBytes: 1) == .failed(.outOfBuffers))
        #expect(FetchFailure.outOfBuffers.isLocal)
    }

    @Test(arguments: [
        ("/a b", "h", "X", "v", MessageError.badTarget), ("", "h", "X", "v", .badTarget),
        ("a", "h", "X", "v", .badTarget), ("/\r\nX: y", "h", "X", "v", .badTarget), ("/#f", "h", "X", "v", .badTarget),
        ("/é", "h", "X", "v", .badTarget), ("/", "h\r\nX: y", "X", "v", .badHost),
        ("/", "h", "X:", "v", .badFieldName), ("/", "h", "X", "a\nb", .badFieldValue),
    ])
    func refusesToSmuggle(path: String, host: String, name: String, value: String, error: MessageError) throws {
        let bound = try BoundSocket()
        defer { bound.release() }
        let request = FetchRequest(
            "GET", path, to: .tcp(bound.address), host: host, headers: [(name, value)], timeoutNanoseconds: ample)
        #expect(try fetch(request) == .failed(.malformed(error)))
    }

    @Test func fetchesOverAUnixSocket() throws {
        let path = "/tmp/meshd-fetch-\(getpid())-\(MonotonicClock.nowNanoseconds()).sock"
        defer { unlink(path) }
        let loop = try EventLoop()
        let watchdog = Watchdog(loop)
        let listener = try TCPListener(Socket.listen(unixPath: path), on: loop) { socket, _ in
            // It fits the socket's buffer, and the request need not be read for that.
            let text = Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup".utf8)
            _ = text.withUnsafeBytes { socket.send($0.baseAddress!, $0.count) }
            socket.shutdownWrite()
            Alarm(loop, after: brief) { socket.close() }
        }
        var result: FetchResult?
        let request = FetchRequest("GET", "/status", to: .unix(path: path), host: "meshd", timeoutNanoseconds: ample)
        HTTPFetch.start(request, on: loop) {
            result = $0
            Alarm(loop, after: 2 * brief) { loop.stop() }
        }
        #expect(watchdog.run())
        listener.finish()
        #expect(result == response(200, "up"))
    }

    @Test func unixSocketThatIsNotThere() throws {
        let request = FetchRequest(
            "GET", "/", to: .unix(path: "/nonexistent/meshd.sock"), host: "meshd", timeoutNanoseconds: ample)
        guard case .failed(.connectFailed)? = try fetch(request) else {
            Issue.record("no failure")
            return
        }
        let long = FetchRequest(
            "GET", "/", to: .unix(path: String(repeating: "x", count: 300)), host: "meshd", timeoutNanoseconds: ample)
        guard case .failed(.connectFailed)? = try fetch(long) else {
            Issue.record("no failure")
            return
        }
    }

    @Test func cancelledFetchSaysNothing() throws {
        let server = try ScriptedServer { connection, _ in
            _ = connection.readHead()
            connection.send("HTTP/1.1 200 OK\r\n")
            connection.waitForClose()
        }
        let loop = try EventLoop()
        let watchdog = Watchdog(loop)
        let fetch = HTTPFetch.start(get(server.address), on: loop) { _ in Issue.record("called after cancel") }
        Alarm(loop, after: brief) {
            fetch.cancel()
            fetch.cancel()
            Alarm(loop, after: brief) { loop.stop() }
        }
        #expect(watchdog.run())
        #expect(loop.handlerCount == 0)
        #expect(loop.buffers.leasedBytes == 0)
        #expect(openConnections(to: server.address) == 0)
    }
}
