/// Routes by host and path in flat memory. A look-up costs one pass over the host and one probe a label, whatever the
/// number of hosts, and neither allocates nor counts references.
///
/// Order of the rules: exact host, then the longest wildcard suffix, then `*`; within a host the longest path. A host
/// whose paths do not match does not hide a less specific one that does.
public final class HostTable: Sendable {
    /// A route's target: the pool and its share of the route.
    public struct Target: Hashable, Sendable {
        public let pool: Int32
        public let weight: Int32

        public init(pool: Int32, weight: Int32) {
            self.pool = pool
            self.weight = weight
        }
    }

    /// One rule as the compiler hands it over.
    public struct Rule: Hashable, Sendable {
        public let host: HostPattern
        public let path: String
        public let targets: [Target]

        public init(host: HostPattern, path: String, targets: [Target]) {
            self.host = host
            self.path = path
            self.targets = targets
        }
    }

    private struct Host: BitwiseCopyable {
        var hash: UInt64
        var nameStart: Int32
        var nameCount: Int32
        var isWildcard: Bool
        var firstPath: Int32
        var pathCount: Int32
    }

    private struct Path: BitwiseCopyable {
        var start: Int32
        var count: Int32
        var firstTarget: Int32
        var targetCount: Int32
    }

    private struct Flat: BitwiseCopyable {
        var pool: Int32
        var weight: Int32
    }

    private nonisolated(unsafe) let slots: UnsafeMutablePointer<Int32>
    private let slotMask: Int
    private nonisolated(unsafe) let hosts: UnsafeMutablePointer<Host>
    private nonisolated(unsafe) let paths: UnsafeMutablePointer<Path>
    private nonisolated(unsafe) let targets: UnsafeMutablePointer<Flat>
    private nonisolated(unsafe) let text: UnsafeMutablePointer<UInt8>
    /// Index of the `*` host; -1: none.
    private let anyHost: Int32
    /// The rules, for `explain`, in the order of paths.
    public let rules: [Rule]

    public convenience init() { self.init([]) }

    /// - Parameter rules: at most one per (host, path).
    public init(_ rules: [Rule]) {
        var builder = Builder()
        let grouped = Dictionary(grouping: rules, by: \.host)
        for host in grouped.keys.sorted(by: { $0.description < $1.description }) {
            builder.add(host, grouped[host]!.sorted { ($1.path.utf8.count, $0.path) < ($0.path.utf8.count, $1.path) })
        }
        func copy<T>(_ list: [T]) -> UnsafeMutablePointer<T> {
            let memory = UnsafeMutablePointer<T>.allocate(capacity: max(list.count, 1))
            memory.initialize(from: list, count: list.count)
            return memory
        }
        hosts = copy(builder.hosts)
        paths = copy(builder.paths)
        targets = copy(builder.targets)
        text = copy(builder.text)
        anyHost = builder.anyHost
        self.rules = builder.rules
        var size = 16
        while size < builder.hosts.count * 2 { size *= 2 }
        slotMask = size - 1
        var table = [Int32](repeating: -1, count: size)
        for (index, host) in builder.hosts.enumerated() where Int32(index) != builder.anyHost {
            var slot = Int(truncatingIfNeeded: host.hash) & slotMask
            while table[slot] >= 0 { slot = (slot + 1) & slotMask }
            table[slot] = Int32(index)
        }
        slots = copy(table)
    }

    deinit {
        slots.deallocate()
        hosts.deallocate()
        paths.deallocate()
        targets.deallocate()
        text.deallocate()
    }

    private struct Builder {
        var hosts: [Host] = []
        var paths: [Path] = []
        var targets: [Flat] = []
        var text: [UInt8] = []
        var rules: [Rule] = []
        var anyHost: Int32 = -1

        mutating func add(_ pattern: HostPattern, _ rules: [Rule]) {
            let name: [UInt8]
            var isWildcard = false
            switch pattern {
            case .exact(let text): name = Array(text.utf8)
            case .wildcard(let suffix):
                name = Array(suffix.utf8)
                isWildcard = true
            case .any:
                name = []
                anyHost = Int32(hosts.count)
            }
            var hash = HostHash()
            for byte in name.reversed() { hash.add(byte) }
            hosts.append(
                Host(
                    hash: hash.value(isWildcard: isWildcard), nameStart: Int32(text.count),
                    nameCount: Int32(name.count),
                    isWildcard: isWildcard, firstPath: Int32(paths.count), pathCount: Int32(rules.count)))
            text += name
            for rule in rules { add(rule) }
        }

        private mutating func add(_ rule: Rule) {
            // `/` matches every path, also that of `OPTIONS *`: stored as the empty prefix.
            let path = rule.path == "/" ? [] : Array(rule.path.utf8)
            paths.append(
                Path(
                    start: Int32(text.count), count: Int32(path.count), firstTarget: Int32(targets.count),
                    targetCount: Int32(rule.targets.count)))
            text += path
            targets += rule.targets.map { Flat(pool: $0.pool, weight: max($0.weight, 0)) }
            rules.append(rule)
        }
    }
}

