import MeshCore

/// What a source last told, for telling no more than what is different. Pure.
struct DockerForce {
    private var services: [String: ServiceSpec]
    private var instances: [InstanceKey: InstanceSpec]

    init(services: [ServiceSpec] = [], instances: [InstanceSpec] = []) {
        self.services = Dictionary(services.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        self.instances = Dictionary(instances.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func has(_ key: InstanceKey) -> Bool { instances[key] != nil }

    var sortedServices: [ServiceSpec] { services.values.sorted { $0.name < $1.name } }
    var sortedInstances: [InstanceSpec] { instances.values.sorted { $0.key < $1.key } }

    /// The steps from what was told to `content`: services first where they come, last where they go.
    mutating func take(_ content: (services: [ServiceSpec], instances: [InstanceSpec])) -> [SourceEvent.Change] {
        let next = DockerForce(services: content.services, instances: content.instances)
        defer { self = next }
        var changes: [SourceEvent.Change] = []
        for spec in next.sortedServices where services[spec.name] != spec { changes.append(.upsertService(spec)) }
        for spec in next.sortedInstances where instances[spec.key] != spec { changes.append(.upsertInstance(spec)) }
        for key in instances.keys.sorted() where next.instances[key] == nil { changes.append(.removeInstance(key)) }
        for name in services.keys.sorted() where next.services[name] == nil {
            changes.append(.removeService(name: name))
        }
        return changes
    }
}
