import HTTPClient
import NetAddress
import Reactor

/// Something asked of an engine that can be given up.
final class DockerCall {
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

/// Speaks to one Docker engine over HTTP, each request on a connection of its own.
///
/// Paths name no version of the API: an engine then speaks its own, and what is read here is in all of them. Lives on
/// one loop. Answers come from the loop, never from within a call.
final class DockerClient {
    /// For one answer, from dialling on; of a stream, for its head.
    static let timeoutNanoseconds: UInt64 = 4_000_000_000
    static let answerLimitBytes = 32 << 20
    /// The longest line of a stream of events, which holds all labels of a container.
    static let lineLimitBytes = 1 << 20

    private let loop: EventLoop
    private let engine: DockerURL.Engine
    private var address: IPAddress?
    private var lookup: HostLookup?
    private let tls: RegistryTLSClient?

    init(_ url: DockerURL, on loop: EventLoop) {
        engine = url.engine
        tls = url.tls.map { RegistryTLSClient($0) }
        self.loop = loop
    }

    /// Something has failed: the engine's host may have another address, its certificates may be new.
    func forget() {
        address = nil
        tls?.forget()
    }

    /// - Parameter body: JSON; `nil`: a GET.
    func call(
        _ path: String, _ body: String? = nil, timeoutNanoseconds: UInt64 = DockerClient.timeoutNanoseconds,
        _ done: @escaping (Result<[UInt8], DockerFailure>) -> Void
    ) -> DockerCall {
        prepare(path, body, timeoutNanoseconds, failed: { done(.failure($0)) }) { [loop] call, request in
            let fetch = HTTPFetch.start(request, on: loop) { result in
                guard !call.isOver else { return }
                call.end()
                done(Self.read(result))
            }
            call.undo = { fetch.cancel() }
        }
    }

    private static func read(_ result: FetchResult) -> Result<[UInt8], DockerFailure> {
        switch result {
        case .failed(let failure): return .failure(DockerFailure(failure))
        case .response(let status, let body):
            do throws(DockerFailure) {
                try DockerAnswer.check(status: status, body)
                return .success(body)
            } catch {
                return .failure(error)
            }
        }
    }

    /// Begins to read the stream of events. `nil` in the end: the engine ended it in order.
    func events(
        opened: @escaping () -> Void, line: @escaping ([UInt8]) -> Void, ended: @escaping (DockerFailure?) -> Void
    ) -> DockerCall {
        prepare(DockerRequest.events, nil, Self.timeoutNanoseconds, failed: { ended($0) }) { [loop] call, request in
            var status = 0
            var refusal: [UInt8] = []
            let stream = HTTPLineStream.start(request, lineLimitBytes: Self.lineLimitBytes, on: loop) { event in
                switch event {
                case .opened(let code):
                    status = code
                    if code == 200 { opened() }
                case .line(let bytes):
                    if status == 200 { line(bytes) } else if refusal.isEmpty { refusal = bytes }
                case .ended(let failure):
                    guard !call.isOver else { return }
                    call.end()
                    ended(failure.map { DockerFailure($0) } ?? Self.refusal(status, refusal))
                }
            }
            call.undo = { stream.cancel() }
        }
    }

    private static func refusal(_ status: Int, _ body: [UInt8]) -> DockerFailure? {
        do throws(DockerFailure) {
            try DockerAnswer.check(status: status, body)
            return nil
        } catch {
            return error
        }
    }

    /// Posts `body` and hands over what comes, of which there may be any amount, until it ends.
    func output(
        _ path: String, _ body: String, piece: @escaping ([UInt8]) -> Void,
        ended: @escaping (DockerFailure?) -> Void
    ) -> DockerCall {
        prepare(path, body, Self.timeoutNanoseconds, failed: { ended($0) }) { [loop] call, request in
            var request = request
            request.bodyLimitBytes = .max
            let fetch = HTTPFetch.stream(
                request, on: loop, piece: { status, bytes in if status == 200 { piece(bytes) } },
                completion: { result in
                    guard !call.isOver else { return }
                    call.end()
                    switch Self.read(result) {
                    case .success(let rest):
                        piece(rest)
                        ended(nil)
                    case .failure(let failure): ended(failure)
                    }
                })
            call.undo = { fetch.cancel() }
        }
    }

    // MARK: - Steps

    /// Finds the engine and hands the request over; what is asked of a call that is over is not.
    private func prepare(
        _ path: String, _ body: String?, _ timeout: UInt64, failed: @escaping (DockerFailure) -> Void,
        _ ready: @escaping (DockerCall, FetchRequest) -> Void
    ) -> DockerCall {
        let call = DockerCall()
        var request = FetchRequest(
            body == nil ? "GET" : "POST", path, to: .unix(path: ""), host: "docker",
            headers: body == nil ? [] : [(name: "Content-Type", value: "application/json")],
            body: body.map { Array($0.utf8) }, timeoutNanoseconds: timeout, bodyLimitBytes: Self.answerLimitBytes)
        switch engine {
        case .unix(let path):
            request.target = .unix(path: path)
            ready(call, request)
        case .tcp(let host, let port):
            request.host = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            resolve(host, call) { [unowned self] found in
                do throws(DockerFailure) {
                    guard let found else { throw .unreachable("host \(host) is not known") }
                    address = found
                    request.target = .tcp(SocketAddress(found, port))
                    request.tls = try tls(host, request.target)
                    ready(call, request)
                } catch {
                    later(call) {
                        call.end()
                        failed(error)
                    }
                }
            }
        }
        return call
    }

    private func tls(_ host: String, _ server: FetchRequest.Target) throws(DockerFailure) -> FetchRequest.TLS? {
        guard let tls else { return nil }
        do throws(TextFault) {
            return try tls.tls(host: host, server: server, nowNanoseconds: loop.nowNanoseconds)
        } catch {
            throw .unreachable(error.message)
        }
    }

    /// Tells an answer in a turn of its own, as every answer is told.
    private func later(_ call: DockerCall, _ body: @escaping () -> Void) {
        let timer = CallTimer(loop, body)
        call.undo = { timer.cancel() }
    }

    private func resolve(_ host: String, _ call: DockerCall, _ done: @escaping (IPAddress?) -> Void) {
        if let known = IPAddress(host) ?? address { return done(known) }
        do throws(SystemError) {
            try findLookup().ask(host) { found in
                if !call.isOver { done(found.first) }
            }
        } catch {
            done(nil)
        }
    }

    private func findLookup() throws(SystemError) -> HostLookup {
        if let lookup { return lookup }
        let lookup = try HostLookup(on: loop)
        self.lookup = lookup
        return lookup
    }
}

extension DockerFailure {
    init(_ failure: FetchFailure) {
        switch failure {
        case .bodyTooLarge: self = .tooLarge
        default: self = .unreachable("\(failure)")
        }
    }
}
