import Configuration
import MeshCore
import NetAddress
import Reactor
import Registry

/// `meshd announce SERVICE ADDRESS[:PORT] --registry URL`: holds an instance in the registry as long as it runs.
enum AnnounceCommand {
    static let usage = """
        usage: meshd announce SERVICE ADDRESS[:PORT] --registry etcd://HOST:2379/PREFIX [--label NAME=VALUE]...
                              [--ttl 10s] [--id ID] [--node NAME] [--zone NAME] [--version NAME] [--weight 0...1000]
        """

    /// How long a withdrawal may take before the lease is left to end by itself.
    private static let patienceNanoseconds: UInt64 = 5_000_000_000

    /// What the arguments say.
    struct Plan: Equatable {
        var announcement: InstanceAnnouncement
        var registry: EtcdURL
        var ttlSeconds = 10
    }

    static func run(_ arguments: [String]) -> Int32 {
        let plan: Plan
        do {
            plan = try self.plan(arguments)
        } catch let problem as Complaint {
            return Commands.complain("meshd announce: \(problem.message)\n\(usage)")
        } catch {
            return Commands.complain("meshd announce: \(error)")
        }
        do {
            return try hold(plan)
        } catch {
            return Commands.fail("meshd announce: \(error)")
        }
    }

    struct Complaint: Error {
        let message: String
        init(_ message: String) { self.message = message }
    }

    // MARK: - Arguments

    static func plan(_ arguments: [String]) throws -> Plan {
        var words: [String] = []
        var values: [String: [String]] = [:]
        let known: Set = ["registry", "label", "ttl", "id", "node", "zone", "version", "weight"]
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else {
                words.append(word)
                continue
            }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard known.contains(name) else { throw Complaint("unknown flag --\(name)") }
            guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                throw Complaint("--\(name): the value is missing")
            }
            if name != "label", values[name] != nil { throw Complaint("--\(name): given more than once") }
            values[name, default: []].append(value)
        }
        guard words.count == 2 else { throw Complaint("a service and an address are needed") }
        guard let registry = values["registry"]?.first else { throw Complaint("--registry is needed") }
        guard case .etcd(let url) = try RegistryURL(registry) else {
            throw Complaint("--registry: only etcd:// and etcds:// take announcements")
        }
        var plan = Plan(announcement: try announcement(words[0], words[1], values), registry: url)
        if let text = values["ttl"]?.first {
            plan.ttlSeconds = try number(text.hasSuffix("s") ? String(text.dropLast()) : text, 2...86_400, "ttl")
        }
        return plan
    }

    private static func announcement(
        _ service: String, _ place: String, _ values: [String: [String]]
    ) throws -> InstanceAnnouncement {
        let bare = place.hasPrefix("[") && place.hasSuffix("]") ? place.dropFirst().dropLast() : place[...]
        let socket = IPAddress(bare) == nil ? SocketAddress(place) : nil
        guard let address = IPAddress(bare) ?? socket?.ip, socket?.port != 0 else {
            throw Complaint("'\(place)' is not ADDRESS or ADDRESS:PORT with an IP address")
        }
        var labels: [String: String] = [:]
        for label in values["label"] ?? [] {
            let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty else { throw Complaint("--label: '\(label)' is not NAME=VALUE") }
            guard labels.updateValue(parts[1], forKey: parts[0]) == nil else {
                throw Complaint("--label: '\(parts[0])' is given more than once")
            }
        }
        var result = InstanceAnnouncement(
            key: InstanceKey(service: service, id: values["id"]?.first ?? place), address: address,
            solePort: socket?.port, node: values["node"]?.first, zone: values["zone"]?.first,
            version: values["version"]?.first, labels: labels)
        if let text = values["weight"]?.first { result.weight = try number(text, 0...1_000, "weight") }
        // Where labels name no port, the one given is the service's.
        if try result.check().isEmpty, let port = socket?.port { result.exposedPorts = [port] }
        return result
    }

    private static func number(_ text: String, _ range: ClosedRange<Int>, _ flag: String) throws -> Int {
        guard text.utf8.count <= 5, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text),
            range.contains(number)
        else {
            throw Complaint(
                "--\(flag): '\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    // MARK: - Holding

    private static func hold(_ plan: Plan) throws -> Int32 {
        let signals = try Signals(RunCommand.endSignals)
        let loop = try EventLoop()
        let key = plan.announcement.key
        var status: Int32 = 0
        let announcer = EtcdAnnouncer(
            plan.registry, ttlSeconds: plan.ttlSeconds, seed: WallClock.nowNanoseconds(), on: loop,
            EtcdAnnouncer.Callbacks(
                announced: {
                    Log.info("announced", ["instance": "\(key)", "registry": "\(plan.registry)"])
                },
                problem: { Log.error("cannot announce, trying again", ["cause": $0]) },
                withdrawn: {
                    Log.info("withdrawn", ["instance": "\(key)"])
                    loop.stop()
                }))
        let patience = TimerHandler()
        patience.fired = {
            Log.error("cannot withdraw, the lease ends by itself", ["seconds": "\(plan.ttlSeconds)"])
            status = 1
            loop.stop()
        }
        loop.attach(patience)
        try signals.open(on: loop) { _ in
            loop.setDeadline(patience, after: patienceNanoseconds)
            announcer.withdraw(isSaid: true)
        }
        announcer.announce(plan.announcement)
        loop.run()
        return status
    }
}
