import JSONCodec
import NetAddress
import Reactor

/// One key as etcd holds it (`mvccpb.KeyValue`).
struct EtcdKeyValue: Equatable {
    /// Octets that are no UTF-8 are replaced: no key of the mesh has such.
    let key: String
    let value: [UInt8]
    let createRevision: Int64
    let modRevision: Int64
    /// 0: none.
    var lease: Int64 = 0
}

/// A part of a range read.
struct EtcdPage: Equatable {
    let cluster: String
    let revision: Int64
    let pairs: [EtcdKeyValue]
    let lastKey: [UInt8]
    let hasMore: Bool
}

enum EtcdChange: Equatable {
    case put(EtcdKeyValue)
    case delete(key: String, modRevision: Int64)

    var modRevision: Int64 {
        switch self {
        case .put(let pair): pair.modRevision
        case .delete(_, let revision): revision
        }
    }
}

/// One line of a watch's answer (`etcdserverpb.WatchResponse`).
struct EtcdWatchAnswer: Equatable {
    var cluster = ""
    var revision: Int64 = 0
    var isCreated = false
    /// Further lines of the same revisions follow.
    var isFragment = false
    var isCancelled = false
    /// Above 0: the revisions asked for are compacted away up to this one.
    var compactRevision: Int64 = 0
    var reason = ""
    var changes: [EtcdChange] = []
}

/// Why etcd gave no answer that is of use.
enum EtcdFailure: Error, Equatable, CustomStringConvertible {
    /// No answer at all.
    case unreachable(String)
    /// etcd says no; `code` is gRPC's.
    case refused(code: Int, message: String)
    case tooLarge
    case malformed(String)

    var description: String {
        switch self {
        case .unreachable(let reason): reason
        case .refused(let code, let message):
            OneLine.text(message.isEmpty ? "code \(code)" : String(message.prefix(200)))
        case .tooLarge: "an answer is too large"
        case .malformed(let reason): "an answer cannot be read: \(reason)"
        }
    }

    private func mentions(_ text: String) -> Bool {
        if case .refused(_, let message) = self { message.contains(text) } else { false }
    }

    var isCompacted: Bool { mentions("has been compacted") }
    var isLeaseGone: Bool { mentions("lease not found") }

    /// The token is unknown (any more), from before a change of users and roles, or there is none.
    var isUnauthenticated: Bool {
        if case .refused(code: 16, _) = self { return true }
        return mentions("invalid auth token") || mentions("user name is empty") || mentions("revision of auth store")
    }
}

// MARK: - Requests

/// Bodies of requests to etcd's JSON gateway (`/v3/`, etcd 3.4 and later).
enum EtcdRequest {
    static func quoted(_ text: String) -> String {
        var line = ""
        JSONText.append(text, to: &line)
        return line
    }

    static func key(_ text: String) -> String { "\"\(Base64.encode(text))\"" }

    /// The first key behind all that begin with `prefix`, which ends with `/`.
    static func end(_ prefix: String) -> [UInt8] {
        var end = Array(prefix.utf8)
        if let last = end.popLast() { end.append(last + 1) }
        return end
    }

    static func range(from: [UInt8], prefix: String, revision: Int64, limit: Int) -> String {
        "{\"key\":\"\(Base64.encode(from))\",\"range_end\":\"\(Base64.encode(end(prefix)))\",\"limit\":\"\(limit)\","
            + "\"revision\":\"\(revision)\"}"
    }

    /// A read of one key that is not there: it passes the quorum and costs nothing else.
    static func check(prefix: String) -> String { "{\"key\":\(key(prefix)),\"count_only\":true}" }

    static func watch(first: [UInt8], prefix: String, from revision: Int64) -> String {
        "{\"create_request\":{\"key\":\"\(Base64.encode(first))\",\"range_end\":\"\(Base64.encode(end(prefix)))\","
            + "\"start_revision\":\"\(revision)\",\"progress_notify\":true,\"fragment\":true}}"
    }

    static func authenticate(_ user: String, _ password: String) -> String {
        "{\"name\":\(quoted(user)),\"password\":\(quoted(password))}"
    }

    static func grant(ttlSeconds: Int) -> String { "{\"TTL\":\"\(ttlSeconds)\"}" }

    static func lease(_ id: Int64) -> String { "{\"ID\":\"\(id)\"}" }

    /// Puts under a lease and deletes, all or nothing.
    static func write(puts: [(key: String, value: [UInt8])], lease: Int64, deletes: [String]) -> String {
        let operations =
            puts.map { put($0.key, $0.value, lease: lease) }
            + deletes.map { "{\"request_delete_range\":{\"key\":\(key($0))}}" }
        return "{\"success\":[\(operations.joined(separator: ","))]}"
    }

