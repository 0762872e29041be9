internal import HTTPClient
internal import MeshCore
internal import NetAddress
internal import Reactor

/// What one probe found.
enum ProbeVerdict: Equatable {
    case passed
    case failed(cause: String)
    case timedOut(cause: String)
    /// This node could not ask, for want of descriptors, ports or memory: says nothing about the instance.
    case notMade(reason: String)
}

/// One probe under way. `cancel` ends it without a verdict.
enum ProbeAttempt {
    case http(HTTPFetch)
    case tcp(DialCheck)
    case grpc(GRPCHealthCheck)
    /// What ends it.
    case command(() -> Void)

    /// Starts a probe; `verdict` is called once, on the loop, never from within this call.
    static func start(
        _ probe: ProbeSpec, of instance: InstanceSpec, _ tls: FetchRequest.TLS? = nil,
        _ commands: CommandProbes = CommandProbes(),
        on loop: EventLoop, verdict: @escaping (ProbeVerdict) -> Void
    ) -> ProbeAttempt {
        let timeout = max(Nanoseconds.of(seconds: probe.timeoutSeconds), 1_000_000)
        switch probe.kind {
        case .http(let port, let path):
            let address = instance.socketAddress(containerPort: port)
            var request = FetchRequest(
                "GET", path, to: .tcp(address), host: "\(address)", headers: [("User-Agent", "meshd-probe")],
                timeoutNanoseconds: timeout, keepsBody: false)
            request.tls = tls
            if tls == nil, let version = probe.proxyVersion { request.preamble = ProxyHeader.local.bytes(version) }
            return .http(HTTPFetch.start(request, on: loop) { verdict(judge($0, timeout)) })
        case .tcp(let port):
            let address = instance.socketAddress(containerPort: port)
            return .tcp(DialCheck.start(address, timeoutNanoseconds: timeout, on: loop) { verdict(judge($0, timeout)) })
        case .grpc(let port, let service):
            let address = instance.socketAddress(containerPort: port)
            let check = GRPCHealthCheck.start(address, service: service, timeoutNanoseconds: timeout, on: loop) {
                verdict(judge($0, timeout))
            }
            return .grpc(check)
        case .command(let words):
            return .command(commands.run(words, instance.key, timeout) { verdict(judge($0, timeout)) })
        }
    }

    func cancel() {
        switch self {
        case .http(let fetch): fetch.cancel()
        case .tcp(let check): check.cancel()
        case .grpc(let check): check.cancel()
        case .command(let cancel): cancel()
        }
    }

    /// 2xx and 3xx are healthy (semantics 1.4).
    static func judge(_ result: FetchResult, _ timeout: UInt64) -> ProbeVerdict {
        switch result {
        case .response(let status, _): (200..<400).contains(status) ? .passed : .failed(cause: "http \(status)")
        case .failed(let failure): judge(failure, timeout)
        }
    }

    static func judge(_ outcome: GRPCHealthCheck.Outcome, _ timeout: UInt64) -> ProbeVerdict {
        switch outcome {
        case .serving: .passed
        case .notServing(let answer): .failed(cause: "grpc \(answer)")
        case .failed(let failure): judge(failure, timeout)
        }
    }

    static func judge(_ outcome: CommandOutcome, _ timeout: UInt64) -> ProbeVerdict {
        switch outcome {
        case .passed: .passed
        case .failed(let cause): .failed(cause: cause)
        case .timedOut: .timedOut(cause: "timed out after \(Nanoseconds.text(timeout))")
        case .notMade(let reason): .notMade(reason: reason)
        }
    }

    static func judge(_ failure: FetchFailure?, _ timeout: UInt64) -> ProbeVerdict {
        guard let failure else { return .passed }
        if failure.isLocal { return .notMade(reason: failure.description) }
        if case .timedOut = failure { return .timedOut(cause: "timed out after \(Nanoseconds.text(timeout))") }
        return .failed(cause: failure.description)
    }
}

/// Whether an address takes a TCP connection: dials, and closes as soon as it is decided.
final class DialCheck: Handler {
    private let loop: EventLoop
    private var socket = Socket.none
    /// Found at the start, told in the next turn.
    private var earlyFailure: SystemError?
    /// Told `nil` when the connection stands.
    private var completion: ((FetchFailure?) -> Void)?

    private init(_ loop: EventLoop, _ completion: @escaping (FetchFailure?) -> Void) {
        self.loop = loop
        self.completion = completion
    }

    static func start(
        _ address: SocketAddress, timeoutNanoseconds: UInt64, on loop: EventLoop,
        completion: @escaping (FetchFailure?) -> Void
    ) -> DialCheck {
        let check = DialCheck(loop, completion)
        do {
            check.socket = try Socket.dial(address)
            try loop.attach(check, check.socket)
            loop.setDeadline(check, at: Nanoseconds.sum(loop.nowNanoseconds, timeoutNanoseconds))
        } catch {
            check.earlyFailure = error
            loop.attach(check)
            loop.requeue(check)
        }
        return check
    }

    func cancel() {
        completion = nil
        loop.detach(self)
        socket.close()
        socket = .none
    }

    override func ready(_ readiness: Readiness) {
        guard !readiness.isDisjoint(with: [.writable, .error, .hangup]) else { return }
        let code = socket.takeError()
        finish(code == 0 ? nil : .connectFailed(SystemError("connect", code)))
    }

    override func resume() {
        if let earlyFailure { finish(.connectFailed(earlyFailure)) }
    }

    override func deadlineReached() { finish(.timedOut(.connect)) }

    private func finish(_ failure: FetchFailure?) {
        let completion = completion
        cancel()
        completion?(failure)
    }
}
