import JSONCodec
import MeshCore
import NetAddress

/// What the nodes have agreed on for services, and how it is given up. Pure.
enum EtcdRelease {
    /// Port numbers of one transaction; each counts four in etcd's limit of 128 operations.
    static let batchLimit = 25

    /// What is kept for one service.
    struct Kept: Equatable {
        struct Key: Equatable {
            let name: String
            let value: String
            let modRevision: Int64
        }

        var vip: Key?
        /// By name.
        var ports: [Key] = []
        /// Whether the service is described by a key of its own.
        var isDefined = false
        var instances = 0

        var isEmpty: Bool { vip == nil && ports.isEmpty }
        /// Why it must stay; `nil`: it may be given up.
        var obstacle: String? {
            if isDefined { return "the registry has a definition of it" }
            return instances == 0 ? nil : "the registry has instances of it: \(instances)"
        }
    }

    // MARK: - Looking

    static func look(_ service: String, _ schema: EtcdSchema) -> String {
        let one = { (key: String, flags: String) in "{\"request_range\":{\"key\":\(EtcdRequest.key(key))\(flags)}}" }
        let all = { (prefix: String, keysOnly: Bool) in
            "{\"request_range\":\(EtcdRequest.all(prefix, keysOnly: keysOnly))}"
        }
        let ranges = [
            one(schema.service(service), ",\"keys_only\":true"), all(schema.instances(of: service), true),
            one(schema.vip(of: service), ""), all(schema.ports(of: service), false),
        ]
        return "{\"success\":[\(ranges.joined(separator: ","))]}"
    }

    static func found(_ value: JSONValue) throws(EtcdFailure) -> Kept {
        let answers = try EtcdAnswer.ranges(value, count: 4)
        var kept = Kept(isDefined: !answers[0].isEmpty, instances: answers[1].count)
        kept.vip = answers[2].first.map(key)
        kept.ports = answers[3].map(key).sorted { $0.name < $1.name }
        return kept
    }

    private static func key(_ pair: EtcdKeyValue) -> Kept.Key {
        Kept.Key(
            name: pair.key, value: String(decoding: pair.value, as: UTF8.self), modRevision: pair.modRevision)
    }

    // MARK: - Releasing

    /// Deletes the VIP and the first numbers, where there is still neither a definition nor an instance and nobody has
    /// changed them since.
    static func release(_ service: String, _ kept: Kept, _ schema: EtcdSchema) -> String {
        var compare = [
            missing(schema.service(service)), missing(schema.instances(of: service), isPrefix: true),
        ]
        var steps: [String] = []
        for key in [kept.vip].compactMap(\.self) + kept.ports.prefix(batchLimit) {
            compare.append(
                "{\"target\":\"MOD\",\"key\":\(EtcdRequest.key(key.name)),\"mod_revision\":\"\(key.modRevision)\"}")
            steps.append(delete(key.name))
            guard let (other, owner) = counterpart(key, schema) else { continue }
            // Somebody else's, where keys were written by hand.
            let value = Base64.encode(owner)
            let isOwn = "{\"target\":\"VALUE\",\"key\":\(EtcdRequest.key(other)),\"value\":\"\(value)\"}"
            steps.append("{\"request_txn\":{\"compare\":[\(isOwn)],\"success\":[\(delete(other))]}}")
        }
        return "{\"compare\":[\(compare.joined(separator: ","))],\"success\":[\(steps.joined(separator: ","))]}"
    }

    /// No key, or none below a prefix: a comparison of nothing is one with revision 0.
    private static func missing(_ name: String, isPrefix: Bool = false) -> String {
        let end = isPrefix ? ",\"range_end\":\"\(Base64.encode(EtcdRequest.end(name)))\"" : ""
        return "{\"target\":\"CREATE\",\"key\":\(EtcdRequest.key(name))\(end),\"create_revision\":\"0\"}"
    }

    private static func delete(_ name: String) -> String {
        "{\"request_delete_range\":{\"key\":\(EtcdRequest.key(name))}}"
    }

    /// The key that says whose the address or number is, and what it must say.
    private static func counterpart(_ key: Kept.Key, _ schema: EtcdSchema) -> (key: String, owner: String)? {
        switch schema.place(key.name) {
        case .vipOfService(let service): IPAddress(key.value).map { (schema.vip($0), service) }
        case .portOfService(let port): schema.number(port, key.value).map { (schema.port($0), port) }
        default: nil
        }
    }

    // MARK: - Listing

    static func lookAtAll(_ schema: EtcdSchema) -> String {
        let ranges = [("services/", true), ("instances/", true), ("vips/services/", false), ("ports/services/", false)]
        let texts = ranges.map { "{\"request_range\":\(EtcdRequest.all(schema.root + $0.0, keysOnly: $0.1))}" }
        return "{\"success\":[\(texts.joined(separator: ","))]}"
    }

    /// What is kept for services of which nothing else is there, by name.
    static func unused(_ value: JSONValue, _ schema: EtcdSchema) throws(EtcdFailure) -> [String: Kept] {
        let answers = try EtcdAnswer.ranges(value, count: 4)
        var present: Set<String> = []
        var unused: [String: Kept] = [:]
        for pair in answers.joined() {
            switch schema.place(pair.key) {
            case .service(let name): present.insert(name)
            case .instance(let key): present.insert(key.service)
            case .vipOfService(let name):
                if !present.contains(name) { unused[name, default: Kept()].vip = key(pair) }
            case .portOfService(let port):
                let name = String(port.prefix { $0 != "/" })
                if !present.contains(name) { unused[name, default: Kept()].ports.append(key(pair)) }
            default: break
            }
        }
        return unused
    }

    /// What an operator reads: addresses, and numbers with what they are for.
    static func texts(_ kept: Kept, _ schema: EtcdSchema) -> [String] {
        let ports = kept.ports.map { key in
            let place = key.name.dropFirst(schema.root.count).split(separator: "/").dropFirst(3)
            return "\(key.value)->\(place.joined(separator: "/"))"
        }
        return ([kept.vip?.value].compactMap(\.self) + ports).map { OneLine.text($0) }
    }
}

extension EtcdAnswer {
    /// What a transaction of range reads found, one list for each.
    static func ranges(_ value: JSONValue, count: Int) throws(EtcdFailure) -> [[EtcdKeyValue]] {
        let responses = value["responses"]?.items ?? []
        guard responses.count == count else { throw .malformed("not \(count) answers") }
        var lists: [[EtcdKeyValue]] = []
        for response in responses {
            guard let range = response["response_range"] else { throw .malformed("no range") }
            var pairs: [EtcdKeyValue] = []
            for item in range["kvs"]?.items ?? [] { pairs.append(try pair(item)) }
            lists.append(pairs)
        }
        return lists
    }
}
