import L4Proxy
import L7Router
import MeshCore
import NetAddress
import Registry

/// `meshd status`: the node as JSON and as text.
enum StatusPage {
    static func json(_ state: NodeState) -> JSON {
        let control = state.control
        return .object([
            ("version", .string(Version.text)), ("node", .string(state.node)),
            ("uptimeSeconds", .int(Int(state.uptimeNanoseconds / 1_000_000_000))), ("ready", .bool(control.isReady)),
            ("generation", .int(Int(control.snapshot.generation))),
            ("workers", .array(workers(state))), ("registries", .array(state.sources.map { registry($0, state) })),
            ("announcing", state.agent.map(announcing) ?? .null),
            ("problems", .array(control.problems.map { .string($0) })),
            ("drains", .array(state.drains.sorted { $0.key < $1.key }.map(drain))),
            ("services", .array(services(state))),
        ])
    }

    private static func drain(_ key: InstanceKey, _ standing: DrainBarrier.Standing) -> JSON {
        .object([
            ("instance", .string(key.description)), ("done", .bool(standing.isDone)),
            ("left", standing.left.map { .object(DrainPage.counts($0)) } ?? .null),
        ])
    }

    private static func drainLine(_ key: InstanceKey, _ standing: DrainBarrier.Standing) -> String {
        let counts = standing.left?.present.map { "\($0.count) \($0.kind.rawValue)" }.joined(separator: ", ")
        guard let counts else { return "drain \(key): not looked at yet" }
        return "drain \(key): " + (counts.isEmpty ? "nothing" : counts) + " in flight from here"
    }

    private static func workers(_ state: NodeState) -> [JSON] {
        state.control.installed.enumerated().map { index, generation in
            let report = state.reports.first { $0.worker == index }
            return .object([
                ("worker", .int(index)), ("generation", .int(Int(generation))), ("answers", .bool(report != nil)),
                ("connections", .int(Int(report?.http.connectionsOpen ?? 0))),
                ("sessions", .int(Int(report?.relay.sessionsOpen ?? 0))),
                ("flows", .int(Int(report?.datagrams.flowsOpen ?? 0))),
            ])
        }
    }

    private static func registry(_ source: SourceStatus, _ state: NodeState) -> JSON {
        .object(
            [
                ("name", .string(source.name)),
                (
                    "ageSeconds",
                    source.ageNanoseconds(state.nowNanoseconds).map { .double(Double($0) / 1e9) } ?? .null
                ),
                ("fromDisk", .bool(source.isFromDisk)), ("problem", .optional(source.problem)),
                ("events", .int(source.events)),
            ] + (source.etcd.map(etcd) ?? []) + (source.docker.map(docker) ?? []))
    }

    /// Malformed entries that are named; the metrics have their number.
    static let malformedLimit = 20

    private static func etcd(_ source: EtcdSource) -> [(String, JSON)] {
        [
            ("endpoint", .string(source.endpoint)), ("revision", .int(Int(source.counters.revision))),
            ("heldInstances", .int(source.counters.heldInstances)),
            ("malformedEntries", .int(source.counters.malformedEntries)),
            ("malformed", .array(source.malformedEntries(limit: malformedLimit).map { .string($0) })),
        ]
    }

    private static func etcdLines(_ source: EtcdSource) -> [String] {
        var lines = ["  member \(source.endpoint), revision \(source.counters.revision)"]
        if source.counters.heldInstances > 0 {
            lines.append("  held in force: \(source.counters.heldInstances) instances that went all at once")
        }
        lines += source.malformedEntries(limit: malformedLimit).map { "  malformed: \($0)" }
        let more = source.counters.malformedEntries - malformedLimit
        return more > 0 ? lines + ["  malformed: \(more) more"] : lines
    }

