import NetAddress
import TestSupport
import Testing

@testable import MeshCore

@Suite struct SipHashTests {
    /// The vectors of the paper's appendix A and of its reference code.
    @Test func referenceVectors() {
        let (k0, k1): (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
        #expect(SipHash.hash([], k0, k1) == 0x726f_db47_dd0e_0e31)
        #expect(SipHash.hash(0..<8, k0, k1) == 0x93f5_f579_9a93_2462)
        #expect(SipHash.hash(0..<15, k0, k1) == 0xa129_ca61_49be_45e5)
    }
}

@Suite struct SessionTicketTests {
    private static let key = SessionKey(secret: "one")
    private static let start: UInt32 = 1_800_000_000
    private static let ticket = SessionTicket(service: 5, instance: 9, issued: start, seen: start)

    private func text(_ ticket: SessionTicket, _ key: SessionKey = key) -> [UInt8] {
        var bytes: [UInt8] = []
        ticket.write(key) { bytes.append($0) }
        return bytes
    }

    private func read(_ bytes: [UInt8], _ key: SessionKey = key, now: UInt32 = start) -> SessionTicket? {
        guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else { return nil }
        return Array(bytes[..<equals]).withUnsafeBytes { name in
            Array(bytes[(equals + 1)...]).withUnsafeBytes {
                SessionTicket(name: name, value: $0, key: key, now: now)
            }
        }
    }

    @Test func whatIsWrittenIsRead() {
        let bytes = text(Self.ticket)
        #expect(bytes.count == SessionTicket.nameCount + 1 + SessionTicket.valueCount)
        #expect(read(bytes) == Self.ticket)
    }

    @Test func anotherSecretsTicketsAreNotTaken() {
        #expect(read(text(Self.ticket), SessionKey(secret: "two")) == nil)
        let other = SessionKey(secret: "two")
        let web = InstanceKey(service: "web", id: "1")
        #expect(other.instance(web) != Self.key.instance(web))
        #expect(other.service("web") != Self.key.service("web"))
        #expect(SessionKey(secret: "one").instance(web) == Self.key.instance(web), "the same on every node")
    }

    /// Every changed octet breaks the seal.
    @Test func aChangedTicketIsNotTaken() {
        let bytes = text(Self.ticket)
        for index in bytes.indices {
            for change in [1, 2, 0x10, 0x80] as [UInt8] {
                var changed = bytes
                changed[index] ^= change
                #expect(read(changed) == nil, "octet \(index)")
            }
        }
        #expect(read(Array(bytes.dropLast())) == nil)
        #expect(read(bytes + [48]) == nil)
    }

    @Test func itEndsWhenIdleAndAtItsAge() {
        func isGood(_ issued: UInt32, _ seen: UInt32, at now: UInt32) -> Bool {
            read(text(SessionTicket(service: 5, instance: 9, issued: issued, seen: seen)), now: now) != nil
        }
        let start = Self.start
        #expect(isGood(start, start, at: start + 1_799))
        #expect(!isGood(start, start, at: start + 1_800), "30 minutes without a request")
        #expect(isGood(start, start + 28_000, at: start + 28_799))
        #expect(!isGood(start, start + 28_700, at: start + 28_800), "8 hours in all")
        #expect(isGood(start, start, at: start - 299), "clocks of nodes differ")
        #expect(!isGood(start, start, at: start - 301), "nobody writes into the future")
        #expect(!isGood(start + 1, start, at: start + 2))
        #expect(!isGood(.max, .max, at: 0) && isGood(.max, .max, at: .max), "no overflow")
    }

    @Test func theCookieEndsWithTheTicket() {
        #expect(Self.ticket.remainingSeconds(at: Self.start) == 1_800)
        #expect(Self.ticket.remainingSeconds(at: Self.start + 28_700) == 100)
        #expect(Self.ticket.remainingSeconds(at: Self.start + 30_000) == 0)
    }

