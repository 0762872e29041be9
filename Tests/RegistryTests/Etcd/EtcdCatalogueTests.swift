import JSONCodec
import MeshCore
import NetAddress
import TestSupport
import Testing

@testable import Registry

private func pair(_ key: String, _ value: String, _ revision: Int64 = 1) -> EtcdKeyValue {
    EtcdKeyValue(key: "/mesh/\(key)", value: Array(value.utf8), createRevision: revision, modRevision: revision)
}

private func empty() -> EtcdCatalogue { EtcdCatalogue(schema: EtcdSchema(root: "/mesh/"), routingDomain: nil) }

private func put(_ catalogue: inout EtcdCatalogue, _ key: String, _ value: String, _ revision: Int64 = 1) -> [String] {
    catalogue.apply(.put(pair(key, value, revision))).map(\.text)
}

private func delete(_ catalogue: inout EtcdCatalogue, _ key: String) -> [String] {
    catalogue.apply(.delete(key: "/mesh/\(key)", modRevision: 1)).map(\.text)
}

extension EtcdEffect {
    fileprivate var text: String {
        switch self {
        case .upsertService(let spec): "+\(spec.name) \(spec.routes.map { "\($0.host):\($0.containerPort)" })"
        case .removeService(let spec, let isOnPurpose): "-\(spec.name)\(isOnPurpose ? " on purpose" : "")"
        case .upsertInstance(let spec):
            "+\(spec.key) \(spec.socketAddress(containerPort: 80))\(spec.isDraining ? " draining" : "")"
        case .removeInstance(let spec, let isOnPurpose): "-\(spec.key)\(isOnPurpose ? " on purpose" : "")"
        }
    }
}

private let routed = #"{"labels": {"aliyun.routing.port_80": "web.example"}}"#

@Suite struct EtcdCatalogueTests {
    @Test func servicesAndInstancesComeAndGo() {
        var catalogue = empty()
        #expect(put(&catalogue, "instances/web/a", #"{"address":"10.0.0.1:9001"}"#) == ["+web/a 10.0.0.1:9001"])
        #expect(catalogue.allServices.isEmpty)
        #expect(put(&catalogue, "services/web", routed) == ["+web [\"web.example:80\"]"])
        #expect(put(&catalogue, "services/web", routed) == [])
        #expect(put(&catalogue, "instances/web/a", #"{"address":"10.0.0.2"}"#) == ["+web/a 10.0.0.2:80"])
        #expect(delete(&catalogue, "instances/web/a") == ["-web/a"])
        #expect(delete(&catalogue, "instances/web/a") == [])
        #expect(delete(&catalogue, "services/web") == ["-web"])
        #expect(!catalogue.hasInstances && catalogue.problems.isEmpty)
    }

    /// A lease that ends takes what is under it; whoever deletes one key, or lets an instance drain first, means it.
    @Test(arguments: [false, true]) func whoTakesAnInstanceOutMeansIt(isDeclared: Bool) {
        var catalogue = empty()
        if isDeclared { _ = put(&catalogue, "services/web", routed) }
        let value = #"{"address":"10.0.0.1","service":{"expose":[80]}}"#
        func gone(_ lease: Int64, _ value: String, isAlone: Bool, order: Bool = false) -> [String] {
            var pair = pair("instances/web/a", value, 1)
            pair.lease = lease
            _ = catalogue.apply(.put(pair))
            if order { _ = put(&catalogue, "drains/web/a", "", 2) }
            let effects = catalogue.apply(.delete(key: pair.key, modRevision: 3), isAlone: isAlone)
            _ = delete(&catalogue, "drains/web/a")
            return effects.map(\.text).filter { !isDeclared || $0 != "-web" }
        }
        let lost = isDeclared ? ["-web/a"] : ["-web/a", "-web"]
        let meant = lost.map { "\($0) on purpose" }
        #expect(gone(0, value, isAlone: true) == meant)
        #expect(gone(0, value, isAlone: false) == lost)
        #expect(gone(7, value, isAlone: true) == lost)
        #expect(gone(7, value, isAlone: false, order: true) == meant)
        #expect(gone(7, "{\"draining\":true," + value.dropFirst(), isAlone: false) == meant)
    }

