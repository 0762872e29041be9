import MeshCore
import NetAddress

/// `meshd explain`: which rule, service and instances a request or connection would meet, and why.
enum Explain {
    /// - Parameters:
    ///   - target: `http://host[:port]/path`, `host/path`, or `ADDRESS:PORT`.
    ///   - host: a Host header that overrides the URL's.
    static func text(_ target: String, host: String?, _ state: NodeState) -> String {
        if let address = SocketAddress(target) { return port(address, state) }
        var rest = Substring(target)
        if let scheme = rest.range(of: "://") { rest = rest[scheme.upperBound...] }
        let slash = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) ?? rest.endIndex
        let authority = rest[..<slash]
        let path = slash == rest.endIndex ? "/" : String(rest[slash...])
        let address = SocketAddress(authority) ?? IPAddress(authority).map { SocketAddress($0, 80) }
        if host == nil, let address,
            state.control.snapshot.listeners.contains(where: {
                $0.address == address && $0.role != .web && $0.role != .secureWeb
            })
        {
            return port(address, state)
        }
        return web(host ?? withoutPort(authority), path, state)
    }

    private static func withoutPort(_ authority: Substring) -> String {
        guard !authority.hasSuffix("]"), let colon = authority.lastIndex(of: ":") else { return String(authority) }
        return String(authority[..<colon])
    }

    private static func web(_ host: String, _ path: String, _ state: NodeState) -> String {
        let hosts = state.control.snapshot.hosts
        var lines = ["request   host \(host), path \(path)"]
        let rule = withBytes(host) { host in withBytes(path) { path in hosts.match(host: host, path: path) } }
        guard let rule else {
            lines.append("rule      none: answered \(state.unknownHostStatus) (destination_not_found)")
            lines += nearRules(host, hosts.rules)
            return lines.joined(separator: "\n") + "\n"
        }
        let found = hosts.rules[rule]
        lines.append("rule      \(found.host)\(found.path == "/" ? "" : found.path)  (\(kind(found.host)))")
        let total = found.targets.reduce(0) { $0 + $1.weight }
        for target in found.targets {
            guard let (name, port) = owner(target.pool, state) else { continue }
            let share = found.targets.count == 1 ? "" : "  share \(target.weight) of \(total)"
            lines.append("service   \(name), container port \(port)\(share)")
            lines += candidates(name, port, state)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func kind(_ pattern: HostPattern) -> String {
        switch pattern {
        case .exact: "exact host"
        case .wildcard: "wildcard; no exact host matches"
        case .any: "any host; nothing more specific matches"
        }
    }

    /// Rules of the same host, whose paths do not match.
    private static func nearRules(_ host: String, _ rules: [HostTable.Rule]) -> [String] {
        let near = rules.filter { $0.host == .exact(host.lowercased()) }
        return near.prefix(8).map { "          \($0.host)\($0.path) does not match the path" }
    }

    private static func port(_ address: SocketAddress, _ state: NodeState) -> String {
        var lines = ["connection  to \(address)"]
        let plans = state.control.snapshot.listeners
        let plan =
            plans.first { $0.address == address }
            ?? plans.first { $0.address.port == address.port && $0.address.ip.isUnspecified }
        guard let plan else { return lines[0] + "\nlistener    none: refused\n" }
        switch plan.role {
        case .web, .secureWeb: lines.append("listener    \(plan.owner): Host and path choose the service")
        case .http(let pool): lines += serving("exchange by exchange", plan, pool, state)
        case .relay(let pool): lines += serving("bytes relayed", plan, pool, state)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func serving(_ how: String, _ plan: ListenerPlan, _ pool: Int32, _ state: NodeState) -> [String] {
        var lines = ["listener    \(plan.owner), \(how)"]
        if let (name, port) = owner(pool, state) {
            lines.append("service     \(name), container port \(port)")
            lines += candidates(name, port, state)
        }
        return lines
    }

    private static func owner(_ pool: Int32, _ state: NodeState) -> (String, UInt16)? {
        for (name, record) in state.control.compiler.records {
            if let port = record.pools.first(where: { $0.value == pool })?.key { return (name, port) }
        }
        return nil
    }

    private static func candidates(_ name: String, _ port: UInt16, _ state: NodeState) -> [String] {
        guard let record = state.control.compiler.records[name] else { return [] }
        var lines = ["policy    \(StatusPage.policy(record.entry.spec))"]
        let inFlight = state.inFlightByInstance()
        for instance in record.entry.instances {
            let health = state.state(instance)
            var verdict = health.state == .healthy ? "in" : "out: \(health.state.rawValue)"
            if health.state == .healthy, !isPicked(instance, port, record, state) {
                verdict = instance.weight == 0 ? "out: weight 0" : "out: not near"
            }
            if let cause = health.cause { verdict += " (\(cause))" }
            let address = instance.socketAddress(containerPort: port)
            lines.append("instance  \(instance.id) at \(address)  \(verdict)  in flight \(inFlight[instance.key] ?? 0)")
        }
        if record.entry.instances.isEmpty {
            lines.append("instance  none is announced: answered 503 (destination_unavailable)")
        }
        return lines
    }

    /// Whether the instance is in the pool of the port.
    private static func isPicked(
        _ instance: InstanceSpec, _ port: UInt16, _ record: SnapshotCompiler.Record, _ state: NodeState
    ) -> Bool {
        guard let id = record.pools[port], let endpoints = state.control.snapshot.pools[Int(id)].list else {
            return false
        }
        let address = instance.socketAddress(containerPort: port)
        return endpoints.contains { $0.address == address }
    }

    private static func withBytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        Array(text.utf8).withUnsafeBytes(body)
    }
}

extension StringProtocol {
    /// The first occurrence of `other`.
    func range(of other: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(other) { return start..<index(start, offsetBy: other.count) }
            start = index(after: start)
        }
        return nil
    }
}