    @Test(arguments: 0..<20)
    func anythingAtAllIsReadWithoutHarm(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let bytes = text(Self.ticket)
        for _ in 0..<500 {
            let mutated = random.mutate(bytes, crossedWith: bytes, interesting: Array("=09afgAF-".utf8))
            if let found = read(mutated) { #expect(found == Self.ticket) }
        }
    }

    @Test func theNewestTicketsAreKept() {
        var tickets = SessionTickets()
        #expect(tickets.isEmpty && tickets[0] == nil)
        for issued in [3, 9, 1, 7, 5, 8] as [UInt32] {
            tickets.insert(SessionTicket(service: issued, instance: 1, issued: issued, seen: issued))
        }
        #expect((0..<5).map { tickets[$0]?.issued } == [9, 8, 7, 5, nil])
        #expect(tickets.ticket(of: 7)?.issued == 7)
        #expect(tickets.ticket(of: 3) == nil)
    }
}

@Suite struct StickyPickTests {
    private func mesh(_ services: [(String, Int)], sticky: Bool = true) -> (MeshFixture, Balancer) {
        var mesh = MeshFixture()
        for (index, service) in services.enumerated() {
            var spec = ServiceSpec.web(service.0, host: .any, weight: service.1)
            spec.isSticky = sticky
            mesh.add(spec)
            for number in 1...3 { mesh.add(service.0, "10.0.\(index).\(number)") }
        }
        let balancer = Balancer(seed: 3)
        balancer.install(mesh.compile())
        return (mesh, balancer)
    }

    private func ticket(_ mesh: MeshFixture, _ service: String, _ endpoint: Endpoint) -> SessionTickets {
        var tickets = SessionTickets()
        let name = SessionKey.none.service(service)
        tickets.insert(SessionTicket(service: name, instance: endpoint.session, issued: 1, seen: 1))
        return tickets
    }

    @Test func theInstanceOfTheTicketIsPicked() {
        let (mesh, balancer) = mesh([("web", 100)])
        #expect(balancer.isSticky(rule: 0))
        #expect(balancer.session(mesh.pool("web")) == SessionKey.none.service("web"))
        for wanted in mesh.endpoints("web") {
            for _ in 0..<5 {
                let found = balancer.pick(
                    mesh.pool("web"), tried: TriedEndpoints(), client: .loopbackV4, session: wanted.session)
                #expect(found?.id == wanted.id)
            }
            var tried = TriedEndpoints()
            tried.insert(wanted.id)
            #expect(
                balancer.pick(mesh.pool("web"), tried: tried, client: .loopbackV4, session: wanted.session)?.id
                    != wanted.id)
        }
        #expect(
            balancer.pick(mesh.pool("web"), tried: TriedEndpoints(), client: .loopbackV4, session: 1) != nil,
            "an unknown instance")
    }

    @Test func aClientStaysWithItsServiceAsLongAsThatTakesAnything() {
        var (mesh, balancer) = mesh([("blue", 100), ("green", 100)])
        let tickets = ticket(mesh, "green", mesh.endpoints("green")[1])
        for _ in 0..<20 { #expect(balancer.choose(rule: 0, tickets)?.pool == mesh.pool("green")) }
        mesh.set("green", "10.0.1.2", .unhealthy)
        balancer.install(mesh.compile())
        for _ in 0..<20 { #expect(balancer.choose(rule: 0, tickets)?.pool == mesh.pool("green")) }
        for number in [1, 3] { mesh.set("green", "10.0.1.\(number)", .unhealthy) }
        balancer.install(mesh.compile())
        #expect(balancer.choose(rule: 0, tickets)?.pool == mesh.pool("blue"))
    }

    @Test func weightZeroTakesNoSessionsEither() {
        let (mesh, balancer) = mesh([("blue", 100), ("green", 0)])
        let tickets = ticket(mesh, "green", mesh.endpoints("green")[0])
        #expect(balancer.choose(rule: 0, tickets)?.pool == mesh.pool("blue"))
    }

    @Test func withoutTheLabelThereAreNoSessions() {
        let (mesh, balancer) = mesh([("web", 100)], sticky: false)
        #expect(!balancer.isSticky(rule: 0))
        #expect(mesh.endpoints("web").allSatisfy { $0.session == 0 })
    }

    @Test func sharesAreEvenFromTheFirstRequestOn() {
        let (mesh, balancer) = mesh([("blue", 75), ("green", 25)], sticky: false)
        var counts: [Int32: Int] = [:]
        for _ in 0..<40 { counts[balancer.choose(rule: 0, SessionTickets())?.pool ?? -1, default: 0] += 1 }
        #expect(abs(counts[mesh.pool("blue"), default: 0] - 30) <= 1, "\(counts)")
    }
}
