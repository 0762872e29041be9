import Glibc
import Synchronization

/// What an instance saw of one request.
struct RecordedRequest: Sendable {
    let method: String
    let target: String
    let head: HTTPHead
    /// Kept up to 1 MiB.
    var body: [UInt8] = []
    var trailers: [HTTPField] = []
    /// The whole request was there, body and trailers included.
    var isComplete = false
    /// 1 for the first request of a connection.
    let number: Int
}

/// A scripted HTTP/1.1 server in the test process.
final class HTTPInstance: Sendable {
    enum Ending: Sendable { case keep, close, reset }
    typealias Behaviour = @Sendable (ServedExchange) throws -> Ending

    /// Requests for this path are probes: answered from `probeStatus`, not recorded.
    static let probePath = "/health"

    let name: String
    fileprivate let record: InstanceRecord
    private let tcp: TCPInstance

    var port: UInt16 { tcp.port }
    var address: String { tcp.address }
    var requests: [RecordedRequest] { record.requests }
    var malformed: [String] { record.malformed }
    var probeCount: Int { record.probes.value }
    var acceptedCount: Int { tcp.acceptedCount }
    var openConnections: Int { tcp.openConnections }

    init(_ name: String, port: UInt16 = FreePort.take(), _ behaviour: @escaping Behaviour = Behave.named) throws {
        self.name = name
        let record = InstanceRecord(name: name, behaviour: behaviour)
        self.record = record
        tcp = try TCPInstance(port: port) { InstanceLoop(record: record, connection: $0).run() }
    }

    func setBehaviour(_ behaviour: @escaping Behaviour) { record.setBehaviour(behaviour) }

    func setProbeStatus(_ status: Int) { record.setProbeStatus(status) }

    /// Probes wait at `gate` before they are answered.
    func holdProbes(_ gate: Gate?) { record.setProbeGate(gate) }

    func forgetRequests() { record.forget() }

    func start() throws { try tcp.start() }

    func stop() { tcp.stop() }

    func closeConnections() { tcp.closeConnections() }
}

/// What the threads of one instance share.
final class InstanceRecord: Sendable {
    private struct State {
        var behaviour: HTTPInstance.Behaviour
        var requests: [Int: RecordedRequest] = [:]
        var nextID = 0
        var malformed: [String] = []
        var probeStatus = 200
        var probeGate: Gate?
    }

    let name: String
    let probes = Counter()
    private let state: Mutex<State>

    init(name: String, behaviour: @escaping HTTPInstance.Behaviour) {
        self.name = name
        state = Mutex(State(behaviour: behaviour))
    }

    var behaviour: HTTPInstance.Behaviour { state.withLock { $0.behaviour } }
    var malformed: [String] { state.withLock { $0.malformed } }
    var probe: (status: Int, gate: Gate?) { state.withLock { ($0.probeStatus, $0.probeGate) } }

    /// In the order they came.
    var requests: [RecordedRequest] {
        state.withLock { state in state.requests.sorted { $0.key < $1.key }.map(\.value) }
    }

    func setBehaviour(_ behaviour: @escaping HTTPInstance.Behaviour) { state.withLock { $0.behaviour = behaviour } }

    func setProbeStatus(_ status: Int) { state.withLock { $0.probeStatus = status } }

    func setProbeGate(_ gate: Gate?) { state.withLock { $0.probeGate = gate } }

    func forget() { state.withLock { $0.requests = [:] } }

    func note(malformed text: String) { state.withLock { $0.malformed.append(text) } }

    func begin(_ request: RecordedRequest) -> Int {
        state.withLock {
            // Load tests leave hundreds of thousands; nobody asks for the old ones.
            if $0.requests.count > 5_000 { $0.requests = [:] }
            $0.nextID += 1
            $0.requests[$0.nextID] = request
            return $0.nextID
        }
    }

    func complete(_ id: Int, body: [UInt8], trailers: [HTTPField]) {
        state.withLock {
            if body.count <= 1 << 20 { $0.requests[id]?.body = body }
            $0.requests[id]?.trailers = trailers
            $0.requests[id]?.isComplete = true
        }
    }
}

/// One connection of an instance: requests one after the other until a behaviour ends it.
private struct InstanceLoop {
    let record: InstanceRecord
    let connection: Connection

