import MeshCore

/// Holds removals back where all instances go at once: a registry that has lost its leases or its data says the same
/// as an operator who has stopped everything, and is far more common. Pure.
///
/// What is known to have been taken out on purpose is not missed: it counts for nothing and is not brought back.
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
    /// From the first instance that went on, as long as others follow.
    private var recent: [(at: UInt64, effect: EtcdEffect)] = []
    /// When the last one went.
    private var lastLoss: UInt64 = 0

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
            + effects.filter { effect in
                if case .upsertService = effect { true } else { effect.isOnPurpose }
            }
    }

    /// The content that takes the place of what is in force after everything was read anew.
    mutating func filter(
        _ now: (services: [ServiceSpec], instances: [InstanceSpec]),
        before: (services: [ServiceSpec], instances: [InstanceSpec]), nowNanoseconds: UInt64
    ) -> (services: [ServiceSpec], instances: [InstanceSpec]) {
        recent = []
        if !isHolding {
            // One that drained was on its way out.
            guard holdNanoseconds > 0, now.instances.isEmpty, before.instances.contains(where: { !$0.isDraining })
            else { return now }
            begin(nowNanoseconds)
        }
        for spec in before.instances where !spec.isDraining { missingInstances[spec.key] = spec }
        for spec in before.services { missingServices[spec.name] = spec }
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
            case .removeInstance(let spec, let isOnPurpose):
                if isOnPurpose { gone.remove(spec.key) } else { gone.insert(spec.key) }
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
        case .removeService(let spec, let isOnPurpose):
            missingServices[spec.name] = isOnPurpose ? nil : spec
        case .removeInstance(let spec, let isOnPurpose):
            missingInstances[spec.key] = isOnPurpose ? nil : spec
        }
        return !effect.isLoss
    }

    private mutating func remember(_ effects: [EtcdEffect], _ now: UInt64) {
        let start = now > Self.windowNanoseconds ? now - Self.windowNanoseconds : 0
        if lastLoss + Self.gapNanoseconds < now { recent = [] }
        if let stale = recent.firstIndex(where: { $0.at >= start }) {
            recent.removeFirst(stale)
        } else {
            recent = []
        }
        // In order: what went and came back is not missing.
        for effect in effects where recent.count < Self.maximumRecent {
            if effect.isLoss { lastLoss = now }
            if effect.isLoss || !recent.isEmpty { recent.append((now, effect)) }
        }
    }
}

extension EtcdEffect {
    fileprivate var isOnPurpose: Bool {
        switch self {
        case .removeInstance(_, let isOnPurpose), .removeService(_, let isOnPurpose): isOnPurpose
        case .upsertInstance, .upsertService: false
        }
    }

    fileprivate var isLoss: Bool {
        switch self {
        case .removeInstance(_, let isOnPurpose), .removeService(_, let isOnPurpose): !isOnPurpose
        case .upsertInstance, .upsertService: false
        }
    }
}
