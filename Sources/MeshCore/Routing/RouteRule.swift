/// What a rule demands of a request. Routes of several services with the same key share the rule.
public struct RuleKey: Hashable, Sendable {
    public var host: HostPattern
    public var path: String
    public var pathKind: PathKind
    public var isSecureOnly: Bool
    public var conditions: [RouteCondition]
    public var priority: Int

    public init(
        host: HostPattern, path: String, pathKind: PathKind = .prefix, isSecureOnly: Bool = false,
        conditions: [RouteCondition] = [], priority: Int = 0
    ) {
        self.host = host
        self.path = path
        self.pathKind = pathKind
        self.isSecureOnly = isSecureOnly
        self.conditions = conditions
        self.priority = priority
    }

    init(_ route: RouteSpec) {
        self.init(
            host: route.host, path: route.path, pathKind: route.pathKind, isSecureOnly: route.isSecureOnly,
            conditions: route.conditions, priority: route.priority)
    }
}

extension RouteSpec {
    public var key: RuleKey { RuleKey(self) }
}

extension RuleKey: CustomStringConvertible {
    /// `https://shop.company.com/cart [method=GET] priority 3`
    public var description: String {
        var text = "\(isSecureOnly ? "https://" : "")\(host)\(path == "/" ? "" : path)"
        if pathKind == .exact { text += " exactly" }
        if !conditions.isEmpty { text += " [\(conditions.map(\.description).joined(separator: "; "))]" }
        return priority == 0 ? text : text + " priority \(priority)"
    }
}

/// A service that takes a rule's requests, and its share of them.
public struct RuleTarget: Hashable, Sendable {
    public let pool: Int32
    public let weight: Int32
    public let service: String
    public let transform: RouteTransform

    public init(pool: Int32, weight: Int32, service: String = "", transform: RouteTransform = RouteTransform()) {
        self.pool = pool
        self.weight = weight
        self.service = service
        self.transform = transform
    }
}

/// One rule as the compiler hands it over.
public struct RouteRule: Hashable, Sendable {
    public let key: RuleKey
    /// In the order of the services' names.
    public let targets: [RuleTarget]

    public init(_ key: RuleKey, targets: [RuleTarget]) {
        self.key = key
        self.targets = targets
    }

    public init(host: HostPattern, path: String, targets: [RuleTarget]) {
        self.init(RuleKey(host: host, path: path), targets: targets)
    }

    public var host: HostPattern { key.host }
    public var path: String { key.path }
}

/// Which of two rules a request that both match takes: the most specific one, decided the same way on every node.
public enum RuleOrder {
    /// How specific a host pattern is: larger wins.
    struct HostRank: Comparable {
        /// 1 for an exact name.
        let exact: Int
        /// Octets behind the last `*`.
        let suffix: Int
        /// Octets other than `*`.
        let literals: Int

        init(_ pattern: HostPattern) {
            switch pattern {
            case .exact(let name): (exact, suffix, literals) = (1, name.utf8.count, name.utf8.count)
            // With its dot.
            case .wildcard(let name): (exact, suffix, literals) = (0, name.utf8.count + 1, name.utf8.count + 1)
            case .glob(let text):
                let star = UInt8(ascii: "*")
                let tail = text.utf8.reversed().prefix { $0 != star }.count
                (exact, suffix, literals) = (0, tail, text.utf8.count { $0 != star })
            case .any: (exact, suffix, literals) = (0, 0, -1)
            }
        }

        static func < (a: Self, b: Self) -> Bool {
            (a.exact, a.suffix, a.literals) < (b.exact, b.suffix, b.literals)
        }
    }

    /// Exact host before patterns, longer suffix before shorter, then `pathPrecedes`.
    public static func precedes(_ a: RouteRule, _ b: RouteRule) -> Bool {
        let (x, y) = (HostRank(a.host), HostRank(b.host))
        return x == y ? pathPrecedes(a, b) : x > y
    }

    /// Longer path, exact before pattern, `https` before either, more conditions, priority, service name; then the
    /// text of the rule, so that no two rules are equal.
    static func pathPrecedes(_ a: RouteRule, _ b: RouteRule) -> Bool {
        let (x, y) = (specificity(a.key), specificity(b.key))
        if x != y { return x > y }
        if a.key.priority != b.key.priority { return a.key.priority > b.key.priority }
        let (first, second) = (a.targets.first?.service ?? "", b.targets.first?.service ?? "")
        if first != second { return first < second }
        return a.key.description < b.key.description
    }

    private static func specificity(_ key: RuleKey) -> (Int, Int, Int, Int) {
        let count = key.pathKind == .glob ? key.path.utf8.count { $0 != Glob.star } : key.path.utf8.count
        let kind = key.pathKind == .exact ? 2 : key.pathKind == .prefix ? 1 : 0
        return (key.path == "/" ? 0 : count, kind, key.isSecureOnly ? 1 : 0, key.conditions.count)
    }
}
