import JSONCodec
import NetAddress

/// Why an engine gave no answer that is of use.
enum DockerFailure: Error, Equatable, CustomStringConvertible {
    /// No answer at all.
    case unreachable(String)
    /// The engine says no.
    case refused(status: Int, message: String)
    case tooLarge
    case malformed(String)

    var description: String {
        switch self {
        case .unreachable(let reason): reason
        case .refused(let status, let message): OneLine.text("HTTP status \(status): \(message.prefix(200))")
        case .tooLarge: "an answer is too large"
        case .malformed(let reason): "an answer cannot be read: \(reason)"
        }
    }

    /// There is no such container, or it does not run any more.
    var isGone: Bool { if case .refused(let status, _) = self { status == 404 || status == 409 } else { false } }

    /// Whether the engine answers, so that only what was asked for is wrong.
    var isOfOneContainer: Bool { if case .unreachable = self { false } else { true } }
}

/// One container of a list, as far as it decides whether to look closer.
struct DockerSummary: Equatable {
    let id: String
    let concernsMesh: Bool
}

/// A container's facts (`GET /containers/ID/json`).
struct DockerContainer: Equatable {
    enum Health: Equatable {
        case none, starting, healthy, unhealthy
    }

    struct Network: Equatable {
        let name: String
        let addresses: [IPAddress]
    }

    /// A container port that the engine publishes on its machine.
    struct Binding: Equatable {
        let containerPort: UInt16
        let isUDP: Bool
        /// `nil`: every address.
        let hostAddress: IPAddress?
        let hostPort: UInt16
    }

    var id: String
    /// Without the slash before it.
    var name: String
    /// As the engine writes times (RFC 3339), without the final `Z`: in order as text.
    var created = ""
    /// When it began to run, in seconds since 1970; `nil`: the engine does not say.
    var startedAtSeconds: Int64?
    /// The same as the engine writes it.
    var startedAt = ""
    var isRunning = true
    var isPaused = false
    var health = Health.none
    /// What the engine sends to stop it, 1...64.
    var stopSignal = DockerSignal.terminate
    /// How long it may take to end by itself then, up to a day; negative: for ever.
    var stopTimeoutSeconds = 10
    var labels: [String: String] = [:]
    /// `bridge`, `host`, `none`, `container:ID`, or a network's name.
    var networkMode = "bridge"
    /// In the order of their names.
    var networks: [Network] = []
    var tcpPorts: [UInt16] = []
    var udpPorts: [UInt16] = []
    var bindings: [Binding] = []
}

/// A line of `GET /events`, as far as it concerns containers.
struct DockerEvent: Equatable {
    enum Kind: Equatable {
        /// It runs no longer, or is no more.
        case gone
        /// Something about it may be different.
        case changed
        /// A signal was sent to it.
        case signalled(Int)
        case other
    }

    let kind: Kind
    let id: String
    /// Whether its labels say that it is the mesh's; events of networks do not tell.
    let concernsMesh: Bool
}

/// Which labels make a container the mesh's.
enum DockerLabels {
    private static let prefixes = ["mesh.", "aliyun.routing.", "aliyun.probe.", "aliyun.proxy.", "aliyun.lb."]

    static func concernMesh(_ names: some Sequence<String>) -> Bool {
        names.contains { name in prefixes.contains { name.hasPrefix($0) } }
    }
}

// MARK: - Requests

enum DockerRequest {
    /// What can change an instance. `health_status` is a beginning of actions' names, which all of them then are.
    private static let actions = [
        "start", "restart", "kill", "die", "stop", "pause", "unpause", "health_status", "rename", "update", "destroy",
        "connect", "disconnect",
    ]

    static let events: String = {
        let names = actions.map { "\"\($0)\"" }.joined(separator: ",")
        return "/events?filters=" + escaped("{\"type\":[\"container\",\"network\"],\"event\":[\(names)]}")
    }()

    static let list = "/containers/json"
    static let ping = "/_ping"

    static func inspect(_ id: String) -> String { "/containers/\(id)/json" }

