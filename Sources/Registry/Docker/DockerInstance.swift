import JSONCodec
import MeshCore
import NetAddress

/// What is the same for all containers of an engine.
struct DockerPlace: Equatable {
    let url: DockerURL
    /// Of the instances.
    let node: String?
    let zone: String?
}

/// What a running container is to the mesh.
struct DockerInstance: Equatable {
    let spec: InstanceSpec
    /// In order as text.
    let created: String
    /// In seconds since 1970.
    let startedAtSeconds: Int64?
    /// The Compose project that the service's name comes from; `nil` where it comes from elsewhere.
    let project: String?
    /// What its labels say of its service, and the container ports of its image.
    let labels: [String: String]
    let tcpPorts: [UInt16]
    let udpPorts: [UInt16]

    /// Labels that concern the container and not its service.
    private static let ownLabels: Set<String> = [
        "mesh.enable", "mesh.service", "mesh.network", "mesh.reach", "mesh.instance.weight", "mesh.instance.version",
    ]

    /// Instances are called by the first twelve digits of their container's ID, as `docker ps` shows it.
    static func shortID(_ id: String) -> String { String(id.prefix(12)) }

    /// - Returns: `nil` where the container is not the mesh's, or does not run.
    /// - Throws: why it cannot be an instance.
    static func read(_ container: DockerContainer, _ place: DockerPlace) throws(TextFault) -> DockerInstance? {
        let labels = container.labels
        guard container.isRunning, DockerLabels.concernMesh(labels.keys) else { return nil }
        switch labels["mesh.enable"] {
        case nil, "true": break
        case "false": return nil
        case let other?: throw TextFault("mesh.enable: \(OneLine.quoted(other)) is not true or false")
        }
        let (service, project) = serviceName(container)
        guard ServiceReader.isValidName(service) else {
            throw TextFault("\(OneLine.quoted(service)) is no service name: 1 to 128 letters, digits, '.', '_', '-'")
        }
        let (address, portMap) = try reached(container, place)
        var spec = InstanceSpec(
            id: shortID(container.id), service: service, address: address, portMap: portMap, node: place.node,
            zone: place.zone)
        if let text = labels["mesh.instance.weight"] {
            guard let weight = NumberText.integer(text), weight <= 1_000 else {
                throw TextFault("mesh.instance.weight: \(OneLine.quoted(text)) is not a whole number from 0 to 1000")
            }
            spec.weight = weight
        }
        if let version = labels["mesh.instance.version"] {
            guard InstanceText.isName(version) else {
                throw TextFault("mesh.instance.version: must be 1 to 128 visible ASCII characters")
            }
            spec.version = version
        }
        spec.verdict = verdict(container)
        return DockerInstance(
            spec: spec, created: container.created, startedAtSeconds: container.startedAtSeconds, project: project,
            labels: labels.filter {
                ($0.key.hasPrefix("mesh.") || $0.key.hasPrefix("aliyun.")) && !ownLabels.contains($0.key)
            },
            tcpPorts: Set(container.tcpPorts).sorted(), udpPorts: Set(container.udpPorts).sorted())
    }

    private static func serviceName(_ container: DockerContainer) -> (name: String, project: String?) {
        if let name = container.labels["mesh.service"] { return (name, nil) }
        if let name = container.labels["com.docker.swarm.service.name"] { return (name, nil) }
        if let name = container.labels["com.docker.compose.service"] {
            return (name, container.labels["com.docker.compose.project"])
        }
        return (container.name, nil)
    }

    /// What the engine knows of the container's health. Where its own check passes, the service's probe has the word.
    private static func verdict(_ container: DockerContainer) -> AnnouncedVerdict? {
        if container.isPaused { return .unhealthy(cause: "paused") }
        switch container.health {
        case .none, .healthy: return nil
        case .starting: return .starting
        case .unhealthy: return .unhealthy(cause: "the container's health check fails")
        }
    }

    /// The service's definition, as it would stand in a Compose file.
    var definition: JSONValue {
        let ports =
            tcpPorts.map { JSONValue.string("\($0)") } + udpPorts.map { JSONValue.string("\($0)/udp") }
        let pairs = labels.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }
        return .object([JSONMember("labels", .object(pairs)), JSONMember("expose", .array(ports))])
    }
}

// MARK: - Where it is reached

extension DockerInstance {
    private static func reached(
        _ container: DockerContainer, _ place: DockerPlace
    ) throws(TextFault) -> (IPAddress, portMap: [UInt16: UInt16]) {
        var reach = place.url.reach
        if let text = container.labels["mesh.reach"] {
            guard let said = DockerURL.Reach(rawValue: text) else {
                throw TextFault("mesh.reach: \(OneLine.quoted(text)) is not container or host")
            }
            reach = said
        }
        // On the machine's own network there is nothing else.
        if container.networkMode == "host" { return (place.url.address, [:]) }
        switch reach {
        case .container: return (try ownAddress(container, place), [:])
        case .host: return (place.url.address, try published(container, place))
        }
    }

    /// The address on the network that is named, on the one the container was started on, on the first by name.
    private static func ownAddress(
        _ container: DockerContainer, _ place: DockerPlace
    ) throws(TextFault) -> IPAddress {
        let label = container.labels["mesh.network"]
        if let label, !container.networks.contains(where: { $0.name == label }) {
            throw TextFault("it is not on the network \(OneLine.quoted(label)) that mesh.network names")
        }
        let mode = container.networkMode == "default" ? "bridge" : container.networkMode
        let candidates = label.map { [$0] } ?? [place.url.network, mode].compactMap(\.self)
        // The network of swarm's own mesh leads to no container.
        let usable = container.networks.filter { !$0.addresses.isEmpty && $0.name != "ingress" }
        for name in candidates {
            if let address = usable.first(where: { $0.name == name })?.addresses.first { return address }
        }
        if label == nil, let address = usable.first?.addresses.first { return address }
        throw TextFault("it has no address on \(label.map { "the network \(OneLine.quoted($0))" } ?? "any network")")
    }

    /// Container ports to the machine's, at the address that the machine has for others.
    private static func published(
        _ container: DockerContainer, _ place: DockerPlace
    ) throws(TextFault) -> [UInt16: UInt16] {
        var map: [UInt16: UInt16] = [:]
        let wanted = place.url.address
        for binding in container.bindings {
            guard binding.hostAddress.map({ $0 == wanted }) ?? true else { continue }
            if map[binding.containerPort] == nil { map[binding.containerPort] = binding.hostPort }
        }
        guard !map.isEmpty else { throw TextFault("it publishes no port at \(wanted)") }
        return map
    }
}
