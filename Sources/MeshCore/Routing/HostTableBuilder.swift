/// Lays rules out for a `HostTable`.
struct HostTableBuilder {
    private(set) var hosts: [HostTable.Host] = []
    private(set) var globs: [HostTable.GlobHost] = []
    private(set) var entries: [HostTable.Entry] = []
    private(set) var conditions: [ConditionList.Condition] = []
    private(set) var targets: [HostTable.FlatTarget] = []
    private(set) var actions: [FlatAction] = []
    private(set) var text: [UInt8] = []
    private(set) var rules: [RouteRule] = []
    private(set) var leftOut: [HostPattern] = []
    private(set) var anyHost: Int32 = -1
    private var actionIndices: [RouteTransform: Int32] = [:]

    mutating func add(_ rules: [RouteRule]) {
        var groups: [[RouteRule]] = []
        var places: [HostPattern: Int] = [:]
        for rule in rules {
            if let place = places[rule.host] {
                groups[place].append(rule)
            } else {
                places[rule.host] = groups.count
                groups.append([rule])
            }
        }
        var globGroups: [[RouteRule]] = []
        for group in groups {
            let sorted = group.count == 1 ? group : group.sorted(by: RuleOrder.pathPrecedes)
            if case .glob = group[0].host { globGroups.append(sorted) } else { addHost(sorted) }
        }
        if !globGroups.isEmpty { addGlobs(globGroups) }
    }

    private mutating func addHost(_ rules: [RouteRule]) {
        var name = ""
        var isWildcard = false
        switch rules[0].host {
        case .exact(let text), .glob(let text): name = text
        case .wildcard(let suffix): (name, isWildcard) = (suffix, true)
        case .any: anyHost = Int32(hosts.count)
        }
        let range = TextRange(name, &text)
        hosts.append(
            HostTable.Host(
                hash: isWildcard ? HostHash.of(suffix: name) : HostHash.of(name), name: range, isWildcard: isWildcard,
                entries: addAll(rules)))
    }

    /// Most specific first. Among hosts that are equally specific the rank of the rules decides.
    private mutating func addGlobs(_ groups: [[RouteRule]]) {
        let sorted = groups.map { (rank: RuleOrder.HostRank($0[0].host), rules: $0) }.sorted {
            $0.rank == $1.rank ? $0.rules[0].host.description < $1.rules[0].host.description : $0.rank > $1.rank
        }
        leftOut = sorted.dropFirst(HostTable.globLimit).map { $0.rules[0].host }
        let firstEntry = entries.count
        for group in sorted.prefix(HostTable.globLimit) {
            let range = TextRange(group.rules[0].host.description, &text)
            globs.append(
                HostTable.GlobHost(
                    pattern: range, suffix: Int32(group.rank.suffix), literals: Int32(group.rank.literals),
                    entries: addAll(group.rules)))
        }
        let order = (firstEntry..<entries.count).sorted { RuleOrder.pathPrecedes(rules[$0], rules[$1]) }
        for (rank, index) in order.enumerated() { entries[index].rank = Int32(rank) }
    }

    private mutating func addAll(_ rules: [RouteRule]) -> HostTable.EntryRange {
        let first = Int32(entries.count)
        for rule in rules { add(rule) }
        return HostTable.EntryRange(first: first, count: Int32(rules.count))
    }

    private mutating func add(_ rule: RouteRule) {
        let key = rule.key
        // `/` matches every path, also that of `OPTIONS *`: stored as the empty prefix.
        let path = key.path == "/" && key.pathKind == .prefix ? "" : key.path
        entries.append(
            HostTable.Entry(
                path: TextRange(path, &text), kind: key.pathKind, isSecureOnly: key.isSecureOnly,
                firstCondition: Int32(conditions.count), conditionCount: Int32(key.conditions.count),
                firstTarget: Int32(targets.count), targetCount: Int32(rule.targets.count)))
        for condition in key.conditions { conditions.append(ConditionList.flat(condition, &text)) }
        for target in rule.targets {
            targets.append(
                HostTable.FlatTarget(
                    pool: target.pool, weight: max(target.weight, 0), action: actionIndex(target.transform)))
        }
        rules.append(rule)
    }

    private mutating func actionIndex(_ transform: RouteTransform) -> Int32 {
        if transform.isEmpty { return -1 }
        if let index = actionIndices[transform] { return index }
        let index = Int32(actions.count)
        actions.append(FlatAction(transform, &text))
        actionIndices[transform] = index
        return index
    }

    /// Open addressing, at most half full.
    func slots() -> [Int32] {
        var size = 16
        while size < hosts.count * 2 { size *= 2 }
        var table = [Int32](repeating: -1, count: size)
        for (index, host) in hosts.enumerated() where Int32(index) != anyHost {
            var slot = Int(truncatingIfNeeded: host.hash) & (size - 1)
            while table[slot] >= 0 { slot = (slot + 1) & (size - 1) }
            table[slot] = Int32(index)
        }
        return table
    }
}

/// FNV-1a over a name from its end, so that one pass gives the hash of every suffix. Whole names have the quicker one
/// of `NameWords`.
struct HostHash {
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    @inline(__always)
    mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }

    @inline(__always)
    var value: UInt64 {
        let mixed = state &* 0x9e37_79b9_7f4a_7c15
        return mixed ^ mixed >> 32
    }

    static func of(suffix: String) -> UInt64 {
        var hash = HostHash()
        for byte in suffix.utf8.reversed() { hash.add(byte) }
        return hash.value
    }

    /// - Parameter name: in lower case.
    static func of(_ name: String) -> UInt64 {
        var bytes = Array(name.utf8)
        guard !bytes.isEmpty else { return 0 }
        return bytes.withUnsafeMutableBytes { NameWords.lower($0.baseAddress!, $0.count, to: $0.baseAddress!) }
    }
}
