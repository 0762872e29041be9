import MeshCore
import NetAddress

extension ServiceReader {
    /// Reads `scale` (semantics 1.6) and the labels that only meshd has: `mesh.vip`, `mesh.aliases`, those
    /// of balancing, and the protocols of ports.
    mutating func readMeshLabels(_ labels: inout LabelSet, _ findings: inout Findings) throws(CatalogueProblem) {
        if let label = labels.take("scale") { spec.scale = try label.integer(0...1_000_000) }
        try readBalance(&labels)
        if let label = labels.takeMesh("tcp.idle_timeout_seconds") {
            spec.tcpIdleMilliseconds = UInt32((try label.seconds(0...604_800) * 1_000).rounded(.up))
        }
        if let label = labels.takeMesh("vip") { spec.vip = try Self.vip(label) }
        if let label = labels.takeMesh("aliases") { try readAliases(label) }
        for (portText, label) in labels.takeAll(prefix: "vip.", suffix: ".protocol", meshOnly: true) {
            let port = try Self.port(portText, label)
            guard tcpPorts.contains(port) else {
                throw label.problem("\(port) is no TCP container port of this service")
            }
            spec.vipProtocols[port] = try Self.portProtocol(label)
        }
        try setPublished(labels.takeAll(prefix: "publish.", suffix: ".protocol", meshOnly: true), ofTCP: true) {
            label, port throws(CatalogueProblem) in port.layer = try Self.portProtocol(label)
        }
        try setPublished(labels.takeAll(prefix: "publish.", suffix: ".mode", meshOnly: true), ofTCP: false) {
            label, port throws(CatalogueProblem) in
            guard let mode = PublishedPort.Mode(rawValue: String(label.value.trimmed())) else {
                throw label.problem("\(OneLine.quoted(label.value)) is not a mode; use ingress or host")
            }
            port.mode = mode
        }
    }

    /// Reads `mesh.proxy_protocol`. Probes speak it, too, unless told otherwise: their port is mostly one of those that
    /// clients reach. Behind the probe and what instances are spoken to in.
    mutating func readProxyProtocol(_ labels: inout LabelSet) throws(CatalogueProblem) {
        if let label = labels.takeMesh("proxy_protocol") {
            let versions: [String: ProxyVersion] = ["v1": .v1, "v2": .v2]
            guard let version = versions[String(label.value.trimmed())] else {
                throw label.problem("\(OneLine.quoted(label.value)) is not v1 or v2")
            }
            guard spec.upstreamTLS == nil, spec.instanceProtocol == .http1 else {
                throw label.problem("is not supported together with mesh.protocol https or h2c")
            }
            spec.proxyVersion = version
        }
        spec.probe?.proxyVersion = spec.proxyVersion
        guard let label = labels.takeMesh("probe.proxy_protocol") else { return }
        guard let isOn = Bool(String(label.value.trimmed())) else {
            throw label.problem("\(OneLine.quoted(label.value)) is not true or false")
        }
        if !isOn { spec.probe?.proxyVersion = nil }
    }

    private mutating func readBalance(_ labels: inout LabelSet) throws(CatalogueProblem) {
        if let label = labels.takeMesh("balance") { spec.policy = try Self.policy(label) }
        if let label = labels.takeMesh("balance.slow_start_seconds") {
            spec.slowStartSeconds = try label.seconds(0...3_600)
        }
        if let label = labels.takeMesh("balance.prefer") { spec.preference = try Self.preference(label) }
        guard let label = labels.takeMesh("balance.spill_below_percent") else { return }
        guard spec.preference != nil else { throw label.problem("has no meaning without mesh.balance.prefer") }
        spec.preference?.spillBelowPercent = try label.integer(1...100)
    }

    private static func preference(_ label: Label) throws(CatalogueProblem) -> LocalityPreference {
        guard let place = LocalityPreference.Place(rawValue: String(label.value.trimmed())) else {
            throw label.problem("\(OneLine.quoted(label.value)) is not node or zone")
        }
        return LocalityPreference(place)
    }

    private static func policy(_ label: Label) throws(CatalogueProblem) -> BalancePolicy {
        guard let policy = BalancePolicy(rawValue: String(label.value.trimmed())) else {
            let names = BalancePolicy.allCases.map(\.rawValue).joined(separator: ", ")
            throw label.problem("\(OneLine.quoted(label.value)) is not one of \(names)")
        }
        return policy
    }

    private static func vip(_ label: Label) throws(CatalogueProblem) -> IPAddress {
        guard let address = IPAddress(label.value.trimmed()), !address.isUnspecified else {
            throw label.problem("\(OneLine.quoted(label.value)) is not an IP address")
        }
        return address
    }

    private mutating func readAliases(_ label: Label) throws(CatalogueProblem) {
        for item in label.value.split(separator: ";") {
            let name = item.trimmed()
            guard !name.isEmpty else { continue }
            guard HostNameText.isValid(name), IPAddress(name) == nil else {
                throw label.problem("\(OneLine.quoted(name)) is not a lower-case DNS name")
            }
            addAlias(String(name))
        }
    }

    private static func port(_ text: String, _ label: Label) throws(CatalogueProblem) -> UInt16 {
        guard let port = PortText.port(text) else {
            throw label.problem("\(OneLine.quoted(text)) is not a port (1 to 65535)")
        }
        return port
    }

    private static func portProtocol(_ label: Label) throws(CatalogueProblem) -> PortProtocol {
        guard let value = PortProtocol(rawValue: String(label.value.trimmed())) else {
            throw label.problem("\(OneLine.quoted(label.value)) is not tcp or http")
        }
        return value
    }

    /// Sets something of published ports, of each at every address it is published on.
    private mutating func setPublished(
        _ labels: [(middle: String, label: Label)], ofTCP: Bool,
        _ set: (Label, inout PublishedPort) throws(CatalogueProblem) -> Void
    ) throws(CatalogueProblem) {
        guard !labels.isEmpty else { return }
        var places: [UInt16: [Int]] = [:]
        for (index, published) in spec.publishedPorts.enumerated() where published.transport == .tcp || !ofTCP {
            places[published.port, default: []].append(index)
        }
        for (portText, label) in labels {
            let port = try Self.port(portText, label)
            guard let indices = places[port] else {
                throw label.problem("\(port) is no published \(ofTCP ? "TCP " : "")port of this service")
            }
            for index in indices { try set(label, &spec.publishedPorts[index]) }
        }
    }
}