    func run() {
        var number = 0
        while true {
            number += 1
            do {
                switch try serveOne(number) {
                case .keep: continue
                case .close: return
                case .reset: return connection.prepareReset()
                }
            } catch ReadError.malformed(let what) {
                record.note(malformed: what)
                return
            } catch {
                return
            }
        }
    }

    private func serveOne(_ number: Int) throws -> HTTPInstance.Ending {
        let head = try connection.readHead()
        let parts = head.startLine.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2] == "HTTP/1.1" || parts[2] == "HTTP/1.0" else {
            throw ReadError.malformed("request line \"\(head.startLine)\"")
        }
        let framing = try Connection.framing(head, fallback: .none)
        if parts[1] == HTTPInstance.probePath { return try answerProbe() }
        let request = RecordedRequest(method: String(parts[0]), target: String(parts[1]), head: head, number: number)
        let id = record.begin(request)
        let exchange = ServedExchange(
            record: record, connection: connection, head: head, method: request.method, target: request.target,
            number: number, id: id, framing: framing)
        if framing == .none { record.complete(id, body: [], trailers: []) }
        return try record.behaviour(exchange)
    }

    private func answerProbe() throws -> HTTPInstance.Ending {
        record.probes.add()
        let (status, gate) = record.probe
        if let gate { gate.wait() }
        try connection.send("HTTP/1.1 \(status) Probed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return .close
    }
}

/// One request as a behaviour sees it.
final class ServedExchange {
    let connection: Connection
    let head: HTTPHead
    let method: String
    let target: String
    /// 1 for the first request of a connection.
    let number: Int
    let instance: String
    private let record: InstanceRecord
    private let id: Int
    private let framing: BodyFraming
    private var readAlready: [UInt8]?

    fileprivate init(
        record: InstanceRecord, connection: Connection, head: HTTPHead, method: String, target: String, number: Int,
        id: Int, framing: BodyFraming
    ) {
        self.record = record
        self.connection = connection
        self.head = head
        self.method = method
        self.target = target
        self.number = number
        self.id = id
        self.framing = framing
        instance = record.name
    }

    /// The whole body; empty when there is none.
    @discardableResult
    func readBody() throws -> [UInt8] {
        if let readAlready { return readAlready }
        let (body, trailers) = try connection.readBody(framing)
        readAlready = body
        record.complete(id, body: body, trailers: trailers)
        return body
    }

    /// A complete answer with `Content-Length` and `X-Instance`.
    func answer(_ status: Int = 200, _ fields: [(String, String)] = [], body: [UInt8] = []) throws {
        var text = "HTTP/1.1 \(status) Reason\r\nX-Instance: \(instance)\r\nContent-Length: \(body.count)\r\n"
        for (name, value) in fields { text += "\(name): \(value)\r\n" }
        try connection.send(Array((text + "\r\n").utf8) + (method == "HEAD" ? [] : body))
    }

    func answer(_ status: Int = 200, _ fields: [(String, String)] = [], text: String) throws {
        try answer(status, fields, body: Array(text.utf8))
    }
}

/// Behaviours that many tests share.
enum Behave {
    /// Reads the request, answers 200 with the instance's name.
    static let named: HTTPInstance.Behaviour = { exchange in
        try exchange.readBody()
        try exchange.answer(text: exchange.instance)
        return .keep
    }

    /// Answers with the body it got.
    static let echoBody: HTTPInstance.Behaviour = { exchange in
        let body = try exchange.readBody()
        try exchange.answer(body: body)
        return .keep
    }

    /// Answers `bytes` to every request, then ends the connection.
    static func raw(_ text: String, then ending: HTTPInstance.Ending = .close) -> HTTPInstance.Behaviour {
        { exchange in
            try exchange.readBody()
            try exchange.connection.send(text)
            return ending
        }
    }

    /// Answers once `gate` opens.
    static func held(_ gate: Gate, _ arrived: Counter = Counter()) -> HTTPInstance.Behaviour {
        { exchange in
            try exchange.readBody()
            arrived.add()
            gate.wait()
            try exchange.answer(text: exchange.instance)
            return .keep
        }
    }

    /// Reads the request and resets the connection without a word.
    static let resets: HTTPInstance.Behaviour = { exchange in
        try exchange.readBody()
        return .reset
    }
}
