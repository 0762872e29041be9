import JSONCodec
public import MeshCore

/// What a node that runs says of itself under its lease (docs/etcd.md): its name, and how it stands to drain orders.
public struct NodePresence: Equatable, Sendable {
    public var node: String
    public var drains: [InstanceKey: DrainBarrier.Standing]

    public init(node: String, drains: [InstanceKey: DrainBarrier.Standing] = [:]) {
        self.node = node
        self.drains = drains
    }

    /// The value of the node's key. Members are sorted, so that the same says the same.
    var json: String {
        let members = drains.sorted { $0.key < $1.key }.map { key, standing in
            let left = standing.left.map { counts in
                let kinds = counts.present.map { "\"\($0.kind.rawValue)\":\($0.count)" }.joined(separator: ",")
                return ",\"left\":{\(kinds)}"
            }
            return "\(EtcdRequest.quoted(key.description)):{\"order\":\"\(standing.order)\"\(left ?? "")}"
        }
        let drained = members.isEmpty ? "" : ",\"drains\":{\(members.joined(separator: ","))}"
        return "{\"node\":\(EtcdRequest.quoted(node))\(drained)}"
    }

    /// Reads such a value; what is not as it should be counts as not said.
    ///
    /// - Parameter run: names the node where its value does not.
    init(_ value: [UInt8], run: String) {
        let limits = JSONLimits(bytes: 16 << 20, nodes: 1_000_000, depth: 8)
        let json = try? JSONValue.parse(value, limits: limits)
        node = OneLine.text(String((json?["node"]?.text ?? run).prefix(128)))
        drains = [:]
        for member in json?["drains"]?.members ?? [] {
            let parts = member.name.split(separator: "/", maxSplits: 1).map(String.init)
            guard parts.count == 2, let order = member.value["order"]?.integer else { continue }
            var standing = DrainBarrier.Standing(order: order)
            if let kinds = member.value["left"]?.members { standing = .init(order: order, left: Self.counts(kinds)) }
            drains[InstanceKey(service: parts[0], id: parts[1])] = standing
        }
    }

    /// A kind that is not known belongs to a later version; it is in flight all the same.
    private static func counts(_ members: [JSONMember]) -> FlightCounts {
        var counts = FlightCounts()
        for member in members {
            let count = Int(min(max(member.value.integer ?? 1, 0), 1 << 40))
            counts[FlightKind(rawValue: member.name) ?? .exchanges] += count
        }
        return counts
    }
}
