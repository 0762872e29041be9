import JSONCodec
import MeshCore
import NetAddress
import TestSupport
import Testing

@testable import Registry

private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

private func range(_ text: String) throws -> IPNetwork { try #require(IPNetwork(text)) }

@Suite struct ClaimMachineTests {
    @Test func waitsLooksAndClaims() throws {
        var claims = VIPClaims(range: try range("127.96.0.0/28"))
        #expect(claims.want([], random: 7) == [])
        #expect(claims.want([VIPWant(service: "web")], random: 7) == [.timer(nanoseconds: 7)])
        // Wanted again by the next compilation: the timer stands.
        #expect(claims.want([VIPWant(service: "web")], random: 9) == [])
        let actions = claims.timer(present: [:], owners: [:], random: 0)
        guard case .claim(let list)? = actions.first else { return #expect(Bool(false), "no claim") }
        #expect(list.map(\.service) == ["web"])
        #expect(try range("127.96.0.0/28").contains(list[0].address))
        #expect(claims.answered([.won], random: 0) == [])
        // The watch has not told yet: not claimed twice.
        #expect(claims.want([VIPWant(service: "web")], random: 7) == [])
    }

    /// Two nodes claim at the same time; whoever is first has it. Each service gets one address, no two the same.
    @Test func tenThousandServices() throws {
        let range = try range("127.96.0.0/16")
        let names = (0..<10_000).map { "service-\($0)" }.sorted()
        var nodes = [VIPClaims(range: range), VIPClaims(range: range)]
        var present: [String: IPAddress] = [:]
        var owners: [IPAddress: String] = [:]
        var rounds = 0
        for node in nodes.indices { _ = nodes[node].want(names.map { VIPWant(service: $0) }, random: 0) }
        while present.count < names.count, rounds < 2_000 {
            rounds += 1
            let node = rounds % 2
            guard case .claim(let list)? = nodes[node].timer(present: present, owners: owners, random: 0).first else {
                _ = nodes[node].want(names.map { VIPWant(service: $0) }, random: 0)
                continue
            }
            let outcomes = list.map { claim -> VIPClaims.Outcome in
                guard present[claim.service] == nil, owners[claim.address] == nil else {
                    return .lost(present: present[claim.service], owner: owners[claim.address])
                }
                (present[claim.service], owners[claim.address]) = (claim.address, claim.service)
                return .won
            }
            _ = nodes[node].answered(outcomes, random: 0)
        }
        #expect(present.count == names.count)
        #expect(owners.count == names.count)
        #expect(rounds < 700)
    }

    @Test func whatOthersDidMeanwhileIsNotClaimed() throws {
        var claims = VIPClaims(range: try range("127.96.0.0/28"))
        _ = claims.want([VIPWant(service: "web")], random: 0)
        #expect(claims.timer(present: ["web": try address("127.96.0.3")], owners: [:], random: 0) == [])
    }

    @Test func aTakenAddressLeadsToTheNext() throws {
        var claims = VIPClaims(range: try range("127.96.0.0/28"))
        _ = claims.want([VIPWant(service: "web", preferred: try address("127.96.0.9"))], random: 0)
        #expect(
            claims.timer(present: [:], owners: [:], random: 0) == [
                .claim([VIPClaims.Claim(service: "web", address: try address("127.96.0.9"), instead: nil)])
            ])
        #expect(claims.answered([.lost(present: nil, owner: "db")], random: 0) == [.timer(nanoseconds: 1)])
        guard case .claim(let list)? = claims.timer(present: [:], owners: [:], random: 0).first else {
            return #expect(Bool(false), "no claim")
        }
        #expect(list[0].address != (try address("127.96.0.9")))
    }

    @Test func aDemandedAddressAndNoOther() throws {
        var claims = VIPClaims(range: try range("127.96.0.0/28"))
        let demanded = try address("127.96.0.5")
        let want = VIPWant(service: "web", demanded: demanded)
        _ = claims.want([want], random: 0)
        #expect(claims.timer(present: [:], owners: [demanded: "db"], random: 0) == [])
        let old = try address("127.96.0.2")
        _ = claims.want([want], random: 0)
        #expect(
            claims.timer(present: ["web": old], owners: [:], random: 0) == [
                .claim([VIPClaims.Claim(service: "web", address: demanded, instead: old)])
            ])
    }

    @Test func batchesHoldDistinctAddresses() throws {
        var claims = VIPClaims(range: try range("127.96.0.0/26"))
        _ = claims.want((0..<50).map { VIPWant(service: "s\($0)") }, random: 0)
        guard case .claim(let list)? = claims.timer(present: [:], owners: [:], random: 0).first else {
            return #expect(Bool(false), "no claim")
        }
        #expect(list.count == VIPClaims.batchLimit)
        #expect(Set(list.map(\.address)).count == list.count)
        #expect(Set(list.map(\.service)).count == list.count)
    }

    /// Several nodes, one store, answers and watches that come late, requests that fail: no address is ever two
    /// services', none ever changes, and in the end every service that can have one has one.
    @Test(arguments: 0..<30)
    func nodesAgree(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let services = (0..<20).map { "s\($0)" }
        // Room for 14, so that six go without.
        let network = try range(random.once(in: 2) ? "127.96.0.0/28" : "127.96.0.0/24")
        var present: [String: IPAddress] = [:]
        var owners: [IPAddress: String] = [:]
        var nodes = (0..<4).map { _ in ClaimingNode(claims: VIPClaims(range: network)) }
        for step in 0..<600 {
            let isWell = step > 400
            let index = random.below(nodes.count)
            var actions: [VIPClaims.Action] = []
            switch random.below(4) {
            case 0:
                let unknown = services.filter { nodes[index].present[$0] == nil }
                actions = nodes[index].claims.want(unknown.map { VIPWant(service: $0) }, random: random.next())
            case 1 where nodes[index].isTimerSet:
                nodes[index].isTimerSet = false
                actions = nodes[index].claims.timer(
                    present: nodes[index].present, owners: nodes[index].owners, random: random.next())
            case 2 where !nodes[index].pending.isEmpty:
                let list = nodes[index].pending
                nodes[index].pending = []
                if !isWell, random.once(in: 3) {
                    actions = nodes[index].claims.failed(random: random.next())
                    break
                }
                var outcomes: [VIPClaims.Outcome] = []
                for claim in list {
                    if present[claim.service] == nil, owners[claim.address] == nil {
                        present[claim.service] = claim.address
                        owners[claim.address] = claim.service
                        outcomes.append(.won)
                    } else {
                        outcomes.append(.lost(present: present[claim.service], owner: owners[claim.address]))
                    }
                }
                actions = nodes[index].claims.answered(outcomes, random: random.next())
            default:
                let news = Set(present.keys.filter { nodes[index].present[$0] != present[$0] })
                for (service, address) in nodes[index].present { #expect(present[service] == address) }
                (nodes[index].present, nodes[index].owners) = (present, owners)
                actions = nodes[index].claims.told(news, random: random.next())
            }
            for action in actions {
                switch action {
                case .timer: nodes[index].isTimerSet = true
                case .claim(let list): nodes[index].pending = list
                }
            }
        }
        #expect(present.count == (network.hostBits == 4 ? 14 : 20))
        #expect(Set(present.values).count == present.count)
        for (service, address) in present { #expect(owners[address] == service) }
    }

    @Test func portsAreOfTheirProtocolAndNeverOneThatIsAskedForByName() throws {
        let first = try #require(PublishedNumber.candidate("shop/80/tcp", step: 0))
        let second = try #require(PublishedNumber.candidate("shop/80/tcp", step: 1))
        var claims = PortClaims()
        let wants = [PortWant(service: "shop/80/tcp"), PortWant(service: "shop/80/udp", preferred: nil)]
        _ = claims.want(wants, reserved: [first], random: 0)
        guard case .claim(let list)? = claims.timer(present: [:], owners: [:], random: 0).first else {
            return #expect(Bool(false), "no claim")
        }
        #expect(list.map(\.service) == ["shop/80/tcp", "shop/80/udp"])
        #expect(list.map(\.address.transport) == [.tcp, .udp])
        #expect(list[0].address == second)
        #expect(PublishedNumber.candidate("shop/80/tcp", step: UInt64(PublishedNumber.range.count)) == nil)
        #expect(PublishedNumber.candidate("shop", step: 0) == nil)
    }

    @Test func allNumbersTakenIsTheEnd() {
        var claims = PortClaims()
        _ = claims.want([PortWant(service: "shop/80/tcp")], random: 0)
        let all = PublishedNumber.range.compactMap { PublishedNumber(.tcp, $0) }
        let owners = Dictionary(uniqueKeysWithValues: all.map { ($0, "other/80/tcp") })
        #expect(claims.timer(present: [:], owners: owners, random: 0) == [])
    }

    @Test func transactionsOfPorts() throws {
        let schema = EtcdSchema(root: "/m/")
        let number = try #require(PublishedNumber(.udp, 31_000))
        let claims = [PortClaims.Claim(service: "dns/53/udp/::1", address: number, instead: nil)]
        let body = try JSONValue.parse(EtcdRequest.claim(claims, schema.portPlace))
        let puts = body["success"]?.items?.first?["request_txn"]?["success"]?.items ?? []
        let keys = puts.compactMap { $0["request_put"]?["key"]?.text.flatMap(Base64.decode) }
        #expect(
            keys.map { String(decoding: $0, as: UTF8.self) } == [
                "/m/ports/services/dns/53/udp/::1", "/m/ports/numbers/udp/31000",
            ])
        let text = """
            {"responses":[{"response_txn":{"responses":[{"response_range":{"kvs":[{"key":\
            "\(Base64.encode("/m/ports/services/dns/53/udp/::1"))","value":"\(Base64.encode("31007"))"}]}},\
            {"response_range":{"kvs":[{"key":"\(Base64.encode("/m/ports/numbers/udp/31000"))","value":"YQ=="}]}}]}}]}
            """
        let outcomes = try EtcdAnswer.outcomes(JSONValue.parse(text), of: claims, schema.portPlace)
        #expect(outcomes == [.lost(present: PublishedNumber(.udp, 31_007), owner: "a")])
    }

    @Test func transactionsAndTheirAnswers() throws {
        let schema = EtcdSchema(root: "/m/")
        let claims = [
            VIPClaims.Claim(service: "a", address: try address("127.96.0.1"), instead: nil),
            VIPClaims.Claim(service: "b", address: try address("127.96.0.2"), instead: try address("127.96.0.3")),
        ]
        let body = try JSONValue.parse(EtcdRequest.claim(claims, schema.vipPlace))
        #expect(body["success"]?.items?.count == 2)
        // As etcd 3.4.23 answered, header shortened.
        let text = """
            {"header":{"revision":"4"},"succeeded":true,"responses":[{"response_txn":{"header":{},"succeeded":true,\
            "responses":[{"response_put":{"header":{"revision":"4"}}}]}},{"response_txn":{"header":{},"responses":[\
            {"response_range":{"header":{"revision":"4"}}},{"response_range":{"header":{"revision":"4"},"kvs":[{"key":\
            "\(Base64.encode("/m/vips/addresses/127.96.0.2"))","create_revision":"4","value":"YQ=="}],"count":"1"}}]}}]}
            """
        let outcomes = try EtcdAnswer.outcomes(JSONValue.parse(text), of: claims, schema.vipPlace)
        #expect(outcomes == [.won, .lost(present: nil, owner: "a")])
        #expect(throws: EtcdFailure.self) { try EtcdAnswer.outcomes(.object([]), of: claims, schema.vipPlace) }
    }
}

/// What one node knows, which may be old, and has under way.
private struct ClaimingNode {
    var claims: VIPClaims
    var present: [String: IPAddress] = [:]
    var owners: [IPAddress: String] = [:]
    var isTimerSet = false
    var pending: [VIPClaims.Claim] = []
}