    /// Deletes, all or nothing.
    static func delete(_ keys: [String]) -> String { write(puts: [], lease: 0, deletes: keys) }

    /// Whether keys are of these revisions; where one is not, a look at all of them.
    static func check(_ revisions: [String: Int64]) -> String {
        let sorted = revisions.sorted { $0.key < $1.key }
        let compare = sorted.map { "{\"target\":\"MOD\",\"key\":\(key($0.key)),\"mod_revision\":\"\($0.value)\"}" }
        let look = sorted.map { "{\"request_range\":{\"key\":\(key($0.key))}}" }
        return "{\"compare\":[\(compare.joined(separator: ","))],\"failure\":[\(look.joined(separator: ","))]}"
    }

    /// What a transaction reads of all keys below `prefix`, which ends with `/`.
    static func all(_ prefix: String, keysOnly: Bool = false) -> String {
        "{\"key\":\(key(prefix)),\"range_end\":\"\(Base64.encode(end(prefix)))\",\"keys_only\":\(keysOnly)}"
    }

    static func put(_ name: String, _ value: [UInt8], lease: Int64) -> String {
        "{\"request_put\":{\"key\":\(key(name)),\"value\":\"\(Base64.encode(value))\",\"lease\":\"\(lease)\"}}"
    }

    /// For each claim: both keys where neither is there, or where the claimant still has the value it gives up;
    /// otherwise a look at both.
    static func claim<Value>(_ claims: [ClaimMachine<Value>.Claim], _ place: ClaimPlace<Value>) -> String {
        let transactions = claims.map { claim in
            let ofService = key(place.keyOfService(claim.service))
            let ofAddress = key(place.keyOfValue(claim.address))
            let address = Base64.encode(place.text(claim.address))
            var compare = ["{\"target\":\"CREATE\",\"key\":\(ofAddress),\"create_revision\":\"0\"}"]
            var success = [
                "{\"request_put\":{\"key\":\(ofService),\"value\":\"\(address)\"}}",
                "{\"request_put\":{\"key\":\(ofAddress),\"value\":\"\(Base64.encode(claim.service))\"}}",
            ]
            if let old = claim.instead {
                let value = Base64.encode(place.text(old))
                compare.append("{\"target\":\"VALUE\",\"key\":\(ofService),\"value\":\"\(value)\"}")
                success.append("{\"request_delete_range\":{\"key\":\(key(place.keyOfValue(old)))}}")
            } else {
                compare.append("{\"target\":\"CREATE\",\"key\":\(ofService),\"create_revision\":\"0\"}")
            }
            let look = [ofService, ofAddress].map { "{\"request_range\":{\"key\":\($0)}}" }
            return "{\"request_txn\":{\"compare\":[\(compare.joined(separator: ","))],"
                + "\"success\":[\(success.joined(separator: ","))],\"failure\":[\(look.joined(separator: ","))]}}"
        }
        return "{\"success\":[\(transactions.joined(separator: ","))]}"
    }
}

// MARK: - Answers

enum EtcdAnswer {
    static let limits = JSONLimits(bytes: 32 << 20, nodes: 2_000_000, depth: 32)

    static func json(_ bytes: [UInt8]) throws(EtcdFailure) -> JSONValue {
        do throws(JSONProblem) {
            return try JSONValue.parse(bytes, limits: limits)
        } catch {
            throw .malformed(error.description)
        }
    }

    /// An answer's JSON, or the failure it tells.
    static func value(status: Int, _ body: [UInt8]) throws(EtcdFailure) -> JSONValue {
        guard status != 200 else { return try json(body) }
        guard let value = try? json(body), let message = value["message"]?.text ?? value["error"]?.text else {
            // The gateway itself refuses in plain words.
            let words = String(decoding: body.prefix(200).prefix { $0 != 0x0a }, as: UTF8.self)
            let hint = status == 404 || words.isEmpty ? "; is it etcd 3.4 or later?" : ": \(words)"
            throw .refused(code: 0, message: "HTTP status \(status)\(hint)")
        }
        throw .refused(code: Int(value["code"]?.integer ?? 0), message: message)
    }

    static func page(_ value: JSONValue) throws(EtcdFailure) -> EtcdPage {
        let header = try header(value)
        var pairs: [EtcdKeyValue] = []
        let items = value["kvs"]?.items ?? []
        pairs.reserveCapacity(items.count)
        for item in items { pairs.append(try pair(item)) }
        let lastKey = try items.last.map { item throws(EtcdFailure) in try bytes(item["key"], "key") } ?? []
        return EtcdPage(
            cluster: header.cluster, revision: header.revision, pairs: pairs, lastKey: lastKey,
            hasMore: value["more"]?.bool ?? false)
    }

