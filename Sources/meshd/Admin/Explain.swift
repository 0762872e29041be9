import MeshCore
import NetAddress

/// `meshd explain`: which rule, service and instances a request or connection would meet, and why.
enum Explain {
    /// Rules of one kind that are named; the rest is counted.
    private static let rulesShown = 16

    /// - Parameters:
    ///   - target: `http://host[:port]/path`, `host/path`, or `ADDRESS:PORT`.
    ///   - headers: `NAME: VALUE`.
    static func text(_ target: String, method: String?, headers: [String], _ state: NodeState) -> String {
        if let address = SocketAddress(target) { return port(address, state) }
        let request = ExplainRequest(target, method: method, headers: headers)
        let address =
            SocketAddress("\(request.host):\(request.port)")
            ?? IPAddress(request.host).map { SocketAddress($0, request.port == 0 ? 80 : request.port) }
        if headers.isEmpty, let address,
            state.control.snapshot.listeners.contains(where: {
                $0.address == address && $0.role != .web && $0.role != .secureWeb
            })
        {
            return port(address, state)
        }
        return web(request, state)
    }

    // MARK: - Requests

    private static func web(_ request: ExplainRequest, _ state: NodeState) -> String {
        let hosts = state.control.snapshot.hosts
        let overTLS = request.isSecure ? ", over TLS" : ""
        var lines = ["request   \(request.method), host \(request.host), path \(request.path)\(overTLS)"]
        let relayed = request.isSecure ? state.control.snapshot.serverNames.pools(request.host) : []
        guard relayed.isEmpty else { return (lines + session(relayed, state)).joined(separator: "\n") + "\n" }
        let rule = request.withRoute { hosts.match($0, nextField: $1) }
        if let rule {
            let found = hosts.rules[rule]
            lines.append("rule      \(found.key)  (\(kind(found.host)))")
            lines += targets(found, state)
        } else {
            lines.append("rule      none: answered \(state.unknownHostStatus) (destination_not_found)")
        }
        lines += otherRules(request, rule, hosts)
        return lines.joined(separator: "\n") + "\n"
    }

    /// Of a TLS session that is relayed untouched.
    private static func session(_ relayed: [(pool: Int32, weight: Int32)], _ state: NodeState) -> [String] {
        var lines = ["session   relayed untouched by its server name; on another host's session answered 421"]
        for (pool, weight) in relayed {
            guard let (name, port) = owner(pool, state) else { continue }
            let share = relayed.count > 1 || weight == 0 ? "  weight \(weight)" : ""
            lines.append("service   \(name), container port \(port)\(share)")
            lines += candidates(name, port, state)
        }
        return lines
    }

    private static func kind(_ pattern: HostPattern) -> String {
        switch pattern {
        case .exact: "exact host"
        case .wildcard: "wildcard; no exact host matches"
        case .glob: "pattern; no exact host and no longer suffix matches"
        case .any: "any host; nothing more specific matches"
        }
    }

    private static func targets(_ rule: HostTable.Rule, _ state: NodeState) -> [String] {
        let snapshot = state.control.snapshot
        func isUsable(_ target: RuleTarget) -> Bool { snapshot.pools[Int(target.pool)].count > 0 }
        let isShared = rule.targets.count > 1
        let total = rule.targets.filter(isUsable).reduce(0) { $0 + $1.weight }
        var lines: [String] = []
        for target in rule.targets {
            guard let (name, port) = owner(target.pool, state) else { continue }
            var share = isShared ? "  share \(target.weight) of \(total)" : ""
            if target.weight == 0 { share = "  weight 0: takes nothing" }
            if isShared, !isUsable(target) {
                share = "  share \(target.weight) goes to the others: no healthy instance"
            }
            lines.append("service   \(name), container port \(port)\(share)")
            if state.control.compiler.shares.held.contains(name) {
                lines.append("weight    waits for a healthy instance; the last good weights stay")
            }
            lines += treatment(target.transform)
            lines += candidates(name, port, state)
        }
        return lines
    }

    private static func treatment(_ transform: RouteTransform) -> [String] {
        var lines: [String] = []
        if let redirect = transform.redirect {
            let status = redirect.status.map { "\($0) " } ?? ""
            switch redirect.place {
            case .https(let port): lines.append("redirect  \(status)to https, port \(port), where it is not over TLS")
            case .location(let url): lines.append("redirect  \(status)to \(url)")
            case .locationWithTarget(let url): lines.append("redirect  \(status)to \(url)PATH?QUERY")
            }
        }
        if let prefix = transform.stripPrefix { lines.append("path      \(prefix) is taken off") }
        if !transform.insertPrefix.isEmpty { lines.append("path      \(transform.insertPrefix) is put before it") }
        return lines
    }

    /// Rules whose host matches: those that are more specific and why they do not match, and those that match as well.
    private static func otherRules(_ request: ExplainRequest, _ chosen: Int?, _ hosts: HostTable) -> [String] {
        let looked = request.withRoute { route, nextField in
            hosts.rules.indices.compactMap { index -> (rule: Int, mismatch: HostTable.Mismatch?)? in
                let mismatch = hosts.mismatch(rule: index, route, nextField: nextField)
                return mismatch == .host || index == chosen ? nil : (index, mismatch)
            }
        }
        func precedes(_ a: Int, _ b: Int) -> Bool { RuleOrder.precedes(hosts.rules[a], hosts.rules[b]) }
        var more: [String] = []
        var less: [String] = []
        for (index, mismatch) in looked.sorted(by: { precedes($0.rule, $1.rule) }) {
            let rule = hosts.rules[index]
            let text = "\(rule.key) -> \(rule.targets.map(\.service).joined(separator: ", ")): "
            guard let mismatch else {
                less.append(text + "matches, too, but is less specific")
                continue
            }
            if let chosen, !precedes(index, chosen) { continue }
            more.append(text + reason(mismatch))
        }
        return shown("not this", more) + shown("then", less)
    }

    private static func reason(_ mismatch: HostTable.Mismatch) -> String {
        switch mismatch {
        case .host: "the host does not match"
        case .path: "the path does not match"
        case .notSecure: "only over TLS"
        case .condition(let condition): "\(condition) does not hold"
        }
    }

    private static func shown(_ title: String, _ lines: [String]) -> [String] {
        let title = title + String(repeating: " ", count: 10 - title.count)
        var result = lines.prefix(rulesShown).map { title + $0 }
        if lines.count > rulesShown { result.append("\(title)\(lines.count - rulesShown) more") }
        return result
    }

    // MARK: - Connections

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
        case .datagrams(let pool): lines += serving("datagrams by flow", plan, pool, state)
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
            let own = record.pools.first { $0.value == pool } ?? record.hostPools.first { $0.value == pool }
            if let own { return (name, own.key) }
        }
        return nil
    }

    // MARK: - Instances

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
            let address = instance.socketAddress(containerPort: port)
            if state.control.compiler.leadsBack(address, record.entry.spec, port) {
                verdict = "out: a listener of this node itself"
            }
            if let cause = health.cause { verdict += " (\(cause))" }
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
