import JSONCodec
import Testing

@testable import Registry

private let schema = EtcdSchema(root: "/mesh/")

private func range(_ pairs: [(String, String, Int)]) -> String {
    let items = pairs.map { name, value, revision in
        let key = Base64.encode("/mesh/" + name)
        return "{\"key\":\"\(key)\",\"value\":\"\(Base64.encode(value))\",\"mod_revision\":\"\(revision)\"}"
    }
    return "{\"response_range\":{\"kvs\":[\(items.joined(separator: ","))]}}"
}

private func answer(_ ranges: [[(String, String, Int)]]) throws -> JSONValue {
    try JSONValue.parse("{\"responses\":[\(ranges.map(range).joined(separator: ","))]}")
}

private let vip = ("vips/services/shop", "10.96.0.7", 4)
private let port = ("ports/services/shop/80/tcp", "31234", 5)

/// Keys in a request, in order.
private func keys(_ value: JSONValue?) -> [String] {
    var found: [String] = []
    func walk(_ value: JSONValue) {
        if let text = value["key"]?.text.flatMap({ Base64.decode($0) }) {
            found.append(String(decoding: text, as: UTF8.self))
        }
        for member in value.members ?? [] { walk(member.value) }
        for item in value.items ?? [] { walk(item) }
    }
    if let value { walk(value) }
    return found
}

@Suite struct EtcdReleaseTests {
    @Test func whatIsKeptIsFound() throws {
        let kept = try EtcdRelease.found(try answer([[], [], [vip], [port]]))
        #expect(kept.obstacle == nil && !kept.isEmpty)
        #expect(EtcdRelease.texts(kept, schema) == ["10.96.0.7", "31234->80/tcp"])
        #expect(try EtcdRelease.found(try answer([[], [], [], []])).isEmpty)
        #expect(throws: EtcdFailure.self) { try EtcdRelease.found(try answer([[], []])) }
    }

    @Test func aServiceThatIsThereIsAnObstacle() throws {
        let defined = try EtcdRelease.found(try answer([[("services/shop", "", 1)], [], [vip], []]))
        #expect(defined.obstacle?.contains("definition") == true)
        let running = try EtcdRelease.found(
            try answer([[], [("instances/shop/a", "", 1), ("instances/shop/b", "", 1)], [vip], []]))
        #expect(running.obstacle?.contains("instances of it: 2") == true)
    }

    /// Nothing is deleted unless all is as it was seen.
    @Test func bothKeysOfEachGoTogether() throws {
        let kept = try EtcdRelease.found(try answer([[], [], [vip], [port]]))
        let request = try JSONValue.parse(EtcdRelease.release("shop", kept, schema))
        #expect(
            keys(request["compare"]) == [
                "/mesh/services/shop", "/mesh/instances/shop/", "/mesh/vips/services/shop",
                "/mesh/ports/services/shop/80/tcp",
            ])
        let compare = request["compare"]?.items ?? []
        #expect(compare.map { $0["create_revision"]?.text ?? $0["mod_revision"]?.text } == ["0", "0", "4", "5"])
        #expect(compare[1]["range_end"]?.text == Base64.encode("/mesh/instances/shop0"))
        let steps = request["success"]?.items ?? []
        #expect(steps.count == 4)
        #expect(keys(steps[1]) == ["/mesh/vips/addresses/10.96.0.7", "/mesh/vips/addresses/10.96.0.7"])
        #expect(steps[1]["request_txn"]?["compare"]?.items?.first?["value"]?.text == Base64.encode("shop"))
        #expect(keys(steps[3]) == ["/mesh/ports/numbers/tcp/31234", "/mesh/ports/numbers/tcp/31234"])
        #expect(steps[3]["request_txn"]?["compare"]?.items?.first?["value"]?.text == Base64.encode("shop/80/tcp"))
    }

    @Test func valuesOfOthersHandsAreNoKeys() throws {
        let kept = try EtcdRelease.found(
            try answer([[], [], [("vips/services/shop", "x", 1)], [("ports/services/shop/80/tcp", "8\u{1b}", 1)]]))
        let request = try JSONValue.parse(EtcdRelease.release("shop", kept, schema))
        #expect(request["success"]?.items?.count == 2)
        #expect(!EtcdRelease.texts(kept, schema).joined().contains("\u{1b}"))
    }

    @Test func manyNumbersGoInBatches() throws {
        let ports = (1...60).map { ("ports/services/shop/\($0)/tcp", "\(30_000 + $0)", 1) }
        let kept = try EtcdRelease.found(try answer([[], [], [vip], ports]))
        let request = try JSONValue.parse(EtcdRelease.release("shop", kept, schema))
        #expect(request["success"]?.items?.count == 2 + 2 * EtcdRelease.batchLimit)
        #expect((request["compare"]?.items?.count ?? 0) + 2 + 2 * EtcdRelease.batchLimit < 128)
    }

    @Test func onlyWhatNothingElseIsThereOfIsUnused() throws {
        let value = try answer([
            [("services/here", "", 1)], [("instances/runs/a", "", 1)],
            [vip, ("vips/services/here", "10.96.0.8", 1), ("vips/services/runs", "10.96.0.9", 1)],
            [port, ("ports/services/gone/53/udp/10.0.0.1", "30053", 1), ("ports/services/runs/80/tcp", "30001", 1)],
        ])
        let unused = try EtcdRelease.unused(value, schema).mapValues { EtcdRelease.texts($0, schema) }
        #expect(unused == ["shop": ["10.96.0.7", "31234->80/tcp"], "gone": ["30053->53/udp/10.0.0.1"]])
    }
}
