import MeshCore

/// Holds removals back where all instances go at once: a registry that has lost its leases or its data says the same
/// as an operator who has stopped everything, and is far more common. Pure.
///
/// While it holds, what comes is taken at once and what went stays. It lets go when everything has come back, or
/// after a time, from when the registry is believed.
struct EmptyHold {
    /// Instances went together where each went within this time of the one before.
    static let gapNanoseconds: UInt64 = 1_000_000_000
    /// How far back that reaches at the most.
    static let windowNanoseconds: UInt64 = 10_000_000_000
    static let maximumRecent = 200_000

    /// 0: never.
    let holdNanoseconds: UInt64
    /// When it lets go; `nil` while it does not hold.
    private(set) var untilNanoseconds: UInt64?
    private var missingServices: [String: ServiceSpec] = [:]
    private var missingInstances: [InstanceKey: InstanceSpec] = [:]
    private var recent: [(at: UInt64, effect: EtcdEffect)] = []

    init(holdNanoseconds: UInt64) { self.holdNanoseconds = holdNanoseconds }

    var isHolding: Bool { untilNanoseconds != nil }
    var missingCount: Int { missingInstances.count }

    /// What of a watch's effects takes place.
    ///
    /// - Parameter isEmpty: whether the registry has no instance any more.
    mutating func filter(_ effects: [EtcdEffect], isEmpty: Bool, nowNanoseconds now: UInt64) -> [EtcdEffect] {
        if isHolding {
            let taken = effects.filter { takesPlace($0) }
            endIfWhole()
            return taken
        }
        guard holdNanoseconds > 0 else { return effects }
        remember(effects, now)
        guard isEmpty else { return effects }
        // One instance that goes is an everyday thing, also when it comes and goes.
        guard goneCount > 1 else { return effects }
        begin(now)
        for (_, effect) in recent { _ = takesPlace(effect) }
        recent = []
        // What went before it was seen that everything goes comes back.
        return missingServices.values.map { .upsertService($0) } + missingInstances.values.map { .upsertInstance($0) }
            + effects.filter { if case .upsertService = $0 { true } else { false } }
    }

    /// The content that takes the place of what is in force after everything was read anew.
    mutating func filter(
        _ now: (services: [ServiceSpec], instances: [InstanceSpec]),
        before: (services: [ServiceSpec], instances: [InstanceSpec]), nowNanoseconds: UInt64
    ) -> (services: [ServiceSpec], instances: [InstanceSpec]) {
        recent = []
        if !isHolding {
            guard holdNanoseconds > 0, now.instances.isEmpty, !before.instances.isEmpty else { return now }
            begin(nowNanoseconds)
            missingInstances = Dictionary(
                before.instances.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
            missingServices = Dictionary(before.services.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        } else {
            for spec in before.instances { missingInstances[spec.key] = spec }
            for spec in before.services { missingServices[spec.name] = spec }
        }
        for service in now.services { missingServices[service.name] = nil }
        for instance in now.instances { missingInstances[instance.key] = nil }
        let result = (
            services: now.services + missingServices.values.sorted { $0.name < $1.name },
            instances: now.instances + missingInstances.values.sorted { $0.key < $1.key }
        )
        endIfWhole()
        return result
    }

    /// Instances that went and did not come back.
    private var goneCount: Int {
        var gone: Set<InstanceKey> = []
        for (_, effect) in recent {
            switch effect {
            case .removeInstance(let spec): gone.insert(spec.key)
            case .upsertInstance(let spec): gone.remove(spec.key)
            case .upsertService, .removeService: break
            }
        }
        return gone.count
    }

    /// Lets go; the caller makes the registry's content take force.
    mutating func end() {
        untilNanoseconds = nil
        missingServices = [:]
        missingInstances = [:]
        recent = []
    }

    private mutating func begin(_ now: UInt64) {
        untilNanoseconds = now.addingReportingOverflow(holdNanoseconds).partialValue
    }

    private mutating func endIfWhole() {
        if missingServices.isEmpty, missingInstances.isEmpty { end() }
    }

    /// While holding: whether the effect takes place.
    private mutating func takesPlace(_ effect: EtcdEffect) -> Bool {
        switch effect {
        case .upsertService(let spec): missingServices[spec.name] = nil
        case .upsertInstance(let spec): missingInstances[spec.key] = nil
        case .removeService(let spec):
            missingServices[spec.name] = spec
            return false
        case .removeInstance(let spec):
            missingInstances[spec.key] = spec
            return false
        }
        return true
    }

    private mutating func remember(_ effects: [EtcdEffect], _ now: UInt64) {
        let start = now > Self.windowNanoseconds ? now - Self.windowNanoseconds : 0
        if let last = recent.last, last.at + Self.gapNanoseconds < now { recent = [] }
        if let stale = recent.firstIndex(where: { $0.at >= start }) {
            recent.removeFirst(stale)
        } else {
            recent = []
        }
        // In order: what went and came back is not missing.
        for effect in effects where recent.count < Self.maximumRecent { recent.append((now, effect)) }
    }
}
