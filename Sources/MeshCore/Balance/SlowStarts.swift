/// Since when instances may be picked, for services that let them start slowly. Pure; time comes in as nanoseconds.
///
/// An instance begins with a tenth of its weight and gets another tenth after each tenth of the time: few changes of
/// the tables, and no step larger than what a healthy instance bears. A service whose instances all start together
/// shares as it would without: weights are relative.
struct SlowStarts {
    /// Parts of the weight, and of the time.
    static let steps = 10

    private struct Start {
        let since: UInt64
        /// Of one step.
        let length: UInt64
    }

    private var starts: [String: [String: Start]] = [:]

    /// Takes in which of a service's instances may be picked now.
    mutating func update(_ entry: Catalogue.Entry, _ isOpen: [Bool], _ now: UInt64) {
        let name = entry.spec.name
        guard entry.spec.slowStartSeconds > 0 else { return remove(service: name) }
        let length = UInt64(min(entry.spec.slowStartSeconds, 86_400) * 1e9) / UInt64(Self.steps)
        let before = starts[name] ?? [:]
        var after: [String: Start] = [:]
        for (index, instance) in entry.instances.enumerated() where isOpen[index] {
            after[instance.id] = Start(since: before[instance.id]?.since ?? now, length: max(length, 1))
        }
        starts[name] = after
        refresh(name, now)
    }

    mutating func remove(service: String) {
        starts[service] = nil
        nextSteps[service] = nil
    }

    /// The instance's share of its weight, 1...`steps`.
    func step(_ key: InstanceKey, _ now: UInt64) -> Int {
        guard let start = starts[key.service]?[key.id] else { return Self.steps }
        return Self.step(start, now)
    }

    private static func step(_ start: Start, _ now: UInt64) -> Int {
        let passed = now > start.since ? (now - start.since) / start.length : 0
        return Int(min(passed, UInt64(steps - 1))) + 1
    }

    // MARK: - When

    /// By service: when the next step of one of its instances comes.
    private var nextSteps: [String: UInt64] = [:]

    private mutating func refresh(_ service: String, _ now: UInt64) {
        var next: UInt64?
        for start in (starts[service] ?? [:]).values {
            let step = Self.step(start, now)
            guard step < Self.steps else { continue }
            let at = start.since &+ UInt64(step) &* start.length
            next = min(next ?? at, at)
        }
        nextSteps[service] = next
    }

    var nextStepNanoseconds: UInt64? { nextSteps.values.min() }

    /// Services with a step that is due.
    func due(_ now: UInt64) -> Set<String> { Set(nextSteps.lazy.filter { $0.value <= now }.map(\.key)) }
}
