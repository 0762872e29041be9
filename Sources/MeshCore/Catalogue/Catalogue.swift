/// The merged present state of all sources.
///
/// A merge is by service name: the spec of the source named first in the configuration wins, instances of all sources
/// add up, one with the same id being taken once. Stale and no-change events change nothing.
public struct Catalogue {
    /// A service with the instances of all sources, sorted by id.
    public struct Entry: Equatable, Sendable {
        public let spec: ServiceSpec
        public let instances: [InstanceSpec]
    }

    private struct SourceState {
        /// `nil` until the first event.
        var revision: UInt64?
        var services: [String: ServiceSpec] = [:]
        var instances: [String: [String: InstanceSpec]] = [:]
    }

    private let order: [String]
    private var sources: [String: SourceState] = [:]
    public private(set) var entries: [String: Entry] = [:]

    /// - Parameter sources: source names in order of precedence.
    public init(sources: [String]) { order = sources }

    /// Whether the source has told its state at least once.
    public func hasHeard(from source: String) -> Bool { sources[source] != nil }

    /// Takes in one event and returns the names of the services that are now different.
    public mutating func apply(_ event: SourceEvent) -> Set<String> {
        var state = sources[event.source] ?? SourceState()
        if let last = state.revision, event.revision <= last { return [] }
        state.revision = event.revision
        let touched = Self.apply(event.change, to: &state)
        sources[event.source] = state
        return touched.filter { merge($0) }
    }

    private static func apply(_ change: SourceEvent.Change, to state: inout SourceState) -> Set<String> {
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

    /// Merges one service anew; `false` where that changed nothing.
    private mutating func merge(_ name: String) -> Bool {
        let states = order.compactMap { sources[$0] }
        let before = entries[name]
        guard let spec = states.lazy.compactMap({ $0.services[name] }).first else {
            entries[name] = nil
            return before != nil
        }
        var instances: [String: InstanceSpec] = [:]
        for state in states { instances.merge(state.instances[name] ?? [:], uniquingKeysWith: { first, _ in first }) }
        let merged = Entry(spec: spec, instances: instances.values.sorted { $0.id < $1.id })
        entries[name] = merged
        return before != merged
    }
}
