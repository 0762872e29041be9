import HTTPClient
import JSONCodec
import NetAddress
import Reactor

/// Something asked of etcd that can be given up.
final class EtcdCall {
    fileprivate var isOver = false
    fileprivate var undo: () -> Void = {}

    /// Nothing more is told. Harmless when it has ended.
    func cancel() {
        guard !isOver else { return }
        isOver = true
        undo()
        undo = {}
    }

    fileprivate func end() {
        isOver = true
        undo = {}
    }
}

/// Speaks to one member of an etcd cluster at a time, over its JSON gateway; logs in where a user is given.
///
/// Lives on one loop. Answers come from the loop, never from within a call.
final class EtcdClient {
    /// For one answer, from dialling on; where nobody asks for less.
    static let timeoutNanoseconds: UInt64 = 4_000_000_000
    static let answerLimitBytes = 32 << 20

    private let loop: EventLoop
    private let url: EtcdURL
    private let timeoutNanoseconds: UInt64
    private var index: Int
    private var token: String?
    private var addresses: [String: IPAddress] = [:]
    private var lookup: HostLookup?
    private let tls: RegistryTLSClient?

    /// - Parameters:
    ///   - seed: chooses the member to begin with, so that nodes spread over them.
    ///   - timeoutNanoseconds: for one answer.
    init(
        _ url: EtcdURL, on loop: EventLoop, seed: UInt64, timeoutNanoseconds: UInt64 = EtcdClient.timeoutNanoseconds
    ) {
        self.url = url
        self.timeoutNanoseconds = timeoutNanoseconds
        self.loop = loop
        tls = url.tls.map { RegistryTLSClient($0) }
        index = Int(seed % UInt64(url.endpoints.count))
    }

    /// The member in use.
    var endpoint: EtcdURL.Endpoint { url.endpoints[index] }

    /// Turns to the next member, and asks for its address anew.
    func failover() {
        addresses[endpoint.host] = nil
        tls?.forget()
        index = (index + 1) % url.endpoints.count
    }

    func forgetToken() { token = nil }

    /// Posts `body` to `path` and hands over the answer.
    func call(
        _ path: String, _ body: String, _ done: @escaping (Result<JSONValue, EtcdFailure>) -> Void
    ) -> EtcdCall {
        let call = EtcdCall()
        ask(call, path, body, mayLogIn: true) { Self.end(call, $0, done) }
        return call
    }

    /// - Parameter mayLogIn: whether a token that is void is replaced and the question asked once more.
    private func ask(
        _ call: EtcdCall, _ path: String, _ body: String, mayLogIn: Bool,
        _ done: @escaping (Result<JSONValue, EtcdFailure>) -> Void
    ) {
        prepare(call) { [self] ready in
            switch ready {
            case .failure(let failure): done(.failure(failure))
            case .success(let target):
                post(call, target, path, body) { [self] result in
                    guard mayLogIn, case .failure(let failure) = result, replacesToken(failure) else {
                        return done(result)
                    }
                    ask(call, path, body, mayLogIn: false, done)
                }
            }
        }
    }

    /// Whether the token was void, which is forgotten then.
    private func replacesToken(_ failure: EtcdFailure) -> Bool {
        guard failure.isUnauthenticated, token != nil else { return false }
        token = nil
        return true
    }

    private static func end<T>(_ call: EtcdCall, _ result: T, _ done: (T) -> Void) {
        guard !call.isOver else { return }
        call.end()
        done(result)
    }

    /// Begins a watch and hands over its lines. `nil` in the end: etcd ended it in order.
    func watch(
        _ body: String, line: @escaping (EtcdWatchAnswer) -> Void, ended: @escaping (EtcdFailure?) -> Void
    ) -> EtcdCall {
        let call = EtcdCall()
        openWatch(call, body, mayLogIn: true, line, ended)
        return call
    }

    private func openWatch(
        _ call: EtcdCall, _ body: String, mayLogIn: Bool, _ line: @escaping (EtcdWatchAnswer) -> Void,
        _ ended: @escaping (EtcdFailure?) -> Void
    ) {
        prepare(call) { [self] ready in
            do throws(EtcdFailure) {
                stream(call, try request(try ready.get(), "/v3/watch", body), line) { [self] failure in
                    guard mayLogIn, let failure, replacesToken(failure) else { return Self.end(call, failure, ended) }
                    openWatch(call, body, mayLogIn: false, line, ended)
                }
            } catch {
                later(call) { Self.end(call, error, ended) }
            }
        }
    }

