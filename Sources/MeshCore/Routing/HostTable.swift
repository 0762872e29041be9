/// Routes requests in flat memory. For exact names and `*.suffix` a look-up costs one probe a label and a pass over
/// the host, another where no exact name matches, whatever the number of hosts, and neither allocates nor counts
/// references. Patterns with `*` elsewhere are tried one after the other, and only those that are more specific than
/// the best of the others.
///
/// `RuleOrder` says which of several matching rules is taken. A host whose paths or conditions do not match does not
/// hide a less specific one that does.
public final class HostTable: Sendable {
    public typealias Target = RuleTarget
    public typealias Rule = RouteRule

    /// Host patterns with `*` in free places that a table takes; those beyond the most specific ones are left out.
    public static let globLimit = 256

    struct Host: BitwiseCopyable {
        var hash: UInt64
        var name: TextRange
        var isWildcard: Bool
        var entries: EntryRange
    }

    struct GlobHost: BitwiseCopyable {
        var pattern: TextRange
        var suffix: Int32
        var literals: Int32
        var entries: EntryRange
    }

    struct EntryRange: BitwiseCopyable {
        var first: Int32
        var count: Int32
    }

    /// What one rule demands beside its host.
    struct Entry: BitwiseCopyable {
        var path: TextRange
        var kind: PathKind
        var isSecureOnly: Bool
        var firstCondition: Int32
        var conditionCount: Int32
        var firstTarget: Int32
        var targetCount: Int32
        /// Its place among the rules of all host patterns with `*` in free places.
        var rank: Int32 = 0
    }

    struct FlatTarget: BitwiseCopyable {
        var pool: Int32
        var weight: Int32
        /// -1: none.
        var action: Int32
    }

    nonisolated(unsafe) let slots: UnsafeMutablePointer<Int32>
    let slotMask: Int
    nonisolated(unsafe) let hosts: UnsafeMutablePointer<Host>
    nonisolated(unsafe) let globs: UnsafeMutablePointer<GlobHost>
    let globCount: Int
    let hasWildcards: Bool
    nonisolated(unsafe) let entries: UnsafeMutablePointer<Entry>
    nonisolated(unsafe) let conditions: UnsafeMutablePointer<ConditionList.Condition>
    nonisolated(unsafe) let targets: UnsafeMutablePointer<FlatTarget>
    nonisolated(unsafe) let actions: UnsafeMutablePointer<FlatAction>
    nonisolated(unsafe) let text: UnsafeMutablePointer<UInt8>
    /// Index of the `*` host; -1: none.
    let anyHost: Int32
    /// The rules, for `explain`, by the index that `match` gives.
    public let rules: [Rule]
    /// Host patterns that are too many.
    public let leftOut: [HostPattern]

    public convenience init() { self.init([]) }

    /// - Parameter rules: at most one per key.
    public init(_ rules: [Rule]) {
        var builder = HostTableBuilder()
        builder.add(rules)
        func copy<T>(_ list: [T]) -> UnsafeMutablePointer<T> {
            let memory = UnsafeMutablePointer<T>.allocate(capacity: max(list.count, 1))
            memory.initialize(from: list, count: list.count)
            return memory
        }
        hosts = copy(builder.hosts)
        globs = copy(builder.globs)
        globCount = builder.globs.count
        hasWildcards = builder.hosts.contains { $0.isWildcard }
        entries = copy(builder.entries)
        conditions = copy(builder.conditions)
        targets = copy(builder.targets)
        actions = copy(builder.actions)
        text = copy(builder.text)
        anyHost = builder.anyHost
        self.rules = builder.rules
        leftOut = builder.leftOut
        let table = builder.slots()
        slotMask = table.count - 1
        slots = copy(table)
    }

    deinit {
        slots.deallocate()
        hosts.deallocate()
        globs.deallocate()
        entries.deallocate()
        conditions.deallocate()
        targets.deallocate()
        actions.deallocate()
        text.deallocate()
    }
}

// MARK: - Targets

extension HostTable {
    /// Where a request of a rule goes.
    public struct Choice: BitwiseCopyable, Sendable {
        public let pool: Int32
        let action: Int32
    }

    /// Number of services that share the rule.
    public func targetCount(rule: Int) -> Int { Int(entries[rule].targetCount) }

    /// One service of the rule, whatever its weight; `nil` where its weight is 0, which takes nothing (semantics 1.3).
    public func choice(rule: Int, target: Int) -> Choice? {
        let flat = targets[Int(entries[rule].firstTarget) + target]
        return flat.weight > 0 ? Choice(pool: flat.pool, action: flat.action) : nil
    }

    /// The service for a request of `rule`: by weight among the usable ones, where several share the rule; `nil` where
    /// none is usable or all of them have weight 0.
    ///
    /// - Parameter turn: any number; its high bits decide. Numbers that are spread evenly share evenly.
    public func choose(rule: Int, turn: UInt64, isUsable: (Int32) -> Bool = { _ in true }) -> Choice? {
        let count = targetCount(rule: rule)
        if count == 1 { return choice(rule: rule, target: 0) }
        let first = targets + Int(entries[rule].firstTarget)
        var total: UInt64 = 0
        for index in 0..<count where isUsable(first[index].pool) { total += UInt64(first[index].weight) }
        guard total > 0 else { return nil }
        var rest = turn.multipliedFullWidth(by: total).high
        for index in 0..<count where isUsable(first[index].pool) {
            let weight = UInt64(first[index].weight)
            if rest < weight { return Choice(pool: first[index].pool, action: first[index].action) }
            rest -= weight
        }
        return nil
    }

    /// What becomes of a request that goes there; `nil`: it is passed on as it is.
    public func action(_ choice: Choice) -> RouteAction? {
        choice.action < 0 ? nil : actions[Int(choice.action)].view(text)
    }
}