    static func createExec(in id: String) -> String { "/containers/\(id)/exec" }
    static func startExec(_ id: String) -> String { "/exec/\(id)/start" }
    static func inspectExec(_ id: String) -> String { "/exec/\(id)/json" }

    static func exec(_ words: [String]) -> String {
        let command = words.map(EtcdRequest.quoted).joined(separator: ",")
        return "{\"AttachStdin\":false,\"AttachStdout\":true,\"AttachStderr\":true,\"Tty\":false,\"Cmd\":[\(command)]}"
    }

    static let start = "{\"Detach\":false,\"Tty\":false}"

    /// Percent-encoding (RFC 3986 section 2.1) of everything but letters, digits and a few marks.
    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), 0x30...0x39, UInt8(ascii: "_"): result.append(byte)
            default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Whether `text` may stand in a path as an engine's name of something.
    static func isID(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), 0x30...0x39: true
                default: false
                }
            }
    }
}

// MARK: - Answers

/// What an engine's answers say. Nothing in them is believed before it is looked at.
enum DockerAnswer {
    static let limits = JSONLimits(bytes: 32 << 20, nodes: 2_000_000, depth: 32)

    static func json(_ bytes: [UInt8]) throws(DockerFailure) -> JSONValue {
        do throws(JSONProblem) {
            return try JSONValue.parse(bytes, limits: limits)
        } catch {
            throw .malformed(error.description)
        }
    }

    /// Refuses every status that is not one of success.
    static func check(status: Int, _ body: [UInt8]) throws(DockerFailure) {
        guard !(200..<300).contains(status) else { return }
        let text = (try? json(body))?["message"]?.text ?? String(decoding: body.prefix(200), as: UTF8.self)
        throw .refused(status: status, message: text)
    }

    /// - Returns: the containers that run; those whose own entry cannot be read are counted.
    static func list(_ body: [UInt8]) throws(DockerFailure) -> (containers: [DockerSummary], unreadable: Int) {
        guard let items = try json(body).items else { throw .malformed("the list of containers is none") }
        var containers: [DockerSummary] = []
        var unreadable = 0
        for item in items {
            guard let id = item["Id"]?.text, DockerRequest.isID(id) else {
                unreadable += 1
                continue
            }
            let labels = item["Labels"]?.members?.lazy.map(\.name) ?? [JSONMember]().lazy.map(\.name)
            containers.append(DockerSummary(id: id, concernsMesh: DockerLabels.concernMesh(labels)))
        }
        return (containers, unreadable)
    }

    /// `nil`: an event of something else, or of a kind that is not known.
    static func event(_ line: [UInt8]) throws(DockerFailure) -> DockerEvent? {
        let value = try json(line)
        guard let type = value["Type"]?.text, let action = value["Action"]?.text, let actor = value["Actor"] else {
            throw .malformed("an event without Type, Action or Actor")
        }
        let attributes = actor["Attributes"]?.members ?? []
        switch type {
        case "container":
            guard let id = actor["ID"]?.text, DockerRequest.isID(id) else { throw .malformed("an event without ID") }
            let signal = attributes.first { $0.name == "signal" }?.value.text.flatMap { DockerSignal.number($0) }
            return DockerEvent(
                kind: kind(action, signal), id: id, concernsMesh: DockerLabels.concernMesh(attributes.lazy.map(\.name)))
        case "network":
            guard action == "connect" || action == "disconnect" else { return nil }
            guard let id = attributes.first(where: { $0.name == "container" })?.value.text, DockerRequest.isID(id)
            else { return nil }
            return DockerEvent(kind: .changed, id: id, concernsMesh: false)
        default: return nil
        }
    }

    private static func kind(_ action: String, _ signal: Int?) -> DockerEvent.Kind {
        switch action {
        case "kill": signal.map { .signalled($0) } ?? .other
        case "die", "stop", "destroy": .gone
        case "start", "restart", "pause", "unpause", "rename", "update": .changed
        default: action.hasPrefix("health_status") ? .changed : .other
        }
    }
}
