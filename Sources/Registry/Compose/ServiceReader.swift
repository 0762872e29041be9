import MeshCore
import NetAddress

/// Reads one service of a Compose file. Keys that do not concern the mesh are passed over.
struct ServiceReader {
    var spec: ServiceSpec
    var instances: [InstanceSpec] = []
    var instanceIDs: Set<String> = []
    var aliasNames: Set<String>
    let routingDomain: String?
    /// A label says whether sessions are sticky.
    var isStickySaid = false
    /// Container ports reached over TCP.
    var tcpPorts: Set<UInt16> = []
    /// Container ports reached over UDP; they count when asking for a service's one port.
    var udpPorts: Set<UInt16> = []

    init(name: String, routingDomain: String?) {
        spec = ServiceSpec(name: name)
        // Its own name is no alias.
        aliasNames = [name]
        self.routingDomain = routingDomain
    }

    static func isValidName(_ name: String) -> Bool {
        guard (1...128).contains(name.utf8.count) else { return false }
        return name.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), 0x30...0x39: true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
    }

    mutating func read(_ service: Cursor, _ findings: inout Findings) throws(CatalogueProblem) {
        // Ports before instances: `ADDRESS:PORT` needs to know them all. Labels after `ports`, which they refer to.
        _ = try service.entries()
        if let ports = service["ports"] { try readPorts(ports, &findings) }
        if let exposed = service["expose"] { try readExposed(exposed, &findings) }
        var labels = try LabelSet(service, &findings)
        try readPublished(&labels, &findings)
        try readRoutes(&labels, &findings)
        try readProbe(&labels, &findings)
        try readProxyLabels(&labels, &findings)
        try readMeshLabels(&labels, &findings)
        try readTLS(&labels, &findings)
        try readUpstreamTLS(&labels, &findings)
        try readProxyProtocol(&labels)
        labels.warnOfUnserved(service: spec.name, &findings)
        if let external = service["external"] { try readExternal(external) }
        if let list = service["x-mesh-instances"] { try readInstances(list) }
        if case .command? = spec.probe?.kind, !instances.isEmpty {
            findings.warn(
                service.problem("the instances listed here are in no container: probe.cmd is not asked of them"))
        }
        spec.containerPorts = tcpPorts.sorted()
        spec.udpPorts = udpPorts.sorted()
    }
}
