import MeshCore

/// An engine's containers as services and instances. Pure.
///
/// A container that cannot be an instance is named and left out; all others are not concerned.
struct DockerCatalogue {
    /// Containers of the mesh on one engine; further ones are named and left out.
    static let maximumContainers = 10_000
    /// Names of containers that cannot be read that are kept; more are only counted.
    static let maximumProblems = 1_000

    private struct Entry {
        let instance: DockerInstance
        let service: EtcdService
    }

    let place: DockerPlace
    let routingDomain: String?
    private var entries: [String: Entry] = [:]
    /// IDs of containers by service and instance ID.
    private var index: [String: [String: String]] = [:]
    /// Containers that are about to end.
    private var stopping: Set<String> = []
    /// Containers that cannot be instances, by ID, and why.
    private var faults: [String: String] = [:]
    private var news: [CatalogueProblem] = []

    init(place: DockerPlace, routingDomain: String?) {
        self.place = place
        self.routingDomain = routingDomain?.lowercased()
    }

    /// Warnings and complaints that came up since the last call.
    mutating func takeNews() -> [CatalogueProblem] {
        defer { news = [] }
        return news
    }

    var problemCount: Int { faults.count }

    /// Sorted; at most `limit`.
    func problems(limit: Int) -> [String] { faults.values.sorted().prefix(limit).map { OneLine.text($0) } }

    // MARK: - Changes

    /// Takes in a container as it is now.
    mutating func put(_ container: DockerContainer) {
        do throws(TextFault) {
            guard let instance = try DockerInstance.read(container, place) else { return remove(container.id) }
            guard entries[container.id] != nil || entries.count < Self.maximumContainers else {
                throw TextFault("more than \(Self.maximumContainers) containers")
            }
            let service = try service(of: instance, title(container))
            drop(container.id)
            faults[container.id] = nil
            entries[container.id] = Entry(instance: instance, service: service)
            index[instance.spec.service, default: [:]][instance.spec.id] = container.id
            warnOfOtherProject(instance, title(container))
        } catch {
            drop(container.id)
            complain(container.id, "\(title(container)): \(error.message)")
        }
    }

    /// The container's facts cannot be read: what was known of it stays.
    mutating func unreadable(_ id: String, _ failure: DockerFailure) {
        complain(id, "container \(DockerInstance.shortID(id)): \(failure)")
    }

    /// Something beside a container is not as it should be.
    mutating func note(_ message: String) { news.append(problem(message)) }

    mutating func remove(_ id: String) {
        drop(id)
        faults[id] = nil
        stopping.remove(id)
    }

    /// The container was told to end, or goes on after all: its instance drains meanwhile.
    mutating func setStopping(_ id: String, _ isStopping: Bool) {
        if isStopping { stopping.insert(id) } else { stopping.remove(id) }
    }

    private mutating func drop(_ id: String) {
        guard let spec = entries.removeValue(forKey: id)?.instance.spec else { return }
        if index[spec.service]?[spec.id] == id { index[spec.service]?[spec.id] = nil }
        if index[spec.service]?.isEmpty == true { index[spec.service] = nil }
    }

    private func entries(of service: String) -> some Sequence<Entry> {
        (index[service] ?? [:]).values.lazy.compactMap { entries[$0] }
    }

    /// Forgets all containers but these.
    mutating func retain(_ ids: Set<String>) {
        for id in entries.keys where !ids.contains(id) { drop(id) }
        faults = faults.filter { ids.contains($0.key) }
        stopping.formIntersection(ids)
    }

    private func title(_ container: DockerContainer) -> String {
        "container \(container.name.prefix(128)) (\(DockerInstance.shortID(container.id)))"
    }

    /// Containers of one service mostly say the same of it, which is then read once.
    private mutating func service(of instance: DockerInstance, _ title: String) throws(TextFault) -> EtcdService {
        let alike = entries(of: instance.spec.service).first {
            $0.instance.labels == instance.labels && $0.instance.tcpPorts == instance.tcpPorts
                && $0.instance.udpPorts == instance.udpPorts
        }
        if let alike { return alike.service }
        let service = try EtcdService.parse(
            instance.definition, name: instance.spec.service, key: title, routingDomain: routingDomain)
        news += service.warnings
        return service
    }

    private mutating func warnOfOtherProject(_ instance: DockerInstance, _ title: String) {
        guard let project = instance.project else { return }
        let other = entries(of: instance.spec.service).first { $0.instance.project.map { $0 != project } ?? false }
        guard let other = other?.instance.project else { return }
        let names = [project, other].sorted().map { OneLine.quoted($0) }.joined(separator: " and ")
        news.append(
            problem(
                "\(title): the Compose projects \(names) both have a service '\(instance.spec.service)', whose"
                    + " containers are taken for instances of one; mesh.service tells them apart"))
    }

    private func problem(_ message: String) -> CatalogueProblem {
        CatalogueProblem(file: place.url.description, line: 0, column: 0, key: "", message: message)
    }

    private mutating func complain(_ id: String, _ message: String) {
        guard faults[id] != message, faults[id] != nil || faults.count < Self.maximumProblems else { return }
        faults[id] = message
        news.append(problem(message))
    }

    // MARK: - Content

    /// Sorted by name. Of several containers' words on one service those of the one created last count.
    var services: [ServiceSpec] {
        var newest: [String: Entry] = [:]
        for entry in entries.values {
            let name = entry.instance.spec.service
            guard let known = newest[name]?.instance else {
                newest[name] = entry
                continue
            }
            let isNewer = (known.created, known.spec.id) < (entry.instance.created, entry.instance.spec.id)
            if isNewer { newest[name] = entry }
        }
        return newest.sorted { $0.key < $1.key }.map { $0.value.service.spec }
    }

    /// Sorted by service and ID.
    var instances: [InstanceSpec] {
        let specs = entries.map { id, entry in
            var spec = entry.instance.spec
            spec.isDraining = stopping.contains(id)
            return spec
        }
        return specs.sorted { $0.key < $1.key }
    }

    /// The container of an instance, by its full ID.
    func containerID(_ key: InstanceKey) -> String? {
        index[key.service]?[key.id]
    }

    /// When an instance's container began to run, in seconds since 1970.
    func startedAtSeconds(_ key: InstanceKey) -> Int64? {
        containerID(key).flatMap { entries[$0]?.instance.startedAtSeconds }
    }

    /// What a node says of its instances, without what it finds by probing.
    var announcements: [InstanceKey: InstanceAnnouncement] {
        var result: [InstanceKey: InstanceAnnouncement] = [:]
        for (id, entry) in entries {
            let spec = entry.instance.spec
            result[spec.key] = InstanceAnnouncement(
                key: spec.key, address: spec.address, portMap: spec.portMap, node: spec.node, zone: spec.zone,
                version: spec.version, weight: spec.weight, isDraining: stopping.contains(id),
                labels: entry.instance.labels,
                exposedPorts: entry.instance.tcpPorts, exposedUDPPorts: entry.instance.udpPorts)
        }
        return result
    }
}
