import JSONCodec
import MeshCore
import NetAddress
import YAML

/// What an instance's key holds.
struct EtcdInstance: Equatable {
    var spec: InstanceSpec
    let createRevision: Int64
    /// Whether the key ends with somebody's lease.
    let isLeased: Bool
    /// The member `service`: what the service is where no key of its own says so.
    var definition: JSONValue?

    /// Reads the JSON of an instance. Unknown members belong to later versions and are passed over.
    ///
    /// - Throws: what is wrong, for the operator who wrote it.
    static func parse(_ pair: EtcdKeyValue, _ key: InstanceKey) throws(TextFault) -> EtcdInstance {
        let value: JSONValue
        do throws(JSONProblem) {
            value = try JSONValue.parse(pair.value, limits: JSONLimits(bytes: 1 << 20, nodes: 10_000, depth: 16))
        } catch {
            throw TextFault("no JSON: \(error)")
        }
        guard value.members != nil else { throw TextFault("must be a JSON object") }
        guard let text = value["address"]?.text else { throw TextFault("'address' is missing or no string") }
        let (address, solePort) = try place(text)
        var spec = InstanceSpec(id: key.id, service: key.service, address: address, solePort: solePort)
        if let ports = value["ports"] { spec.portMap = try self.ports(ports) }
        spec.node = try name(value, "node")
        spec.zone = try name(value, "zone")
        spec.version = try name(value, "version")
        if let weight = value["weight"] {
            guard let number = weight.integer, (0...1_000).contains(number) else {
                throw TextFault("'weight' is not a whole number from 0 to 1000")
            }
            spec.weight = Int(number)
        }
        if let verdict = value["verdict"] { spec.verdict = try self.verdict(verdict, value["cause"]) }
        if let draining = value["draining"] {
            guard let isDraining = draining.bool else { throw TextFault("'draining' is not true or false") }
            spec.isDraining = isDraining
        }
        return EtcdInstance(
            spec: spec, createRevision: pair.createRevision, isLeased: pair.lease != 0, definition: value["service"])
    }

    private static func place(_ text: String) throws(TextFault) -> (IPAddress, solePort: UInt16?) {
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? text.dropFirst().dropLast() : text[...]
        if let address = IPAddress(bare), !address.isUnspecified { return (address, nil) }
        guard let socket = SocketAddress(text), socket.port != 0, !socket.ip.isUnspecified else {
            throw TextFault("'address': \(OneLine.quoted(text)) is not ADDRESS or ADDRESS:PORT with an IP address")
        }
        return (socket.ip, socket.port)
    }

    private static func verdict(_ value: JSONValue, _ cause: JSONValue?) throws(TextFault) -> AnnouncedVerdict {
        switch value.text {
        case "healthy": return .healthy
        case "starting": return .starting
        case "unhealthy": return .unhealthy(cause: cause?.text.map { OneLine.text(String($0.prefix(200))) })
        default: throw TextFault("'verdict' is not \"healthy\", \"unhealthy\" or \"starting\"")
        }
    }

    private static func ports(_ value: JSONValue) throws(TextFault) -> [UInt16: UInt16] {
        guard let members = value.members else { throw TextFault("'ports' is not an object of container port to port") }
        var map: [UInt16: UInt16] = [:]
        for member in members {
            guard let container = PortText.port(member.name), let number = member.value.integer,
                let port = UInt16(exactly: number), port != 0
            else { throw TextFault("'ports': \(OneLine.quoted(member.name)) does not lead from a port to a port") }
            map[container] = port
        }
        return map
    }

    private static func name(_ value: JSONValue, _ member: String) throws(TextFault) -> String? {
        guard let item = value[member] else { return nil }
        guard let text = item.text, InstanceText.isName(text) else {
            throw TextFault("'\(member)' is not a string of 1 to 128 visible ASCII characters")
        }
        return text
    }
}

/// What a service's key holds, or the member `service` of its instances.
struct EtcdService: Equatable {
    let spec: ServiceSpec
    /// Those of `external` and `x-mesh-instances`.
    let instances: [InstanceSpec]
    var warnings: [CatalogueProblem] = []

    /// Reads a service as it would stand in a Compose file, in JSON or YAML, by the reader of Compose files.
    static func parse(
        _ value: [UInt8], name: String, key: String, routingDomain: String?
    ) throws(TextFault) -> EtcdService {
        let node: YAMLNode
        do throws(YAMLProblem) {
            node = try YAMLNode.parse(value, limits: YAMLLimits(bytes: 2 << 20, nodes: 100_000, depth: 32))
        } catch {
            throw TextFault(error.description)
        }
        return try parse(node, name: name, key: key, routingDomain: routingDomain)
    }

    static func parse(
        _ value: JSONValue, name: String, key: String, routingDomain: String?
    ) throws(TextFault) -> EtcdService {
        try parse(value.node, name: name, key: key, routingDomain: routingDomain)
    }

    private static func parse(
        _ node: YAMLNode, name: String, key: String, routingDomain: String?
    ) throws(TextFault) -> EtcdService {
        var reader = ServiceReader(name: name, routingDomain: routingDomain)
        var findings = Findings()
        do throws(CatalogueProblem) {
            try reader.read(Cursor(file: key, path: "", node: node), &findings)
        } catch {
            throw TextFault(error.key.isEmpty ? error.message : "\(error.key): \(error.message)")
        }
        return EtcdService(spec: reader.spec, instances: reader.instances, warnings: findings.warnings)
    }
}

extension JSONValue {
    /// The same as YAML, of which JSON is a part.
    fileprivate var node: YAMLNode {
        func scalar(_ text: String, _ isPlain: Bool) -> YAMLNode {
            YAMLNode(.scalar(text: text, isPlain: isPlain), line: 1, column: 1)
        }
        return switch self {
        case .null: scalar("null", true)
        case .bool(let value): scalar("\(value)", true)
        case .number(let text): scalar(text, true)
        case .string(let text): scalar(text, false)
        case .array(let items): YAMLNode(.sequence(items.map(\.node)), line: 1, column: 1)
        case .object(let members):
            YAMLNode(
                .mapping(members.map { YAMLPair(key: $0.name, line: 1, column: 1, value: $0.value.node) }), line: 1,
                column: 1)
        }
    }
}
