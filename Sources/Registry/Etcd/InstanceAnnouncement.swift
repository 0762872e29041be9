import JSONCodec
public import MeshCore
public import NetAddress
import Reactor

/// What a node says of an instance under its key in etcd (docs/etcd.md).
public struct InstanceAnnouncement: Hashable, Sendable {
    public var key: InstanceKey
    public var address: IPAddress
    /// Where every container port leads that `portMap` does not name; `nil`: to itself.
    public var solePort: UInt16?
    public var portMap: [UInt16: UInt16]
    public var node: String?
    public var zone: String?
    public var version: String?
    /// 0...1,000.
    public var weight: Int
    /// What this node finds by probing; `nil`: every node probes by itself.
    public var verdict: AnnouncedVerdict?
    /// It is about to end: what is in flight may finish, no new picks.
    public var isDraining: Bool
    /// What the service is where no key of its own says so: labels of a Compose service, and container ports beside
    /// those that labels name.
    public var labels: [String: String]
    public var exposedPorts: [UInt16]
    public var exposedUDPPorts: [UInt16]

    public init(
        key: InstanceKey, address: IPAddress, solePort: UInt16? = nil, portMap: [UInt16: UInt16] = [:],
        node: String? = nil, zone: String? = nil, version: String? = nil, weight: Int = 1,
        verdict: AnnouncedVerdict? = nil, isDraining: Bool = false,
        labels: [String: String] = [:], exposedPorts: [UInt16] = [], exposedUDPPorts: [UInt16] = []
    ) {
        self.key = key
        self.address = address
        self.solePort = solePort
        self.portMap = portMap
        self.node = node
        self.zone = zone
        self.version = version
        self.weight = weight
        self.verdict = verdict
        self.isDraining = isDraining
        self.labels = labels
        self.exposedPorts = exposedPorts
        self.exposedUDPPorts = exposedUDPPorts
    }

    /// Whether a node, zone or version may be called so.
    public static func isName(_ text: String) -> Bool { InstanceText.isName(text) }

    /// The value of the key. Members are sorted, so that the same says the same.
    public var json: String {
        let place = solePort.map { SocketAddress(address, $0).description } ?? address.description
        var members = isDraining ? [Self.drainingMember] : []
        members.append("\"address\":\(EtcdRequest.quoted(place))")
        if !portMap.isEmpty {
            let ports = portMap.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
            members.append("\"ports\":{\(ports.joined(separator: ","))}")
        }
        for (name, text) in [("node", node), ("zone", zone), ("version", version)] {
            if let text { members.append("\"\(name)\":\(EtcdRequest.quoted(text))") }
        }
        if weight != 1 { members.append("\"weight\":\(weight)") }
        switch verdict {
        case nil: break
        case .healthy?: members.append("\"verdict\":\"healthy\"")
        case .starting?: members.append("\"verdict\":\"starting\"")
        case .unhealthy(let cause)?:
            members.append("\"verdict\":\"unhealthy\"")
            if let cause { members.append("\"cause\":\(EtcdRequest.quoted(cause))") }
        }
        if !labels.isEmpty || !exposedPorts.isEmpty || !exposedUDPPorts.isEmpty {
            members.append("\"service\":\(serviceJSON)")
        }
        return "{\(members.joined(separator: ","))}"
    }

    private static let drainingMember = "\"draining\":true"
    private static let drainingStart = Array("{\(drainingMember),".utf8)

    /// The value of a key that says the same and that its instance drains; `nil`: it says so already.
    static func draining(_ json: [UInt8]) -> [UInt8]? {
        json.starts(with: drainingStart) ? nil : drainingStart + json.dropFirst()
    }

    private var serviceJSON: String {
        var members: [String] = []
        if !labels.isEmpty {
            let pairs = labels.sorted { $0.key < $1.key }
                .map { "\(EtcdRequest.quoted($0.key)):\(EtcdRequest.quoted($0.value))" }
            members.append("\"labels\":{\(pairs.joined(separator: ","))}")
        }
        let ports = exposedPorts.sorted().map { "\($0)" } + exposedUDPPorts.sorted().map { "\"\($0)/udp\"" }
        if !ports.isEmpty { members.append("\"expose\":[\(ports.joined(separator: ","))]") }
        return "{\(members.joined(separator: ","))}"
    }

    /// Reads the announcement as every node will.
    ///
    /// - Returns: the TCP container ports of the service as its labels and ports describe it.
    /// - Throws: what no node would take.
    public func check() throws(CatalogueProblem) -> [UInt16] {
        let name = key.description
        let schema = EtcdSchema(root: "/")
        do throws(TextFault) {
            if case .unknown(let reason) = schema.place(schema.instance(key)) { throw TextFault(reason) }
            guard case .instance(key) = schema.place(schema.instance(key)) else {
                throw TextFault("an instance's ID has 1 to 128 visible ASCII characters other than '/'")
            }
            let pair = EtcdKeyValue(key: name, value: Array(json.utf8), createRevision: 0, modRevision: 0)
            guard let definition = try EtcdInstance.parse(pair, key).definition else { return [] }
            // Which routing domain the nodes have is theirs to know.
            return try EtcdService.parse(definition, name: key.service, key: name, routingDomain: "domain.invalid")
                .spec.containerPorts
        } catch {
            throw CatalogueProblem(file: name, line: 0, column: 0, key: "", message: error.message)
        }
    }
}
