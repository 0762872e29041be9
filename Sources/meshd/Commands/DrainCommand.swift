import Configuration
import HTTPClient
import JSONCodec
import MeshCore
import Reactor

/// `meshd drain SERVICE[/INSTANCE]`: no new connections from any node; with `--wait` until nothing is in flight.
enum DrainCommand {
    private static let usage = """
        usage: meshd drain SERVICE[/INSTANCE] [--wait] [--timeout 30s] [--lasts 1h] [--admin WHERE]
               meshd drain SERVICE[/INSTANCE] --cancel [--admin WHERE]
        """
    /// First and longest pause between two questions.
    private static let pauses: (UInt64, UInt64) = (20_000_000, 500_000_000)

    private struct Plan {
        let target: String
        let admin: AdminEndpoint
        let cancels: Bool
        let waits: Bool
        let timeoutSeconds: Int
        let lastsSeconds: Int
    }

    private struct Complaint: Error {
        let message: String
    }

    static func run(_ arguments: [String]) -> Int32 {
        do throws(Complaint) {
            let plan = try plan(arguments)
            return carryOut(plan)
        } catch {
            return Commands.complain("meshd drain: \(error.message)\n\(usage)")
        }
    }

    private static func plan(_ arguments: [String]) throws(Complaint) -> Plan {
        var arguments = CommandArguments(arguments)
        let admin = arguments.takeAdmin()
        let (waits, cancels) = (arguments.take("--wait"), arguments.take("--cancel"))
        let timeout = arguments.takeValue("--timeout")
        let lasts = arguments.takeValue("--lasts")
        if let problem = arguments.problem { throw Complaint(message: problem) }
        guard let admin, arguments.rest.count == 1, let target = arguments.rest.first, !target.hasPrefix("-"),
            DrainDesk.Target(target) != nil
        else { throw Complaint(message: "one SERVICE or SERVICE/INSTANCE is needed") }
        guard !cancels || !waits && timeout == nil && lasts == nil else {
            throw Complaint(message: "--cancel goes with no other flag than --admin")
        }
        guard waits || timeout == nil else { throw Complaint(message: "--timeout goes with --wait") }
        return Plan(
            target: target, admin: admin, cancels: cancels, waits: waits,
            timeoutSeconds: try seconds(timeout ?? "30s", 1...86_400, "--timeout"),
            lastsSeconds: try seconds(lasts ?? "1h", DrainPage.lasts, "--lasts"))
    }

    /// `90`, `90s`, `2m`, `1h`.
    private static func seconds(_ text: String, _ range: ClosedRange<Int>, _ flag: String) throws(Complaint) -> Int {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3_600]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(digits), range.contains(number * (unit ?? 1))
        else {
            throw Complaint(
                message: "\(flag): '\(text)' is not a time from \(range.lowerBound)s to \(range.upperBound)s")
        }
        return number * (unit ?? 1)
    }

    // MARK: - Asking

    private static func carryOut(_ plan: Plan) -> Int32 {
        let path = "/drain?target=\(Query.encode(plan.target))"
        let further = plan.cancels ? "&cancel=1" : "&lasts=\(plan.lastsSeconds)"
        switch ask("POST", path + further, plan.admin) {
        case .failure(let fault): return fault.told
        case .success(let value):
            let keys = texts(value["instances"])
            guard plan.waits else {
                let what = plan.cancels ? "takes new connections again" : "gets no new connections"
                Process.write(keys.map { "\($0): \(what)\n" }.joined())
                return 0
            }
            return wait(plan, path, keys)
        }
    }

    private static func wait(_ plan: Plan, _ path: String, _ keys: [String]) -> Int32 {
        let deadline = MonotonicClock.nowNanoseconds() + UInt64(plan.timeoutSeconds) * 1_000_000_000
        var pause = pauses.0
        while true {
            let answer = ask("GET", path, plan.admin)
            if case .success(let value) = answer {
                let gone = Set(keys).subtracting(texts(value["orders"])).sorted()
                guard gone.isEmpty else {
                    return Commands.fail(gone.map { "\($0): the order no longer holds" }.joined(separator: "\n"))
                }
                let nodes = value["nodes"]?.items ?? []
                if !nodes.isEmpty, nodes.allSatisfy(isDone) {
                    let count = nodes.count == 1 ? "1 node" : "\(nodes.count) nodes"
                    Process.write(keys.map { "\($0): nothing in flight on \(count)\n" }.joined())
                    return 0
                }
            }
            guard MonotonicClock.nowNanoseconds() + pause < deadline else { return timedOut(plan, answer) }
            Pause.wait(pause)
            pause = min(pause * 3 / 2, pauses.1)
        }
    }

    private static func timedOut(_ plan: Plan, _ answer: Result<JSONValue, Fault>) -> Int32 {
        guard case .success(let value) = answer else {
            if case .failure(let fault) = answer { return fault.told }
            return 1
        }
        let nodes = value["nodes"]?.items ?? []
        var lines = ["\(plan.target): still in flight after \(plan.timeoutSeconds) s"]
        if nodes.isEmpty { lines.append("no node is known to run") }
        for node in nodes {
            let name = node["node"]?.text ?? ""
            for instance in texts(node["silent"]) { lines.append("\(name)  \(instance)  has not answered yet") }
            for left in node["left"]?.items ?? [] {
                let kinds = (left.members ?? []).filter { $0.name != "instance" }
                let counts = kinds.map { "\($0.value.integer ?? 0) \($0.name)" }.joined(separator: ", ")
                lines.append("\(name)  \(left["instance"]?.text ?? "")  \(counts)")
            }
        }
        return Commands.fail(lines.joined(separator: "\n"))
    }

    private static func isDone(_ node: JSONValue) -> Bool {
        node["silent"]?.items?.isEmpty == true && node["left"]?.items?.isEmpty == true
    }

    private static func texts(_ value: JSONValue?) -> [String] { value?.items?.compactMap(\.text) ?? [] }

    private struct Fault: Error {
        /// 0: no meshd answered.
        let status: Int
        let reason: String

        /// Says it; the exit status.
        var told: Int32 {
            let text = "meshd drain: \(reason)"
            return status == 404 || status == 400 ? Commands.complain(text) : Commands.fail(text)
        }
    }

    private static func ask(_ method: String, _ path: String, _ admin: AdminEndpoint) -> Result<JSONValue, Fault> {
        switch AdminPage.fetch(path, admin, method: method, headers: [(DrainPage.field, "drain")]) {
        case .failed(let reason):
            return .failure(Fault(status: 0, reason: "no meshd answers at \(admin): \(reason)"))
        case .response(let status, let body):
            let value = try? JSONValue.parse(body)
            guard status == 200, let value else {
                let reason = value?["error"]?.text ?? "the meshd there answered \(status)"
                return .failure(Fault(status: value == nil ? 0 : status, reason: reason))
            }
            return .success(value)
        }
    }
}

/// A pause of a command that has nothing else to do.
enum Pause {
    static func wait(_ nanoseconds: UInt64) {
        guard let loop = try? EventLoop() else { return }
        let timer = TimerHandler()
        timer.fired = { loop.stop() }
        loop.attach(timer)
        loop.setDeadline(timer, after: nanoseconds)
        loop.run()
        // The loop keeps the timer, which must not keep the loop and its descriptor.
        timer.fired = {}
    }
}
