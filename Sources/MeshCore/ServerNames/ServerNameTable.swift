/// Which TLS sessions of the secure web listener are relayed untouched, by server name. Immutable.
///
/// It holds the hosts of all routes where at least one is a `tcp` route: the most specific pattern decides, so that an
/// exact host that is served here is not taken away by a wildcard that is relayed. Of equal patterns `tcp` decides.
public final class ServerNameTable: Sendable {
    struct Target: Sendable {
        let pool: Int32
        let weight: Int32
    }

    /// Empty lists: TLS ends here.
    private let exact: [String: [Target]]
    private let wildcards: [String: [Target]]
    private let any: [Target]
    /// The same hosts, for requests: pool 1 where sessions are relayed, 0 where TLS ends here.
    private let hosts: HostTable
    public let isEmpty: Bool

    /// - Parameters:
    ///   - relayed: hosts of `tcp` routes, in the order of their services.
    ///   - served: hosts of the other routes.
    init(relayed: [(host: HostPattern, target: Target)] = [], served: [HostPattern] = []) {
        var exact: [String: [Target]] = [:]
        var wildcards: [String: [Target]] = [:]
        var any: [Target] = []
        for host in relayed.isEmpty ? [] : served {
            if case .exact(let name) = host { exact[name] = [] }
            if case .wildcard(let suffix) = host { wildcards[suffix] = [] }
        }
        for (host, target) in relayed {
            if case .exact(let name) = host { exact[name, default: []].append(target) }
            if case .wildcard(let suffix) = host { wildcards[suffix, default: []].append(target) }
            if case .any = host { any.append(target) }
        }
        (self.exact, self.wildcards, self.any, isEmpty) = (exact, wildcards, any, relayed.isEmpty)
        func rule(_ host: HostPattern, _ targets: [Target]) -> RouteRule {
            RouteRule(host: host, path: "/", targets: [RuleTarget(pool: targets.isEmpty ? 0 : 1, weight: 1)])
        }
        hosts = HostTable(
            exact.map { rule(.exact($0), $1) } + wildcards.map { rule(.wildcard($0), $1) }
                + (any.isEmpty ? [] : [rule(.any, any)]))
    }

    /// Whether sessions for this host are relayed: a request for it has come on a session that was meant for another.
    ///
    /// - Parameter host: without port, in any case.
    public func relays(_ host: UnsafeRawBufferPointer) -> Bool {
        let request = RouteRequest(host: host, path: UnsafeRawBufferPointer(start: nil, count: 0))
        guard !isEmpty, let rule = hosts.match(request) else { return false }
        return hosts.choice(rule: rule, target: 0)?.pool == 1
    }

    /// The pools that sessions for a host are relayed to, with their weights, for people; empty: TLS ends here.
    public func pools(_ host: String) -> [(pool: Int32, weight: Int32)] {
        let name = host.lowercased()
        return targets(name.hasSuffix(".") ? String(name.dropLast()) : name).map { ($0.pool, $0.weight) }
    }

    /// - Parameter name: lower case, without a final dot.
    func targets(_ name: String) -> [Target] {
        if let found = exact[name] { return found }
        var rest = Substring(name)
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            if let found = wildcards[String(rest)] { return found }
        }
        return any
    }
}

extension Balancer {
    /// The pool that a TLS session for this server name is relayed to; -1: none of its services has a healthy
    /// instance; `nil`: it is not relayed.
    public func relayPool(serverName: String) -> Int32? {
        let targets = snapshot.serverNames.targets(serverName)
        guard let first = targets.first else { return nil }
        let pools = snapshot.pools
        let usable = targets.filter { $0.weight > 0 && pools[Int($0.pool)].count > 0 }
        let total = usable.reduce(UInt64(0)) { $0 + UInt64($1.weight) }
        guard total > 0 else { return targets.count == 1 && first.weight > 0 ? first.pool : -1 }
        var rest = nextRandom() % total
        for target in usable {
            if rest < UInt64(target.weight) { return target.pool }
            rest -= UInt64(target.weight)
        }
        return -1
    }
}