    private static func services(_ state: NodeState) -> [JSON] {
        let inFlight = state.inFlightByInstance()
        return state.control.compiler.records.sorted { $0.key < $1.key }.map { name, record in
            let spec = record.entry.spec
            return .object([
                ("name", .string(name)), ("vip", .optional(record.vip?.description)),
                ("ports", .array(record.pools.keys.sorted().map { .int(Int($0)) })),
                ("published", .array(publishedPorts(name, state).map { .string(published($0.published)) })),
                ("publishedPorts", .array(publishedPorts(name, state).map { port($0, state) })),
                ("aliases", .array(spec.aliases.map { .string($0) })),
                ("routes", .array(spec.routes.map { .string(route($0)) })),
                ("policy", .string(spec.policy.rawValue)),
                ("weight", .int(state.control.compiler.shares.inForce[name] ?? spec.weight)),
                ("sticky", .bool(spec.isSticky)),
                ("prefer", .optional(spec.preference?.place.rawValue)),
                ("proxyProtocol", spec.proxyVersion.map { .int(Int($0.rawValue)) } ?? .null),
                ("tcpIdleSeconds", spec.tcpIdleMilliseconds.map { .double(Double($0) / 1_000) } ?? .null),
                ("slowStartSeconds", .double(spec.slowStartSeconds)),
                ("scale", spec.scale.map { .int($0) } ?? .null),
                ("instances", .array(record.entry.instances.map { instance($0, state, inFlight) })),
            ])
        }
    }

    private static func publishedPorts(_ service: String, _ state: NodeState) -> [PublishedPortState] {
        state.control.compiler.published[service] ?? []
    }

    private static func port(_ port: PublishedPortState, _ state: NodeState) -> JSON {
        let published = port.published
        return .object([
            ("port", .int(Int(published.port))), ("address", .optional(port.address?.description)),
            ("containerPort", .int(Int(published.containerPort))), ("transport", .string(published.transport.rawValue)),
            ("mode", .string(published.mode.rawValue)), ("dynamic", .bool(port.isDynamic)),
            ("state", .string(standing(port, state).rawValue)), ("cause", .optional(cause(port, state))),
        ])
    }

    /// How a published port stands on this node.
    enum Standing: String, CaseIterable {
        case open, clash, elsewhere, waiting
    }

    static func standing(_ port: PublishedPortState, _ state: NodeState) -> Standing {
        if cause(port, state) != nil { return .clash }
        if port.isAwaited { return .waiting }
        return port.address == nil ? .elsewhere : .open
    }

    private static func cause(_ port: PublishedPortState, _ state: NodeState) -> String? {
        port.clash
            ?? port.address.flatMap {
                state.control.failure(on: ListenerKey(port.published.transport, $0))
            }
    }

    private static func text(_ port: PublishedPortState, _ state: NodeState) -> String {
        var notes = (port.isDynamic ? ["dynamic"] : []) + (port.published.mode == .host ? ["host"] : [])
        switch standing(port, state) {
        case .open: break
        case .clash: notes.append("NOT OPEN: \(cause(port, state) ?? "")")
        case .elsewhere: notes.append("not on this node")
        case .waiting: notes.append("waits for a number that the nodes agree on")
        }
        return published(port.published) + (notes.isEmpty ? "" : " (\(notes.joined(separator: ", ")))")
    }

    static func published(_ port: PublishedPort) -> String {
        let address = port.address.map { SocketAddress($0, port.port).description } ?? "\(port.port)"
        return "\(address)->\(port.containerPort)/\(port.transport.rawValue)"
    }

    /// The policy and what goes with it, as text.
    static func policy(_ spec: ServiceSpec) -> String {
        var text = spec.policy.rawValue
        if let preference = spec.preference {
            text += ", prefers \(preference.place.rawValue), spills below \(preference.spillBelowPercent) %"
        }
        if spec.isSticky { text += ", sticky by cookie" }
        if let version = spec.proxyVersion { text += ", PROXY v\(version.rawValue)" }
        if spec.slowStartSeconds > 0 { text += ", slow start \(spec.slowStartSeconds) s" }
        return text
    }