    /// What became of each claim.
    static func outcomes<Value>(
        _ value: JSONValue, of claims: [ClaimMachine<Value>.Claim], _ place: ClaimPlace<Value>
    ) throws(EtcdFailure) -> [ClaimMachine<Value>.Outcome] {
        let responses = value["responses"]?.items ?? []
        guard responses.count == claims.count else { throw .malformed("not one answer for each claim") }
        var outcomes: [ClaimMachine<Value>.Outcome] = []
        for (claim, response) in zip(claims, responses) {
            guard let answer = response["response_txn"] else { throw .malformed("a claim without an answer") }
            if answer["succeeded"]?.bool == true {
                outcomes.append(.won)
                continue
            }
            var present: Value?
            var owner: String?
            for range in answer["responses"]?.items ?? [] {
                guard let item = range["response_range"]?["kvs"]?.items?.first else { continue }
                let pair = try pair(item)
                let text = String(decoding: pair.value, as: UTF8.self)
                if pair.key == place.keyOfService(claim.service) {
                    present = place.parse(claim.service, text)
                } else if pair.key == place.keyOfValue(claim.address) {
                    owner = text
                }
            }
            outcomes.append(.lost(present: present, owner: owner))
        }
        return outcomes
    }

    /// What a check found, where not everything is as it was.
    static func held(_ value: JSONValue) throws(EtcdFailure) -> [String: AnnounceMachine.Held] {
        var held: [String: AnnounceMachine.Held] = [:]
        for response in value["responses"]?.items ?? [] {
            guard let item = response["response_range"]?["kvs"]?.items?.first else { continue }
            let pair = try pair(item)
            held[pair.key] = .init(lease: item["lease"]?.integer ?? 0, revision: pair.modRevision)
        }
        return held
    }

    /// A line of a watch: `{"result": …}` or `{"error": …}`.
    static func watch(_ line: [UInt8]) throws(EtcdFailure) -> EtcdWatchAnswer {
        let value = try json(line)
        if let error = value["error"] {
            let code = Int(error["grpc_code"]?.integer ?? value["code"]?.integer ?? 0)
            throw .refused(code: code, message: error["message"]?.text ?? value["message"]?.text ?? error.text ?? "")
        }
        guard let result = value["result"] else { throw .malformed("neither result nor error") }
        let header = try header(result)
        var answer = EtcdWatchAnswer(cluster: header.cluster, revision: header.revision)
        answer.isCreated = result["created"]?.bool ?? false
        answer.isFragment = result["fragment"]?.bool ?? false
        answer.isCancelled = result["canceled"]?.bool ?? false
        answer.compactRevision = result["compact_revision"]?.integer ?? 0
        answer.reason = result["cancel_reason"]?.text ?? ""
        for event in result["events"]?.items ?? [] { answer.changes.append(try change(event)) }
        return answer
    }

    static func header(_ value: JSONValue) throws(EtcdFailure) -> (cluster: String, revision: Int64) {
        guard let header = value["header"] else { throw .malformed("no header") }
        // A revision of 0 is left out.
        return (header["cluster_id"]?.text ?? "", header["revision"]?.integer ?? 0)
    }

    private static func change(_ event: JSONValue) throws(EtcdFailure) -> EtcdChange {
        guard let item = event["kv"] else { throw .malformed("an event without kv") }
        switch event["type"]?.text {
        case nil, "PUT"?: return .put(try pair(item))
        case "DELETE"?:
            let key = String(decoding: try bytes(item["key"], "key"), as: UTF8.self)
            return .delete(key: key, modRevision: item["mod_revision"]?.integer ?? 0)
        case let type?: throw .malformed("an event of type \(OneLine.quoted(type))")
        }
    }

    static func pair(_ item: JSONValue) throws(EtcdFailure) -> EtcdKeyValue {
        EtcdKeyValue(
            key: String(decoding: try bytes(item["key"], "key"), as: UTF8.self),
            value: try item["value"].map { value throws(EtcdFailure) in try bytes(value, "value") } ?? [],
            createRevision: item["create_revision"]?.integer ?? 0, modRevision: item["mod_revision"]?.integer ?? 0,
            lease: item["lease"]?.integer ?? 0)
    }

    private static func bytes(_ value: JSONValue?, _ name: String) throws(EtcdFailure) -> [UInt8] {
        guard let text = value?.text, let bytes = Base64.decode(text) else { throw .malformed("\(name) is no base 64") }
        return bytes
    }
}
