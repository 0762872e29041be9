/// The weights by which services share their routes (semantics 1.3).
///
/// A weight that would rise from 0 while the service has no instance to pick is held back, and with it every other
/// change among the services it shares routes with: the last good weights stay until it can be had.
public struct ShareWeights: Sendable {
    /// 0...100, by service.
    public private(set) var inForce: [String: Int] = [:]
    /// Services whose weight waits for an instance.
    public private(set) var held: Set<String> = []

    init(inForce: [String: Int] = [:]) { self.inForce = inForce }

    /// Takes over the weights that sources want now, in the order of the services' names.
    ///
    /// - Parameters:
    ///   - canServe: whether the service has an instance to pick.
    ///   - sharers: the services of each rule that several have in common.
    /// - Returns: one sentence for each weight that is held back.
    mutating func update(
        wanted: [(name: String, weight: Int)], canServe: (String) -> Bool, sharers: () -> [[String]]
    ) -> [String] {
        let wanted = wanted.map { (name: $0.name, weight: min(max($0.weight, 0), 100)) }
        let before = inForce
        inForce = Dictionary(wanted.map { ($0.name, $0.weight) }, uniquingKeysWith: { first, _ in first })
        held = []
        let rising = wanted.filter { $0.weight > 0 && (before[$0.name] ?? 0) == 0 && !canServe($0.name) }.map(\.name)
        guard !rising.isEmpty, !before.isEmpty else { return [] }
        var problems: [String] = []
        let groups = ShareGroups(sharers())
        for name in rising {
            let others = groups.members(with: name).filter { $0 != name }
            let touched = others.filter { before[$0] != nil && before[$0] != inForce[$0] || held.contains($0) }
            // A new service takes nothing from others before it has an instance, so it may as well have its weight.
            guard before[name] == 0 || !touched.isEmpty else { continue }
            let weight = inForce[name] ?? 0
            held.insert(name)
            inForce[name] = before[name] ?? 0
            for other in others { if let last = before[other] { inForce[other] = last } }
            let rest = touched.isEmpty ? "" : "; so do those of \(touched.sorted().joined(separator: ", "))"
            problems.append(
                "service \(name): weight \(inForce[name] ?? 0) stays and does not become \(weight): "
                    + "no healthy instance\(rest)")
        }
        return problems
    }
}

/// Services that share routes with each other, directly or by way of others.
private struct ShareGroups {
    private var parents: [String: String] = [:]
    private var all: [String: [String]] = [:]

    init(_ groups: [[String]]) {
        for group in groups {
            for name in group {
                if parents[name] == nil { parents[name] = name }
                join(name, group[0])
            }
        }
        for name in parents.keys { all[root(name), default: []].append(name) }
    }

    private func root(_ name: String) -> String {
        var name = name
        while let parent = parents[name], parent != name { name = parent }
        return name
    }

    private mutating func join(_ a: String, _ b: String) {
        let (first, second) = (root(a), root(b))
        if first != second { parents[second] = first }
    }

    func members(with name: String) -> [String] { all[root(name)]?.sorted() ?? [] }
}