    static func route(_ route: RouteSpec) -> String {
        let conditions =
            route.conditions.isEmpty ? "" : " [\(route.conditions.map(\.description).joined(separator: "; "))]"
        let path = route.path == "/" ? "" : route.path
        return "\(route.scheme.rawValue)://\(route.host)\(path)\(conditions)->\(route.containerPort)"
    }

    private static func instance(_ instance: InstanceSpec, _ state: NodeState, _ inFlight: [InstanceKey: Int]) -> JSON {
        let health = state.state(instance)
        return .object([
            ("id", .string(instance.id)), ("address", .string(instance.address.description)),
            ("state", .string(health.state.rawValue)), ("cause", .optional(health.cause)),
            ("inFlight", .int(inFlight[instance.key] ?? 0)), ("weight", .int(instance.weight)),
            ("node", .optional(instance.node)), ("zone", .optional(instance.zone)),
            ("version", .optional(instance.version)),
        ])
    }

    /// `NAME WEIGHT HEALTHY` for each service: the weight in force, and instances that may be picked. For `check`.
    static func weights(_ state: NodeState) -> String {
        state.control.compiler.records.sorted { $0.key < $1.key }.map { name, record in
            let open = record.entry.instances.count { state.state($0).state == .healthy && $0.weight > 0 }
            return "\(name) \(state.control.compiler.shares.inForce[name] ?? 0) \(open)\n"
        }.joined()
    }

    // MARK: - Text

    static func text(_ state: NodeState) -> String {
        let control = state.control
        let oldest = control.installed.min() ?? 0
        var lines = [
            "node \(state.node), meshd \(Version.text), \(control.isReady ? "ready" : "not ready"), "
                + "generation \(control.snapshot.generation), on all workers \(oldest)"
        ]
        for source in state.sources {
            let age =
                source.ageNanoseconds(state.nowNanoseconds).map { "\($0 / 1_000_000_000) s old" } ?? "not read yet"
            let origin = source.isFromDisk ? ", kept on disk" : ""
            lines.append("registry \(source.name): \(age)\(origin)" + (source.problem.map { ", FAILED: \($0)" } ?? ""))
            if let etcd = source.etcd { lines += etcdLines(etcd) }
            if let docker = source.docker { lines += dockerLines(docker) }
        }
        if let problem = state.presenceProblem { lines.append("  other nodes do not know this one: \(problem)") }
        lines += state.agent.map(announcingLines) ?? []
        lines += control.problems.map { "problem: \($0)" }
        lines += state.drains.sorted { $0.key < $1.key }.map(drainLine)
        let inFlight = state.inFlightByInstance()
        for (name, record) in control.compiler.records.sorted(by: { $0.key < $1.key }) {
            lines += service(name, record, state, inFlight)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func service(
        _ name: String, _ record: SnapshotCompiler.Record, _ state: NodeState, _ inFlight: [InstanceKey: Int]
    ) -> [String] {
        let spec = record.entry.spec
        let seen =
            spec.scale.map { "\(record.entry.instances.count) of \($0) instances" }
            ?? "\(record.entry.instances.count) instances"
        var lines = ["", "service \(name)  \(record.vip?.description ?? "no VIP")  \(seen)  \(policy(spec))"]
        let ports = record.pools.keys.sorted().map(String.init).joined(separator: ", ")
        if !ports.isEmpty { lines.append("  ports      \(ports)") }
        let published = publishedPorts(name, state).map { text($0, state) }.joined(separator: ", ")
        if !published.isEmpty { lines.append("  published  \(published)") }
        if !spec.aliases.isEmpty { lines.append("  aliases    " + spec.aliases.joined(separator: ", ")) }
        if !spec.routes.isEmpty { lines.append("  routes     " + spec.routes.map(route).joined(separator: ", ")) }
        for instance in record.entry.instances {
            let health = state.state(instance)
            let cause = health.cause.map { " (\($0))" } ?? ""
            lines.append("  \(instance.id)  \(health.state.rawValue)\(cause)  in flight \(inFlight[instance.key] ?? 0)")
        }
        return lines
    }
}
