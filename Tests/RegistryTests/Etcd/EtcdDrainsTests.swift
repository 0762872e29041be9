import JSONCodec
import MeshCore
import TestSupport
import Testing

@testable import Registry

private let schema = EtcdSchema(root: "/mesh/")
private let a = InstanceKey(service: "web", id: "a")
private let b = InstanceKey(service: "web", id: "b")

private func range(_ pairs: [(key: String, value: String, created: Int, modified: Int)]) -> String {
    let items = pairs.map {
        """
        {"key":"\(Base64.encode("/mesh/" + $0.key))","value":"\(Base64.encode($0.value))",\
        "create_revision":"\($0.created)","mod_revision":"\($0.modified)"}
        """
    }
    return "{\"response_range\":{\"kvs\":[\(items.joined(separator: ","))]}}"
}

@Suite struct EtcdDrainsTests {
    @Test func aNodeSaysWhatItReads() {
        let drains: [InstanceKey: DrainBarrier.Standing] = [
            a: .init(order: 1 << 60, left: FlightCounts(exchanges: 2, flows: 1)), b: .init(order: 3),
            InstanceKey(service: "x", id: "[::1]:80"): .init(order: 4, left: FlightCounts()),
        ]
        let presence = NodePresence(node: "n\"1", drains: drains)
        #expect(NodePresence(Array(presence.json.utf8), run: "r") == presence)
        #expect(presence.json.hasPrefix(#"{"node":"n\"1","drains":{"web/a":{"order":"1152921504606846976","left":"#))
        #expect(NodePresence(node: "n").json == #"{"node":"n"}"#)
    }

    @Test(arguments: ["", "{", "[]", #"{"drains":7}"#, #"{"drains":{"a":{"order":1},"a/b":{},"c/d":3}}"#])
    func whatCannotBeReadSaysNothing(text: String) {
        #expect(NodePresence(Array(text.utf8), run: "r") == NodePresence(node: "r"))
    }

    @Test func kindsToComeCountAsInFlight() {
        let text = #"{"node":"n","drains":{"web/a":{"order":1,"left":{"dreams":3,"flows":-5}}}}"#
        #expect(NodePresence(Array(text.utf8), run: "r").drains[a]?.left == FlightCounts(exchanges: 3))
    }

    @Test func anOrderOlderThanItsInstanceDoesNotHold() throws {
        let presence = NodePresence(node: "n", drains: [a: .init(order: 9, left: FlightCounts())])
        let text = [
            range([("drains/web/a", "", 9, 9), ("drains/web/b", "", 5, 5), ("drains/web/c", "", 5, 5)]),
            range([("instances/web/a", "", 2, 12), ("instances/web/b", "", 6, 6)]),
            range([("alive/r", presence.json, 1, 1), ("alive/s", "", 1, 1)]),
        ]
        let value = try JSONValue.parse("{\"responses\":[\(text.joined(separator: ","))]}")
        let progress = try EtcdDrains.progress(value, schema) { $0 != InstanceKey(service: "web", id: "c") }
        #expect(progress.orders == [a: 9])
        #expect(progress.nodes.map(\.name) == ["n", "s"])
        #expect(progress.rests.map(\.isDone) == [true, false])
        #expect(throws: EtcdFailure.self) { try EtcdDrains.progress(.object([]), schema) { _ in true } }
    }

    @Test func requestsAreJSON() throws {
        let order = try JSONValue.parse(EtcdDrains.order([a, b], by: "n\"", lease: 5, schema))
        #expect(order["success"]?.items?.count == 2)
        let first = order["success"]?.items?.first?["request_put"]
        #expect(first?["key"]?.text.flatMap(Base64.decode) == Array("/mesh/drains/web/a".utf8))
        #expect(first?["lease"]?.integer == 5)
        let cancel = try JSONValue.parse(EtcdDrains.cancel([a], schema))
        #expect(cancel["success"]?.items?.first?["request_delete_range"] != nil)
        #expect(try JSONValue.parse(EtcdDrains.progress(of: "web", schema))["success"]?.items?.count == 3)
    }

    @Test func anythingInAnAnswerIsTakenOrRefused() {
        var random = SeededRandom(seed: 11)
        let presence = NodePresence(node: "n", drains: [a: .init(order: 9, left: FlightCounts(sessions: 3))])
        for _ in 0..<2_000 {
            var bytes = Array(presence.json.utf8)
            for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            let read = NodePresence(bytes, run: "r")
            #expect(read.drains.values.allSatisfy { ($0.left?.total ?? 0) >= 0 })
        }
    }
}