    @Test func deletionsOfInstancesAreCountedByRevision() {
        let schema = EtcdSchema(root: "/mesh/")
        let changes: [EtcdChange] = [
            .delete(key: "/mesh/instances/web/a", modRevision: 1), .delete(key: "/mesh/services/web", modRevision: 1),
            .delete(key: "/mesh/instances/web/b", modRevision: 2),
            .delete(key: "/mesh/instances/web/c", modRevision: 2), .put(pair("instances/web/d", "", 2)),
        ]
        #expect(EtcdChange.instanceDeletions(changes, schema) == [1: 1, 2: 2])
    }

    @Test func everythingAnInstanceHas() throws {
        let text = """
            {"address": "[fd00::1]", "ports": {"80": 9001, "81": "9002"}, "node": "n1", "zone": "z", "weight": 7,
            "version": "1.2", "something-later": [1]}
            """
        let instance = try EtcdInstance.parse(pair("", text, 5), InstanceKey(service: "web", id: "a")).spec
        #expect(
            instance
                == InstanceSpec(
                    id: "a", service: "web", address: IPAddress(high: 0xfd00_0000_0000_0000, low: 1),
                    portMap: [80: 9001, 81: 9002], node: "n1", zone: "z", weight: 7, version: "1.2"))
    }

    @Test(arguments: [
        ("", "no JSON"), ("[]", "JSON object"), ("{}", "'address'"), (#"{"address":1}"#, "'address'"),
        (#"{"address":"web.example"}"#, "not ADDRESS"), (#"{"address":"10.0.0.1:0"}"#, "not ADDRESS"),
        (#"{"address":"0.0.0.0"}"#, "not ADDRESS"), (#"{"address":"10.0.0.1","ports":[80]}"#, "'ports'"),
        (#"{"address":"10.0.0.1","ports":{"0":80}}"#, "'ports'"),
        (#"{"address":"10.0.0.1","ports":{"80":65536}}"#, "'ports'"),
        (#"{"address":"10.0.0.1","ports":{"80":-1}}"#, "'ports'"),
        (#"{"address":"10.0.0.1","weight":1001}"#, "'weight'"), (#"{"address":"10.0.0.1","node":""}"#, "'node'"),
        (#"{"address":"10.0.0.1","verdict":"fine"}"#, "'verdict'"), (#"{"address":"10.0.0.1","zone":"a b"}"#, "'zone'"),
        (#"{"address":"10.0.0.1","version":1}"#, "'version'"),
    ])
    func instancesThatAreNone(text: String, reason: String) {
        let fault = #expect(throws: TextFault.self) {
            try EtcdInstance.parse(pair("", text), InstanceKey(service: "web", id: "a"))
        }
        #expect(fault?.message.contains(reason) == true, "\(fault?.message ?? "")")
    }

    @Test func malformedKeysAreNamedAndChangeNothing() {
        var catalogue = empty()
        _ = put(&catalogue, "services/web", routed)
        #expect(put(&catalogue, "services/web", "{") == [])
        #expect(catalogue.allServices.map(\.routes.count) == [1], "the last good one stays")
        #expect(put(&catalogue, "services/we b", "{}") == [])
        #expect(put(&catalogue, "instances/web", "{}") == [])
        #expect(put(&catalogue, "nothing/web", "{}") == [])
        #expect(put(&catalogue, "nodes/n1", "whatever") == [])
        #expect(
            catalogue.problems.keys.sorted() == [
                "/mesh/instances/web", "/mesh/nothing/web", "/mesh/services/we b", "/mesh/services/web",
            ])
        #expect(catalogue.problemCount == 4)
        #expect(catalogue.takeNews().count == 4)
        #expect(catalogue.takeNews().isEmpty)
        _ = put(&catalogue, "services/web", routed)
        _ = delete(&catalogue, "services/we b")
        #expect(catalogue.problemCount == 2)
    }

    @Test func warningsOfLabelsAreTold() {
        var catalogue = empty()
        _ = put(&catalogue, "services/web", #"{"labels": {"aliyun.nonsense": "1"}}"#)
        #expect(
            catalogue.takeNews().map(\.description) == [
                "/mesh/services/web:1:32: labels.aliyun.nonsense: unknown label; it has no effect"
            ])
    }

    @Test func aServiceMayBeYAMLAsInTheComposeFile() {
        var catalogue = empty()
        let text = "ports: [\"8080:80\"]\nexternal:\n  host: 10.0.0.9\n  ports: [80]\n"
        #expect(put(&catalogue, "services/web", text) == ["+web []", "+web/10.0.0.9 10.0.0.9:80"])
        #expect(catalogue.allServices.first?.publishedPorts.map(\.port) == [8080])
        // A key of the same name is nearer to the truth.
        #expect(
            put(&catalogue, "instances/web/10.0.0.9", #"{"address":"10.0.0.8"}"#) == ["+web/10.0.0.9 10.0.0.8:80"])
        #expect(delete(&catalogue, "instances/web/10.0.0.9") == ["+web/10.0.0.9 10.0.0.9:80"])
        #expect(delete(&catalogue, "services/web") == ["-web/10.0.0.9", "-web"])
    }

    @Test func instancesDescribeAServiceThatNobodyDeclares() {
        var catalogue = empty()
        func instance(_ host: String) -> String {
            #"{"address":"10.0.0.1","service":{"labels":{"aliyun.routing.port_80":"\#(host)"}}}"#
        }
        #expect(
            put(&catalogue, "instances/web/b", instance("one"), 4) == ["+web [\"one:80\"]", "+web/b 10.0.0.1:80"])
        // The one that came last counts, not the one that was written last.
        #expect(put(&catalogue, "instances/web/a", instance("two"), 3) == ["+web/a 10.0.0.1:80"])
        #expect(delete(&catalogue, "instances/web/b") == ["+web [\"two:80\"]", "-web/b"])
        // A definition that cannot be read leaves the one in force.
        #expect(
            put(&catalogue, "instances/web/c", #"{"address":"10.0.0.3","service":{"ports":["x"]}}"#, 9)
                == ["+web/c 10.0.0.3:80"])
        #expect(catalogue.problems.keys.sorted() == ["/mesh/instances/web/c"])
        #expect(put(&catalogue, "services/web", routed) == ["+web [\"web.example:80\"]"])
        #expect(delete(&catalogue, "services/web") == ["+web [\"two:80\"]"])
        _ = delete(&catalogue, "instances/web/c")
        #expect(catalogue.problems.isEmpty)
        #expect(delete(&catalogue, "instances/web/a") == ["-web/a", "-web"])
    }

    @Test func drainOrders() {
        var catalogue = empty()
        _ = put(&catalogue, "instances/web/a", #"{"address":"10.0.0.1"}"#)
        #expect(put(&catalogue, "drains/web/a", "", 2) == ["+web/a 10.0.0.1:80 draining"])
        #expect(put(&catalogue, "drains/web/none", "", 3) == [])
        #expect(catalogue.drainOrders.map { "\($0.key) \($0.value)" }.sorted() == ["web/a 2", "web/none 3"])
        #expect(put(&catalogue, "instances/web/a", #"{"address":"10.0.0.2"}"#) == ["+web/a 10.0.0.2:80 draining"])
        #expect(delete(&catalogue, "drains/web/a") == ["+web/a 10.0.0.2:80"])
        #expect(catalogue.drainOrders.count == 1)
    }

    @Test func numbersOfPublishedPorts() {
        var catalogue = empty()
        for (key, value) in [
            ("ports/services/web/80/tcp", "31000"), ("ports/services/web/53/udp/::1", "31000"),
            ("ports/numbers/tcp/31000", "web/80/tcp"),
        ] {
            #expect(put(&catalogue, key, value) == [])
        }
        #expect(catalogue.problems.isEmpty)
        let told = catalogue.ports.takeChanged().mapValues { $0?.port }
        #expect(told == ["web/80/tcp": 31_000, "web/53/udp/::1": 31_000])
        #expect(catalogue.ports.owners == [PublishedNumber(.tcp, 31_000)!: "web/80/tcp"])
        for (key, value) in [
            ("ports/services/web/80/tcp", "80"), ("ports/services/web/80/sctp", "31000"),
            ("ports/services/web/x/tcp", "1"),
            ("ports/services/we b/80/tcp", "31000"), ("ports/services/web/80/tcp/0::1", "31000"), ("ports/x", ""),
            ("ports/numbers/tcp/80", "x"), ("ports/numbers/sctp/31000", "x"),
        ] {
            #expect(put(&catalogue, key, value) == [])
        }
        #expect(catalogue.problemCount == 8)
        #expect(delete(&catalogue, "ports/services/web/80/tcp") == [])
        #expect(delete(&catalogue, "ports/numbers/tcp/31000") == [])
        let gone = catalogue.ports.takeChanged()
        #expect(gone == ["web/80/tcp": nil])
        #expect(catalogue.ports.owners.isEmpty)
    }

    @Test func anOrderDoesNotConcernAnInstanceThatIsAnnouncedLater() {
        var catalogue = empty()
        _ = put(&catalogue, "instances/web/a", #"{"address":"10.0.0.1"}"#, 1)
        _ = put(&catalogue, "drains/web/a", "", 2)
        #expect(delete(&catalogue, "instances/web/a") == ["-web/a on purpose"])
        #expect(put(&catalogue, "instances/web/a", #"{"address":"10.0.0.1"}"#, 4) == ["+web/a 10.0.0.1:80"])
        #expect(catalogue.drainOrders.isEmpty)
        #expect(put(&catalogue, "drains/web/a", "", 5) == ["+web/a 10.0.0.1:80 draining"])
    }

    @Test func aNewReadingKeepsWhatItCannotRead() {
        var catalogue = empty()
        _ = put(&catalogue, "services/web", routed)
        _ = put(&catalogue, "services/gone", "{}")
        _ = put(&catalogue, "instances/web/a", #"{"address":"10.0.0.1"}"#)
        _ = put(&catalogue, "vips/services/web", "127.96.0.7")
        _ = catalogue.takeNews()
        let told = catalogue.vips.takeChanged()
        #expect(Array(told.keys) == ["web"])
        var reading = catalogue.successor()
        reading.add([pair("services/web", "{"), pair("instances/web/a", "]"), pair("instances/web/b", "]")])
        reading.add([pair("instances/web/c", #"{"address":"10.0.0.3"}"#)])
        var next = reading.finished()
        #expect(next.allServices.map(\.name) == ["web"])
        #expect(next.allServices.first?.routes.count == 1)
        #expect(next.allInstances.map(\.id).sorted() == ["a", "c"])
        #expect(next.problemCount == 3)
        #expect(next.takeNews().count == 3)
        let gone = next.vips.takeChanged()
        #expect(gone == ["web": nil])
        #expect(next.vips.values.isEmpty)
        var again = next.successor()
        again.add([pair("services/web", "{")])
        var last = again.finished()
        #expect(last.takeNews().isEmpty, "nothing is told twice")
    }

    /// What a watch tells, step by step, is what a reading finds at once.
    @Test(arguments: 0..<40)
    func stepsEndWhereAReadingDoes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var stepped = empty()
        var store: [String: EtcdKeyValue] = [:]
        var services: [String: ServiceSpec] = [:]
        var instances: [InstanceKey: InstanceSpec] = [:]
        for revision in 1...200 as ClosedRange<Int64> {
            let key = Self.key(&random)
            let change: EtcdChange
            if random.once(in: 3) {
                store[key] = nil
                change = .delete(key: "/mesh/\(key)", modRevision: revision)
            } else {
                let old = store[key]?.createRevision
                let value = pair(key, Self.value(key, &random), revision)
                let kept = EtcdKeyValue(
                    key: value.key, value: value.value, createRevision: old ?? revision, modRevision: revision)
                store[key] = kept
                change = .put(kept)
            }
            for effect in stepped.apply(change) {
                switch effect {
                case .upsertService(let spec): services[spec.name] = spec
                case .removeService(let spec, _): services[spec.name] = nil
                case .upsertInstance(let spec): instances[spec.key] = spec
                case .removeInstance(let spec, _): instances[spec.key] = nil
                }
            }
        }
        var reading = empty().successor()
        reading.add(store.sorted { $0.key < $1.key }.map(\.value))
        let read = reading.finished()
        #expect(Set(services.values) == Set(read.allServices))
        #expect(Set(instances.values) == Set(read.allInstances))
        #expect(Set(stepped.allServices) == Set(read.allServices))
        #expect(Set(stepped.allInstances) == Set(read.allInstances))
    }

    private static func key(_ random: inout SeededRandom) -> String {
        let service = random.element(of: ["a", "b"])
        switch random.below(4) {
        case 0: return "services/\(service)"
        case 1: return "drains/\(service)/\(random.below(3))"
        default: return "instances/\(service)/\(random.below(3))"
        }
    }

    private static func value(_ key: String, _ random: inout SeededRandom) -> String {
        let host = "h\(random.below(3)).example"
        let service =
            #"{"labels":{"aliyun.routing.port_80":"\#(host)"},"x-mesh-instances":[{"address":"10.0.0.9","id":"1"}]}"#
        if key.hasPrefix("services/") { return service }
        let definition = random.once(in: 2) ? ",\"service\":\(service)" : ""
        return #"{"address":"10.0.0.\#(random.below(3) + 1)"\#(definition)}"#
    }

    /// Whatever is written, nothing traps and every complaint is one line.
    @Test(arguments: 0..<20)
    func survivesMutations(seed: UInt64) {
        var random = SeededRandom(seed: seed &+ 500)
        var catalogue = empty()
        for _ in 0..<200 {
            let key = Self.key(&random)
            let value = Array(Self.value(key, &random).utf8)
            let noise = Array("{}[]\",:-&*#\u{1b}\n".utf8)
            let other = Array(Self.value("services/", &random).utf8)
            let name = String(
                decoding: random.once(in: 4)
                    ? random.mutate(Array(key.utf8), crossedWith: other, interesting: Array("/%\n".utf8))
                    : Array(key.utf8),
                as: UTF8.self)
            let change = EtcdChange.put(
                EtcdKeyValue(
                    key: "/mesh/\(name)", value: random.mutate(value, crossedWith: other, interesting: noise),
                    createRevision: 1, modRevision: 1))
            _ = catalogue.apply(change)
            for told in catalogue.takeNews() { #expect(!told.description.contains("\n")) }
        }
    }

    @Test func whatIsAnnouncedIsRead() throws {
        let key = InstanceKey(service: "web", id: "10.0.0.1:9001")
        let announced = InstanceAnnouncement(
            key: key, address: .loopbackV4, solePort: 9001, portMap: [81: 9002], node: "n\"1", zone: "z", version: "2",
            weight: 3, verdict: .unhealthy(cause: "no \"pong\""),
            labels: ["mesh.aliases": "a\\b.local", "aliyun.routing.port_80": "web.example"],
            exposedPorts: [81, 80])
        let read = try EtcdInstance.parse(pair("", announced.json), key)
        #expect(
            read.spec
                == InstanceSpec(
                    id: key.id, service: "web", address: .loopbackV4, portMap: [81: 9002], solePort: 9001, node: "n\"1",
                    zone: "z", weight: 3, version: "2", verdict: .unhealthy(cause: "no \"pong\"")))
        #expect(read.definition?["labels"]?["mesh.aliases"]?.text == "a\\b.local")
        #expect(throws: CatalogueProblem.self) { try announced.check() }
        var good = announced
        good.labels["mesh.aliases"] = "a.local"
        #expect(try good.check() == [80, 81])
        good.key = InstanceKey(service: "web", id: "a/b")
        #expect(throws: CatalogueProblem.self) { try good.check() }
    }
}
