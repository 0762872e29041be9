import JSONCodec
import MeshCore

/// One command in a container, from its creation to its exit status. Pure.
///
/// An engine cannot end a command. One that outlives its time is left running, and the next one for the same container
/// does not begin before it has ended, so that there is never more than one.
struct DockerExec {
    enum Event {
        /// - Parameter lingering: a command of before that was left running.
        case begin(lingering: String?)
        case created(id: String)
        /// The engine has told all that the command said.
        case outputEnded
        case inspected(isRunning: Bool, exitCode: Int64?)
        case failed(DockerFailure)
        /// The pause before the next look is over.
        case timer
        /// The command's time is over.
        case expired
    }

    enum Action: Equatable {
        case create
        case start(id: String)
        case inspect(id: String)
        case timer(nanoseconds: UInt64)
        /// - Parameter lingering: a command that still runs.
        case finished(Verdict, lingering: String?)
    }

    enum Verdict: Equatable {
        case passed
        case exited(Int64)
        case failed(String)
        case timedOut
        case notMade(String)
    }

    private enum State: Equatable {
        case idle, creating, over
        case looking(lingering: String)
        case running(id: String)
        case judging(id: String)
    }

    private static let firstPauseNanoseconds: UInt64 = 5_000_000
    private static let longestPauseNanoseconds: UInt64 = 200_000_000

    private var state = State.idle
    private var pause = DockerExec.firstPauseNanoseconds

    /// The command that may be running in the container now.
    var execID: String? {
        switch state {
        case .looking(let id), .running(let id), .judging(let id): id
        case .idle, .creating, .over: nil
        }
    }

    mutating func handle(_ event: Event) -> [Action] {
        switch (event, state) {
        case (_, .over): return []
        case (.begin(let lingering), .idle):
            guard let lingering else { return create() }
            state = .looking(lingering: lingering)
            return [.inspect(id: lingering)]
        case (.created(let id), .creating):
            state = .running(id: id)
            return [.start(id: id)]
        case (.outputEnded, .running(let id)):
            state = .judging(id: id)
            return [.inspect(id: id)]
        case (.inspected(let isRunning, let code), .judging(let id)): return judged(id, isRunning, code)
        case (.inspected(let isRunning, _), .looking(let lingering)):
            return isRunning ? finish(.timedOut, lingering: lingering) : create()
        case (.timer, .judging(let id)): return [.inspect(id: id)]
        case (.failed(let failure), _): return failed(failure)
        case (.expired, _): return expired()
        default: return []
        }
    }

    private mutating func create() -> [Action] {
        state = .creating
        return [.create]
    }

    /// The status may come a moment after the end of what the command said.
    private mutating func judged(_ id: String, _ isRunning: Bool, _ code: Int64?) -> [Action] {
        guard !isRunning, let code else {
            defer { pause = min(pause * 2, Self.longestPauseNanoseconds) }
            return [.timer(nanoseconds: pause)]
        }
        return finish(code == 0 ? .passed : .exited(code))
    }

    private mutating func failed(_ failure: DockerFailure) -> [Action] {
        switch (state, failure) {
        // The engine has forgotten it, so it runs no more.
        case (.looking, .refused(status: 404, _)): return create()
        case (.looking(let id), .unreachable(let reason)), (.judging(let id), .unreachable(let reason)),
            (.running(let id), .unreachable(let reason)):
            return finish(.notMade(reason), lingering: id)
        case (_, .unreachable(let reason)): return finish(.notMade(reason))
        case (_, .refused(_, let message)): return finish(.failed(OneLine.text(String(message.prefix(200)))))
        case (_, .tooLarge), (_, .malformed): return finish(.notMade(failure.description))
        }
    }

    private mutating func expired() -> [Action] {
        switch state {
        case .running(let id), .judging(let id), .looking(let id): return finish(.timedOut, lingering: id)
        // The engine itself is slow: the command has not begun.
        default: return finish(.notMade("the engine did not begin the command in time"))
        }
    }

    private mutating func finish(_ verdict: Verdict, lingering: String? = nil) -> [Action] {
        state = .over
        return [.finished(verdict, lingering: lingering)]
    }
}

/// What a command said, as an engine sends it: frames of one octet for the stream, three of zero, and a length of four
/// octets. Pure; keeps the beginning only.
struct DockerOutput {
    static let limitBytes = 4_096

    private var bytes: [UInt8] = []

    mutating func add(_ piece: [UInt8]) { bytes += piece.prefix(max(Self.limitBytes - bytes.count, 0)) }

    /// The first line that is not empty, at most 200 bytes.
    var line: String {
        var text: [UInt8] = []
        var rest = bytes[...]
        while let first = rest.first {
            // Another beginning: the engine sends what was said as it is.
            guard rest.count >= 8, first <= 2, rest.dropFirst().prefix(3).allSatisfy({ $0 == 0 }) else {
                text += rest
                break
            }
            let length = rest.dropFirst(4).prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(8)
            text += rest.prefix(length)
            rest = rest.dropFirst(length)
        }
        let lines = text.split(separator: UInt8(ascii: "\n"))
        let line = lines.first { $0.contains { $0 > 0x20 } } ?? []
        return OneLine.text(String(decoding: line.prefix(200), as: UTF8.self))
    }
}

extension DockerAnswer {
    static func createdExec(_ body: [UInt8]) throws(DockerFailure) -> String {
        guard let id = try json(body)["Id"]?.text, DockerRequest.isID(id) else {
            throw .malformed("a command without Id")
        }
        return id
    }

    static func exec(_ body: [UInt8]) throws(DockerFailure) -> (isRunning: Bool, exitCode: Int64?) {
        let value = try json(body)
        guard let isRunning = value["Running"]?.bool else { throw .malformed("a command without Running") }
        return (isRunning, value["ExitCode"]?.integer)
    }
}
