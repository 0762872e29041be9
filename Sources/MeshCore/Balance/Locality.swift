/// Where this meshd runs, and so where the clients are that it serves.
public struct Locality: Hashable, Sendable {
    public var node: String?
    public var zone: String?

    public init(node: String? = nil, zone: String? = nil) {
        self.node = node
        self.zone = zone
    }
}

extension LocalityPreference {
    /// Which instances are near enough: those of the nearest place where enough of them may be picked, or all.
    ///
    /// An instance that is drained or has weight 0 left on purpose and does not count as one that is missing.
    ///
    /// - Parameter isOpen: for each instance, whether it may be picked.
    func chosen(_ instances: [InstanceSpec], isOpen: [Bool], from here: Locality) -> [Bool] {
        var places: [(InstanceSpec) -> Bool] = []
        if place == .node, let node = here.node { places.append { $0.node == node } }
        if let zone = here.zone { places.append { $0.zone == zone } }
        for isHere in places {
            let isNear = instances.map(isHere)
            var present = 0
            var open = 0
            for (index, instance) in instances.enumerated() where isNear[index] {
                if !instance.isDraining && instance.weight > 0 { present += 1 }
                if isOpen[index] { open += 1 }
            }
            if open > 0, open * 100 >= present * spillBelowPercent { return isNear }
        }
        return [Bool](repeating: true, count: instances.count)
    }
}
