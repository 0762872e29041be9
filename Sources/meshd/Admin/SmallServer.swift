import HTTPCodec
import NetAddress
import Reactor

/// A request to a `SmallServer`: its head as text.
struct SmallRequest {
    let method: String
    /// Without the query.
    let path: String
    let query: String
    let host: String
    let head: String
}

struct SmallResponse {
    var status = 200
    var contentType = "text/plain; charset=utf-8"
    var headers = ""
    var body: String
}

/// A small HTTP/1.1 server on a loop, for the admin address and the demo's instances. Not for traffic: heads are at
/// most 8 KiB, request bodies are not read, and at most `limit` connections are open, the rest waiting in the kernel.
final class SmallServer {
    typealias Answer = (SmallResponse) -> Void

    private static let limit = 256

    let loop: EventLoop
    let respond: (SmallRequest, @escaping Answer) -> Void
    private var listener: TCPListener!
    private var open: [ObjectIdentifier: SmallConnection] = [:]

    init(
        _ socket: Socket, on loop: EventLoop, isSharedSocket: Bool = false,
        respond: @escaping (SmallRequest, @escaping Answer) -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.respond = respond
        listener = try TCPListener(
            socket, on: loop, isSharedSocket: isSharedSocket, mayAccept: { [unowned self] in open.count < Self.limit },
            accepted: { [unowned self] socket, _ in accept(socket) })
    }

    var address: SocketAddress? { listener.localAddress }

    private func accept(_ socket: Socket) {
        let connection = SmallConnection(socket, self)
        guard (try? loop.attach(connection, socket)) != nil else { return socket.close() }
        open[ObjectIdentifier(connection)] = connection
        connection.arm()
    }

    func forget(_ connection: SmallConnection) { open[ObjectIdentifier(connection)] = nil }

    /// Stops listening and closes every connection.
    func close() {
        listener.finish()
        for connection in Array(open.values) { connection.close() }
    }
}

/// One connection of a `SmallServer`: a head in, an answer out, again and again.
final class SmallConnection: Handler {
    private static let idleNanoseconds: UInt64 = 30_000_000_000
    private static let headLimit = 8192

    private unowned let server: SmallServer
    private var socket: Socket
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var isBusy = false
    /// The kernel has nothing more for now.
    private var isDrained = false
    private var ended = false
    private var closes = false

    init(_ socket: Socket, _ server: SmallServer) {
        self.socket = socket
        self.server = server
    }

    func arm() { server.loop.setDeadline(self, after: Self.idleNanoseconds) }

    override func deadlineReached() { close() }

    override func ready(_ readiness: Readiness) {
        if readiness.contains(.writable) { flush() }
        guard socket.isOpen, readiness.contains(.readable) || readiness.contains(.peerClosed) else { return }
        receive()
    }

    override func resume() {
        if socket.isOpen, !isBusy, output.isEmpty { receive() }
    }

    private func receive() {
        isDrained = false
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { chunk in
            while input.count <= Self.headLimit {
                switch socket.receive(chunk.baseAddress!, chunk.count) {
                case .count(0), .failed:
                    ended = true
                    return
                case .count(let count): input += chunk[..<count]
                case .wouldBlock:
                    isDrained = true
                    return
                }
            }
        }
        guard !isBusy, output.isEmpty else { return }
        let before = input.count
        parse()
        if ended, socket.isOpen, !isBusy, output.isEmpty, input.count == before { close() }
    }

    private func parse() {
        var head = RequestHead()
        var fields = FieldTable()
        defer { fields.deallocate() }
        let limits = MessageLimits(targetBytes: 4096, fields: 64, headBytes: Self.headLimit)
        let outcome = input.withUnsafeBytes { head.parse($0, limits: limits, fields: &fields) }
        switch outcome {
        case .incomplete: return
        case .malformed(let error):
            closes = true
            answer(SmallResponse(status: error.status, body: "\(error.reason)\n"), isHead: false)
        case .complete(let length):
            let request = input.withUnsafeBytes { Self.request(head, $0, length) }
            closes = !head.keepsAlive || head.framing != .none
            input.removeFirst(length)
            isBusy = true
            let isHead = head.method == .head
            server.respond(request) { [weak self] in self?.answer($0, isHead: isHead) }
        }
    }

    private static func request(_ head: RequestHead, _ bytes: UnsafeRawBufferPointer, _ length: Int) -> SmallRequest {
        func text(_ range: ByteRange) -> String { String(decoding: range.bytes(in: bytes.baseAddress!), as: UTF8.self) }
        let target = text(head.path).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return SmallRequest(
            method: text(head.methodRange), path: target.first.map(String.init) ?? "",
            query: target.count > 1 ? String(target[1]) : "", host: text(head.host),
            head: String(decoding: bytes[..<length], as: UTF8.self))
    }

    private func answer(_ response: SmallResponse, isHead: Bool) {
        guard socket.isOpen else { return }
        isBusy = false
        let body = Array(response.body.utf8)
        let head =
            "HTTP/1.1 \(response.status) \(Self.reason(response.status))\r\nContent-Type: \(response.contentType)\r\n"
            + "\(response.headers)Content-Length: \(body.count)\r\n\(closes ? "Connection: close\r\n" : "")\r\n"
        output += Array(head.utf8) + (isHead ? [] : body)
        arm()
        flush()
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 503: "Service Unavailable"
        default: "Error"
        }
    }

    private func flush() {
        while sent < output.count {
            let result = output.withUnsafeBytes { socket.send($0.baseAddress! + sent, output.count - sent) }
            switch result {
            case .count(let count): sent += count
            case .wouldBlock: return
            case .failed: return close()
            }
        }
        guard !output.isEmpty else { return }
        output = []
        sent = 0
        if closes && !isBusy {
            socket.shutdownWrite()
            close()
        } else if !input.isEmpty || !isDrained {
            // One request a turn: many at once starve nobody, and do not pile up on the stack.
            server.loop.requeue(self)
        }
    }

    func close() {
        guard socket.isOpen else { return }
        server.loop.detach(self)
        socket.close()
        socket = .none
        server.forget(self)
    }
}