    private func stream(
        _ call: EtcdCall, _ request: FetchRequest, _ told: @escaping (EtcdWatchAnswer) -> Void,
        _ ended: @escaping (EtcdFailure?) -> Void
    ) {
        var status = 0
        var isOver = false
        let stream = HTTPLineStream.start(request, lineLimitBytes: Self.answerLimitBytes, on: loop) { event in
            switch event {
            case .opened(let code): status = code
            case .line(let line):
                guard !isOver else { return }
                do throws(EtcdFailure) {
                    guard status == 200 else {
                        _ = try EtcdAnswer.value(status: status, line)
                        return
                    }
                    told(try EtcdAnswer.watch(line))
                } catch {
                    isOver = true
                    call.undo()
                    ended(error)
                }
            case .ended(let failure): if !isOver { ended(failure.map(EtcdFailure.init)) }
            }
        }
        call.undo = { stream.cancel() }
    }

    // MARK: - Steps

    private struct Target {
        let address: SocketAddress
        let host: String
    }

    /// Finds the member's address, and a token where a user is given.
    private func prepare(_ call: EtcdCall, _ ready: @escaping (Result<Target, EtcdFailure>) -> Void) {
        resolve(call) { [self] result in
            guard case .success(let target) = result, let user = url.user, token == nil else { return ready(result) }
            let password: String
            do throws(TextFault) {
                password = try url.password?.read() ?? ""
            } catch {
                let failure = EtcdFailure.unreachable(error.message)
                return later(call) { ready(.failure(failure)) }
            }
            let body = EtcdRequest.authenticate(user, password)
            post(call, target, "/v3/auth/authenticate", body) { [self] answer in
                switch answer {
                case .failure(let failure): ready(.failure(failure))
                case .success(let value):
                    token = value["token"]?.text
                    ready(token != nil ? .success(target) : .failure(.malformed("no token")))
                }
            }
        }
    }

    private func resolve(_ call: EtcdCall, _ done: @escaping (Result<Target, EtcdFailure>) -> Void) {
        let endpoint = endpoint
        func target(_ address: IPAddress) -> Target {
            Target(address: SocketAddress(address, endpoint.port), host: endpoint.description)
        }
        if let known = endpoint.address?.ip ?? addresses[endpoint.host] { return done(.success(target(known))) }
        do throws(SystemError) {
            try findLookup().ask(endpoint.host) { [self] found in
                guard !call.isOver else { return }
                guard let first = found.first else {
                    return done(.failure(.unreachable("host \(endpoint.host) is not known")))
                }
                addresses[endpoint.host] = first
                done(.success(target(first)))
            }
        } catch {
            later(call) { done(.failure(.unreachable("\(error)"))) }
        }
    }

    /// Tells an answer in a turn of its own, as every answer is told.
    private func later(_ call: EtcdCall, _ body: @escaping () -> Void) {
        let timer = CallTimer(loop, body)
        call.undo = { timer.cancel() }
    }

    private func findLookup() throws(SystemError) -> HostLookup {
        if let lookup { return lookup }
        let lookup = try HostLookup(on: loop)
        self.lookup = lookup
        return lookup
    }

    private func request(_ target: Target, _ path: String, _ body: String) throws(EtcdFailure) -> FetchRequest {
        var headers = [(name: "Content-Type", value: "application/json")]
        if let token, path != "/v3/auth/authenticate" { headers.append((name: "Authorization", value: token)) }
        var request = FetchRequest(
            "POST", path, to: .tcp(target.address), host: target.host, headers: headers, body: Array(body.utf8),
            timeoutNanoseconds: timeoutNanoseconds, bodyLimitBytes: Self.answerLimitBytes)
        guard let tls else { return request }
        do throws(TextFault) {
            request.tls = try tls.tls(
                host: endpoint.host, server: target.address, nowNanoseconds: loop.nowNanoseconds)
        } catch {
            throw .unreachable(error.message)
        }
        return request
    }

    private func post(
        _ call: EtcdCall, _ target: Target, _ path: String, _ body: String,
        _ done: @escaping (Result<JSONValue, EtcdFailure>) -> Void
    ) {
        let request: FetchRequest
        do throws(EtcdFailure) {
            request = try self.request(target, path, body)
        } catch {
            return later(call) { done(.failure(error)) }
        }
        let fetch = HTTPFetch.start(request, on: loop) { result in
            switch result {
            case .failed(let failure): done(.failure(EtcdFailure(failure)))
            case .response(let status, let body):
                do throws(EtcdFailure) {
                    done(.success(try EtcdAnswer.value(status: status, body)))
                } catch {
                    done(.failure(error))
                }
            }
        }
        call.undo = { fetch.cancel() }
    }
}

extension EtcdFailure {
    init(_ failure: FetchFailure) {
        switch failure {
        case .bodyTooLarge: self = .tooLarge
        default: self = .unreachable("\(failure)")
        }
    }
}

/// Calls a closure in one of the next turns, once.
final class CallTimer: Handler {
    private let loop: EventLoop
    private let body: () -> Void

    init(_ loop: EventLoop, _ body: @escaping () -> Void) {
        self.loop = loop
        self.body = body
        super.init()
        loop.attach(self)
        loop.requeue(self)
    }

    func cancel() { loop.detach(self) }

    override func resume() {
        loop.detach(self)
        body()
    }
}
