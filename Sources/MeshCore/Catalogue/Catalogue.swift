/// The merged present state of all sources.
///
/// A merge is by service name: the spec of the source named first in the configuration wins, instances of all sources
/// add up, one with the same id being taken once. Stale and no-change events change nothing.
///
/// Of an instance that several sources tell, a witness, which sees it itself, has the word before one that repeats what
/// some node said; what a witness saw end is gone, whoever repeats it. It drains where any of them says so.
public struct Catalogue {
    /// A service with the instances of all sources, sorted by id.
    public struct Entry: Equatable, Sendable {
        public let spec: ServiceSpec
        public let instances: [InstanceSpec]

        public func instance(_ id: String) -> InstanceSpec? {
            let place = place(of: id)
            return place < instances.count && instances[place].id == id ? instances[place] : nil
        }

        /// Where the id stands, or would stand.
        fileprivate func place(of id: String) -> Int {
            var low = 0
            var high = instances.count
            while low < high {
                let middle = (low + high) / 2
                if instances[middle].id < id { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    private struct SourceState {
        /// `nil` until the first event.
        var revision: UInt64?
        var content = SourceContent()
    }

    /// What one source has told, by name. A value: a copy costs nothing until the source tells more.
    public struct SourceContent: Sendable {
        fileprivate(set) var services: [String: ServiceSpec] = [:]
        fileprivate(set) var instances: [String: [String: InstanceSpec]] = [:]

        /// By name.
        public var sortedServices: [ServiceSpec] { services.values.sorted { $0.name < $1.name } }

        fileprivate var keys: some Sequence<InstanceKey> { instances.values.lazy.flatMap { $0.values.lazy.map(\.key) } }

        public func instance(_ key: InstanceKey) -> InstanceSpec? { instances[key.service]?[key.id] }

        /// By service and id.
        public var sortedInstances: [InstanceSpec] { Array(instancesByService.joined()) }

        /// The same, service by service.
        public var instancesByService: some Sequence<[InstanceSpec]> {
            instances.sorted { $0.key < $1.key }.lazy.map { $0.value.values.sorted { $0.id < $1.id } }
        }

        public var instanceCount: Int { instances.values.reduce(0) { $0 + $1.count } }
    }

    private let order: [String]
    /// The order in which sources have the word on instances.
    private let witnesses: [String]
    private let isWitness: Set<String>
    /// What a witness saw end and others may still tell.
    private var ended: Set<InstanceKey> = []
    private var sources: [String: SourceState] = [:]
    public private(set) var entries: [String: Entry] = [:]
    /// IDs of instances that are drained whatever their source says, by service.
    private var drained: [String: Set<String>] = [:]

    /// - Parameters:
    ///   - sources: source names in order of precedence.
    ///   - witnesses: those of them that see instances themselves, such as an engine.
    public init(sources: [String], witnesses: Set<String> = []) {
        order = sources
        isWitness = witnesses
        self.witnesses = sources.filter { witnesses.contains($0) } + sources.filter { !witnesses.contains($0) }
    }

    /// Whether the source has told its state at least once.
    public func hasHeard(from source: String) -> Bool { sources[source] != nil }

    /// The source's whole present state; `nil` before its first event.
    public func content(of source: String) -> SourceContent? { sources[source]?.content }

    /// Drains these instances, in place of those before, and returns the names of the services that are now different.
    /// An instance that is not known counts as soon as it is.
    public mutating func drain(_ keys: Set<InstanceKey>) -> Set<String> {
        let before = drained
        drained = [:]
        for key in keys { drained[key.service, default: []].insert(key.id) }
        return Set(before.keys).union(drained.keys).filter { drained[$0] != before[$0] && merge($0) }
    }

    /// Takes in one event and returns the names of the services that are now different.
    public mutating func apply(_ event: SourceEvent) -> Set<String> {
        if let last = sources[event.source]?.revision, event.revision <= last { return [] }
        noteEnds(event)
        // In place: a copy of the content would cost with every event what a reset costs.
        let touched = Self.apply(event.change, to: &sources[event.source, default: SourceState()].content)
        sources[event.source]?.revision = event.revision
        switch event.change {
        case .upsertInstance(let instance): return merge(instance.key) ? touched : []
        case .removeInstance(let key): return merge(key) ? touched : []
        default: return touched.filter { merge($0) }
        }
    }

    /// Names that are kept for a while, of instances that nobody else tells.
    private static let endedLimit = 4_096

    private mutating func noteEnds(_ event: SourceEvent) {
        guard !isWitness.isEmpty else { return }
        let sees = isWitness.contains(event.source)
        switch event.change {
        case .removeInstance(let key):
            if sees { ended.insert(key) } else if !isTold(key, beside: event.source) { ended.remove(key) }
        case .upsertInstance(let spec): if sees { ended.remove(spec.key) }
        case .reset(_, let instances):
            let told = Set(instances.map(\.key))
            if sees {
                if let before = sources[event.source]?.content { ended.formUnion(before.keys) }
                ended.subtract(told)
            } else {
                ended = ended.filter { told.contains($0) || isTold($0, beside: event.source) }
            }
        case .upsertService, .removeService: break
        }
        guard ended.count > Self.endedLimit else { return }
        ended = ended.filter { key in sources.values.contains { $0.content.instance(key) != nil } }
    }

    private func isTold(_ key: InstanceKey, beside source: String) -> Bool {
        sources.contains { $0.key != source && $0.value.content.instance(key) != nil }
    }

    private static func apply(_ change: SourceEvent.Change, to state: inout SourceContent) -> Set<String> {
        switch change {
        case .reset(let services, let instances):
            var touched = Set(state.services.keys).union(state.instances.keys)
            state.services = Dictionary(services.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
            state.instances = [:]
            for instance in instances { state.instances[instance.service, default: [:]][instance.id] = instance }
            touched.formUnion(state.services.keys)
            return touched.union(state.instances.keys)
        case .upsertService(let spec):
            state.services[spec.name] = spec
            return [spec.name]
        case .removeService(let name):
            state.services[name] = nil
            return [name]
        case .upsertInstance(let instance):
            state.instances[instance.service, default: [:]][instance.id] = instance
            return [instance.service]
        case .removeInstance(let key):
            state.instances[key.service]?[key.id] = nil
            if state.instances[key.service]?.isEmpty == true { state.instances[key.service] = nil }
            return [key.service]
        }
    }

    /// Merges one instance of a service anew; `false` where that changed nothing.
    private mutating func merge(_ key: InstanceKey) -> Bool {
        guard let entry = entries[key.service] else { return false }
        var merged = told(key)
        if drained[key.service]?.contains(key.id) == true { merged?.isDraining = true }
        let before = entry.instance(key.id)
        guard merged != before else { return false }
        let place = entry.place(of: key.id)
        var instances = entry.instances
        instances.replaceSubrange(place..<(before == nil ? place : place + 1), with: merged.map { [$0] } ?? [])
        entries[key.service] = Entry(spec: entry.spec, instances: instances)
        return true
    }

    /// Whether a source's word counts only where no witness says otherwise.
    private func repeats(_ source: String) -> Bool { !isWitness.isEmpty && !isWitness.contains(source) }

    private func told(_ key: InstanceKey) -> InstanceSpec? {
        var result: InstanceSpec?
        for source in witnesses {
            guard let spec = sources[source]?.content.instance(key) else { continue }
            if repeats(source) {
                if ended.contains(key) { continue }
                if spec.isDraining { result?.isDraining = true }
            }
            if result == nil { result = spec }
        }
        return result
    }

    /// Merges one service anew; `false` where that changed nothing.
    private mutating func merge(_ name: String) -> Bool {
        let states = order.compactMap { sources[$0]?.content }
        let before = entries[name]
        guard let spec = states.lazy.compactMap({ $0.services[name] }).first else {
            entries[name] = nil
            return before != nil
        }
        var instances: [String: InstanceSpec] = [:]
        for source in witnesses {
            guard var told = sources[source]?.content.instances[name] else { continue }
            if repeats(source) {
                told = told.filter { !ended.contains($0.value.key) }
                for (id, spec) in told where spec.isDraining { instances[id]?.isDraining = true }
            }
            instances.merge(told, uniquingKeysWith: { first, _ in first })
        }
        for id in drained[name] ?? [] { instances[id]?.isDraining = true }
        let merged = Entry(spec: spec, instances: instances.values.sorted { $0.id < $1.id })
        entries[name] = merged
        return before != merged
    }
}
