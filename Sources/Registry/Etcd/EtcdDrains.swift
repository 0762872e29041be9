import JSONCodec
import MeshCore

/// Requests and answers of the drain barrier. Pure.
enum EtcdDrains {
    /// Orders of one transaction; etcd's own limit is 128 operations.
    static let batchLimit = 100

    static func order(_ keys: some Collection<InstanceKey>, by node: String, lease: Int64, _ schema: EtcdSchema)
        -> String
    {
        let value = Array("{\"by\":\(EtcdRequest.quoted(node))}".utf8)
        return EtcdRequest.write(puts: keys.map { (schema.drain($0), value) }, lease: lease, deletes: [])
    }

    static func cancel(_ keys: some Collection<InstanceKey>, _ schema: EtcdSchema) -> String {
        EtcdRequest.delete(keys.map { schema.drain($0) })
    }

    /// One reading of a service's orders, its instances and all nodes that run.
    static func progress(of service: String, _ schema: EtcdSchema) -> String {
        let ranges = [
            EtcdRequest.all(schema.drains(of: service)), EtcdRequest.all(schema.instances(of: service), keysOnly: true),
            EtcdRequest.all(schema.alive("")),
        ]
        return "{\"success\":[\(ranges.map { "{\"request_range\":\($0)}" }.joined(separator: ","))]}"
    }

    /// - Parameter wanted: whose orders count.
    static func progress(
        _ value: JSONValue, _ schema: EtcdSchema, wanted: (InstanceKey) -> Bool
    ) throws(EtcdFailure) -> DrainProgress {
        let answers = try EtcdAnswer.ranges(value, count: 3)
        var orders: [InstanceKey: Int64] = [:]
        for pair in answers[0] {
            if case .drain(let key) = schema.place(pair.key), wanted(key) { orders[key] = pair.modRevision }
        }
        for pair in answers[1] {
            guard case .instance(let key) = schema.place(pair.key), let order = orders[key] else { continue }
            // Announced behind the order, which does not concern it.
            if pair.createRevision >= order { orders[key] = nil }
        }
        let root = schema.alive("")
        let nodes = answers[2].map { pair in
            let presence = NodePresence(pair.value, run: String(pair.key.dropFirst(root.count)))
            return DrainProgress.Node(name: presence.node, standings: presence.drains)
        }
        return DrainProgress(orders: orders, nodes: nodes)
    }
}
