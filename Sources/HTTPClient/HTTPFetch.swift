internal import HTTPCodec
internal import NetAddress
public import Reactor

/// One request and its response over a connection of its own.
///
/// The completion is called once, on the loop, never from within `start`; after `cancel` it is not called at all.
/// The loop keeps the fetch until then. While it waits it holds a descriptor and no buffer.
public final class HTTPFetch: Handler {
    /// Receives in one turn; behind them the loop's other handlers come first.
    private static let receivesPerTurn = 16

    private let loop: EventLoop
    private var transport = Transport.none
    private var layer: TLSLayer?
    private var outgoing: [UInt8] = []
    private var sent = 0
    private var reader: ResponseReader
    private var buffer: Buffer?
    /// Octets in `buffer` that the reader has not consumed.
    private var filled = 0
    private var phase = FetchPhase.connect
    private var canReceive = false
    /// A failure found by `start`, told in the next turn.
    private var earlyFailure: FetchFailure?
    private var completion: ((FetchResult) -> Void)?
    /// Of a stream: gets the body piece by piece; an empty one says that the head is there.
    private var piece: ((_ status: Int, [UInt8]) -> Void)?
    private var isHeadTold = false

    private init(_ request: FetchRequest, _ loop: EventLoop, _ completion: @escaping (FetchResult) -> Void) {
        self.loop = loop
        self.completion = completion
        reader = ResponseReader(request)
    }

    /// Begins to dial.
    @discardableResult
    public static func start(
        _ request: FetchRequest, on loop: EventLoop, completion: @escaping (FetchResult) -> Void
    ) -> HTTPFetch {
        let fetch = HTTPFetch(request, loop, completion)
        if let failure = fetch.open(request) {
            fetch.earlyFailure = failure
            loop.attach(fetch)
            loop.requeue(fetch)
        } else {
            let (deadline, overflow) = loop.nowNanoseconds.addingReportingOverflow(request.timeoutNanoseconds)
            loop.setDeadline(fetch, at: overflow ? .max : deadline)
        }
        return fetch
    }

    /// Begins to dial for a response that is wanted while it comes. Such a response may last: the request's timeout is
    /// for its head alone, its body limit for what comes in one piece, and the kernel watches over the connection.
    ///
    /// - Parameters:
    ///   - piece: gets the status with an empty piece when the head is there, then what has come of the body. It may
    ///     call `cancel`.
    ///   - completion: gets what has not been told of the body when the response ends.
    @discardableResult
    public static func stream(
        _ request: FetchRequest, on loop: EventLoop, piece: @escaping (_ status: Int, [UInt8]) -> Void,
        completion: @escaping (FetchResult) -> Void
    ) -> HTTPFetch {
        let fetch = start(request, on: loop, completion: completion)
        fetch.piece = piece
        return fetch
    }

    /// Ends the fetch without a call of its completion. Harmless when it has ended.
    public func cancel() { tearDown() }

    private func open(_ request: FetchRequest) -> FetchFailure? {
        do {
            outgoing = try request.encoded()
        } catch {
            return .malformed(error)
        }
        do {
            let socket =
                switch request.target {
                case .tcp(let address): try Socket.dial(address)
                case .unix(let path): try Socket.dial(unixPath: path)
                }
            transport = Transport(socket)
            if let tls = request.tls {
                layer = tls.context.flatMap {
                    TLSLayer(to: socket, $0, name: tls.name, sessionKey: tls.sessionKey, tls.engine)
                }
                guard let layer else {
                    closeTransport()
                    return .noTLS
                }
                transport = Transport(layer, over: socket)
            }
            try loop.attach(self, socket)
            return nil
        } catch {
            closeTransport()
            return .connectFailed(error)
        }
    }

    // MARK: - Events