/// FNV-1a over a name from its end, so that one pass gives the hash of every suffix.
private struct HostHash {
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    @inline(__always)
    mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }

    @inline(__always)
    func value(isWildcard: Bool) -> UInt64 {
        let mixed = (state ^ (isWildcard ? 0x5bd1_e995 : 0)) &* 0x9e37_79b9_7f4a_7c15
        return mixed ^ mixed >> 32
    }
}

extension HostTable {
    /// Index into `rules` of the rule for a request; `nil` when no rule matches.
    ///
    /// - Parameters:
    ///   - host: without port, in any case; one final dot is ignored.
    ///   - path: with its query, which is ignored.
    public func match(host: UnsafeRawBufferPointer, path: UnsafeRawBufferPointer) -> Int? {
        var length = host.count
        if length > 0, host[length - 1] == UInt8(ascii: ".") { length -= 1 }
        guard length <= 255 else { return anyMatch(path) }
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 128) { suffixes in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 128 + 256) { scratch in
                let lower = UnsafeMutableBufferPointer(rebasing: scratch[128...])
                let starts = UnsafeMutableBufferPointer(rebasing: scratch[..<128])
                return match(host, length, path, lower, starts, suffixes)
            }
        }
    }

    private func match(
        _ host: UnsafeRawBufferPointer, _ length: Int, _ path: UnsafeRawBufferPointer,
        _ lower: UnsafeMutableBufferPointer<UInt8>, _ starts: UnsafeMutableBufferPointer<UInt8>,
        _ suffixes: UnsafeMutableBufferPointer<UInt64>
    ) -> Int? {
        var hash = HostHash()
        var count = 0
        var index = length - 1
        while index >= 0 {
            let byte = host[index] &- 65 < 26 ? host[index] | 0x20 : host[index]
            // A wildcard stands for one label or more, so nothing before the dot is no match.
            if byte == UInt8(ascii: "."), index > 0, count < 128 {
                starts[count] = UInt8(index + 1)
                suffixes[count] = hash.value(isWildcard: true)
                count += 1
            }
            lower[index] = byte
            hash.add(byte)
            index -= 1
        }
        guard length > 0 else { return anyMatch(path) }
        if let found = find(hash.value(isWildcard: false), lower, 0, length, false, path) { return found }
        // The last dot seen belongs to the longest suffix.
        while count > 0 {
            count -= 1
            if let found = find(suffixes[count], lower, Int(starts[count]), length, true, path) { return found }
        }
        return anyMatch(path)
    }

    private func find(
        _ hash: UInt64, _ name: UnsafeMutableBufferPointer<UInt8>, _ start: Int, _ end: Int, _ isWildcard: Bool,
        _ path: UnsafeRawBufferPointer
    ) -> Int? {
        var slot = Int(truncatingIfNeeded: hash) & slotMask
        while slots[slot] >= 0 {
            let host = hosts[Int(slots[slot])]
            if host.hash == hash, host.isWildcard == isWildcard, Int(host.nameCount) == end - start,
                equal(text + Int(host.nameStart), name.baseAddress! + start, end - start)
            {
                return matchPath(host, path)
            }
            slot = (slot + 1) & slotMask
        }
        return nil
    }

    private func anyMatch(_ path: UnsafeRawBufferPointer) -> Int? {
        anyHost < 0 ? nil : matchPath(hosts[Int(anyHost)], path)
    }

    private func matchPath(_ host: Host, _ path: UnsafeRawBufferPointer) -> Int? {
        for index in Int(host.firstPath)..<Int(host.firstPath + host.pathCount) {
            let prefix = paths[index]
            let count = Int(prefix.count)
            if count == 0 { return index }
            guard path.count >= count, let base = path.baseAddress?.assumingMemoryBound(to: UInt8.self),
                equal(text + Int(prefix.start), base, count)
            else { continue }
            // Whole segments only.
            if path.count == count || base[count] == UInt8(ascii: "/") || base[count] == UInt8(ascii: "?") {
                return index
            }
        }
        return nil
    }

    @inline(__always)
    private func equal(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        for index in 0..<count where a[index] != b[index] { return false }
        return true
    }

    /// The pool for a request that matched `rule`: by weight among the usable ones, where several services share the
    /// rule; -1 where none is usable or all of them have weight 0, which takes nothing (semantics 1.3).
    ///
    /// - Parameter random: any number; its bits decide.
    public func pool(rule: Int, random: UInt64, isUsable: (Int32) -> Bool = { _ in true }) -> Int32 {
        let path = paths[rule]
        let first = targets + Int(path.firstTarget)
        let count = Int(path.targetCount)
        if count == 1 { return first[0].weight > 0 ? first[0].pool : -1 }
        var total: Int64 = 0
        for index in 0..<count where isUsable(first[index].pool) { total += Int64(first[index].weight) }
        guard total > 0 else { return -1 }
        var rest = Int64(random >> 1) % total
        for index in 0..<count where isUsable(first[index].pool) {
            rest -= Int64(first[index].weight)
            if rest < 0 { return first[index].pool }
        }
        return -1
    }
}
