public import NetAddress
public import Reactor

/// Asks an instance for its health by grpc.health.v1 over HTTP/2 in clear with prior knowledge (RFC 9113 section 3.3),
/// on a connection of its own.
///
/// The completion is called once, on the loop, never from within `start`; after `cancel` it is not called at all.
public final class GRPCHealthCheck: Handler {
    public enum Outcome: Equatable, Sendable {
        case serving
        /// It answered something else, in words.
        case notServing(String)
        case failed(FetchFailure)
    }

    /// Received in one turn and at all: a server that never stops is cut off.
    private static let receivesPerTurn = 16
    private static let receivesInAll = 256

    private let loop: EventLoop
    private let call: UnaryCall?
    private var socket = Socket.none
    private var outgoing: [UInt8] = []
    private var sent = 0
    private var receives = 0
    private var isConnected = false
    private var canReceive = false
    private var earlyFailure: FetchFailure?
    private var completion: ((Outcome) -> Void)?

    private init(
        _ address: SocketAddress, _ service: String, _ loop: EventLoop, _ completion: @escaping (Outcome) -> Void
    ) {
        self.loop = loop
        self.completion = completion
        call = UnaryCall(
            authority: "\(address)", path: HealthMessages.path, message: HealthMessages.request(service: service),
            limitBytes: HealthMessages.responseLimitBytes)
    }

    /// Begins to dial.
    ///
    /// - Parameters:
    ///   - service: the name that is asked for; empty: the server as a whole.
    ///   - timeoutNanoseconds: from the start of dialling to the end of the answer.
    public static func start(
        _ address: SocketAddress, service: String, timeoutNanoseconds: UInt64, on loop: EventLoop,
        completion: @escaping (Outcome) -> Void
    ) -> GRPCHealthCheck {
        let check = GRPCHealthCheck(address, service, loop, completion)
        do {
            check.socket = try Socket.dial(address)
            try loop.attach(check, check.socket)
            loop.setDeadline(check, after: timeoutNanoseconds)
        } catch {
            check.socket.close()
            check.socket = .none
            check.earlyFailure = .connectFailed(error)
            loop.attach(check)
            loop.requeue(check)
        }
        return check
    }

    /// Ends the check without a call of its completion. Harmless when it has ended.
    public func cancel() {
        completion = nil
        loop.detach(self)
        socket.close()
        socket = .none
    }

    // MARK: - Events

    override public func ready(_ readiness: Readiness) {
        if !isConnected {
            guard !readiness.isDisjoint(with: [.writable, .error, .hangup]) else { return }
            let code = socket.takeError()
            guard code == 0 else { return finish(.failed(.connectFailed(SystemError("connect", code)))) }
            isConnected = true
        }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .error, .hangup]) { canReceive = true }
        pump()
    }

    override public func resume() {
        if let earlyFailure { return finish(.failed(earlyFailure)) }
        pump()
    }

    override public func deadlineReached() { finish(.failed(.timedOut(isConnected ? .body : .connect))) }

    // MARK: - Octets

    private func pump() {
        guard let call else { return finish(.failed(.outOfBuffers)) }
        guard flush(call) else { return finish(.failed(.closedEarly)) }
        for _ in 0..<Self.receivesPerTurn where canReceive {
            guard receive(call), flush(call) else { return finish(.failed(.closedEarly)) }
            if let outcome = call.outcome { return finish(Self.judge(outcome)) }
        }
        if canReceive { loop.requeue(self) }
    }

    /// `false`: the connection failed, or has sent more than any answer needs.
    private func receive(_ call: UnaryCall) -> Bool {
        receives += 1
        guard receives <= Self.receivesInAll else { return false }
        return withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 16) { buffer in
            guard let base = buffer.baseAddress else { return false }
            switch socket.receive(base, buffer.count) {
            case .count(0):
                call.streamEnded()
                canReceive = false
            case .count(let count): call.receive(UnsafeRawBufferPointer(start: base, count: count))
            case .wouldBlock: canReceive = false
            case .failed: return false
            }
            return true
        }
    }

    /// `false`: the connection failed.
    private func flush(_ call: UnaryCall) -> Bool {
        while true {
            if sent == outgoing.count { (outgoing, sent) = (call.output(), 0) }
            guard sent < outgoing.count else { return true }
            let result = outgoing.withUnsafeBytes { bytes -> IOResult in
                guard let base = bytes.baseAddress else { return .wouldBlock }
                return socket.send(base + sent, bytes.count - sent)
            }
            switch result {
            case .count(let count): sent += count
            case .wouldBlock: return true
            // It may have answered and closed; what it said is still there to be read.
            case .failed: return canReceive
            }
        }
    }

    private static func judge(_ outcome: UnaryCall.Outcome) -> Outcome {
        switch outcome {
        case .message(let bytes):
            guard let status = HealthMessages.status(bytes) else { return .notServing("no health message") }
            return status == .serving ? .serving : .notServing(status.text)
        case .httpStatus(let status): return .notServing("http \(status)")
        case .grpcStatus(let status): return .notServing("grpc-status \(status)")
        case .broken(let reason): return .notServing(reason)
        }
    }

    private func finish(_ outcome: Outcome) {
        let completion = completion
        cancel()
        completion?(outcome)
    }
}