    override public func ready(_ readiness: Readiness) {
        if phase == .connect {
            guard !readiness.isDisjoint(with: [.writable, .error, .hangup]) else { return }
            let code = transport.socket.takeError()
            guard code == 0 else { return finish(.failed(.connectFailed(SystemError("connect", code)))) }
            phase = layer == nil ? .request : .handshake
        }
        if phase == .handshake {
            guard shakeHands() else { return }
        }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .error, .hangup]) { canReceive = true }
        pump()
    }

    /// Whether the handshake is over, and well.
    private func shakeHands() -> Bool {
        guard let layer else { return true }
        switch layer.shakeHands() {
        case .done:
            phase = .request
            canReceive = layer.mayHaveBytes
            return true
        case .waiting: break
        case .closed: finish(.failed(.closedEarly))
        case .failed(let reason):
            finish(.failed(.tlsFailed(reason: layer.distrust.map { "\(reason): \($0)" } ?? reason)))
        }
        return false
    }

    override public func resume() {
        if let earlyFailure { return finish(.failed(earlyFailure)) }
        pump()
    }

    override public func deadlineReached() { finish(.failed(.timedOut(phase))) }

    // MARK: - Bytes

    private func pump() {
        if sent < outgoing.count { sendRequest() }
        // A server may answer before it has taken the whole request.
        if canReceive { receiveResponse() }
    }

    private func sendRequest() {
        while sent < outgoing.count {
            let result = outgoing.withUnsafeBytes { bytes -> IOResult in
                guard let base = bytes.baseAddress else { return .wouldBlock }
                return transport.send(base + sent, bytes.count - sent)
            }
            switch result {
            case .count(let count): sent += count
            case .wouldBlock: return
            case .failed:
                // It may have answered and closed; what it said is still there to be read.
                canReceive = true
                sent = outgoing.count
            }
        }
        outgoing = []
        if phase == .request { phase = .head }
    }

    private func receiveResponse() {
        for _ in 0..<Self.receivesPerTurn {
            guard let buffer = buffer ?? loop.buffers.leaseSmall() else { return finish(.failed(.outOfBuffers)) }
            self.buffer = buffer
            switch transport.receive(buffer.base + filled, buffer.capacity - filled) {
            case .wouldBlock:
                canReceive = false
                if filled == 0 { giveBackBuffer() }
                return
            // TLS 1.3 servers refuse a client's certificate behind the handshake.
            case .failed: return finish(.failed(layer?.breachReason.map { .tlsFailed(reason: $0) } ?? .closedEarly))
            case .count(0): return finish(reader.streamEnded())
            case .count(let count):
                if let result = take(buffer, filled + count) { return finish(result) }
                // Whoever got a piece may have had enough.
                guard completion != nil else { return }
            }
        }
        loop.requeue(self)
    }

    /// Has the reader look at `count` octets and keeps what it has not consumed.
    private func take(_ buffer: Buffer, _ count: Int) -> FetchResult? {
        switch reader.read(buffer.base, count) {
        case .finished(let result): return result
        case .more(let consumed):
            filled = count - consumed
            if consumed > 0 { buffer.base.copyMemory(from: buffer.base + consumed, byteCount: filled) }
            if reader.isInBody {
                phase = .body
                tellPiece()
            }
            return nil
        }
    }

    private func tellPiece() {
        guard let piece else { return }
        if !isHeadTold {
            isHeadTold = true
            loop.clearDeadline(self)
            transport.keepAlive()
            piece(reader.status, [])
        }
        let bytes = reader.takeBody()
        if !bytes.isEmpty, completion != nil { piece(reader.status, bytes) }
    }

    // MARK: - End

    private func finish(_ result: FetchResult) {
        let completion = completion
        tearDown()
        completion?(result)
    }

    private func tearDown() {
        completion = nil
        piece = nil
        loop.detach(self)
        closeTransport()
        giveBackBuffer()
    }

    private func closeTransport() {
        if transport.isOpen { transport.close() }
        transport = .none
        layer = nil
    }

    private func giveBackBuffer() {
        if let buffer { loop.buffers.giveBack(buffer) }
        buffer = nil
        filled = 0
    }
}
