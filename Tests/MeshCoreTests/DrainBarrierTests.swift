import NetAddress
import Testing

@testable import MeshCore

private let a = InstanceKey(service: "web", id: "a")
private let b = InstanceKey(service: "web", id: "b")

private func name(_ id: Int32) -> EndpointName { EndpointName(id: id, incarnation: 1) }

private func flights(_ counts: [Int32: FlightCounts]) -> [EndpointFlights] {
    counts.map { EndpointFlights(endpoint: name($0.key), counts: $0.value) }
}

/// A barrier that expectations may change.
private final class Barrier {
    private var value = DrainBarrier()

    var standings: [InstanceKey: DrainBarrier.Standing] { value.standings }
    var isWaiting: Bool { value.isWaiting }

    func ordered(_ orders: [InstanceKey: Int64]) -> Bool { value.ordered(orders) }
    func obeyed(_ endpoints: (InstanceKey) -> [EndpointName]) { value.obeyed(endpoints) }
    func look() -> DrainBarrier.Look? { value.look() }
    func counted(_ look: DrainBarrier.Look, _ flights: [EndpointFlights]?) -> Bool { value.counted(look, flights) }
    func nextPauseNanoseconds() -> UInt64 { value.nextPauseNanoseconds() }
}

@Suite struct DrainBarrierTests {
    @Test func anOrderIsLookedAtOnceItIsObeyedUntilNothingIsLeft() throws {
        let barrier = Barrier()
        #expect(barrier.look() == nil)
        #expect(barrier.ordered([a: 7]))
        #expect(!barrier.ordered([a: 7]), "no news")
        #expect(barrier.look() == nil, "no snapshot obeys it yet")
        #expect(barrier.isWaiting)
        barrier.obeyed { _ in [name(1), name(2)] }
        let look = try #require(barrier.look())
        #expect(!barrier.counted(look, nil), "a worker did not answer")
        #expect(barrier.standings[a] == .init(order: 7))
        let some = flights([1: FlightCounts(exchanges: 2), 2: FlightCounts(flows: 1), 3: FlightCounts(exchanges: 9)])
        #expect(barrier.counted(look, some))
        #expect(barrier.standings[a]?.left == FlightCounts(exchanges: 2, flows: 1))
        #expect(!barrier.counted(look, some), "the same is no news")
        #expect(barrier.counted(look, flights([3: FlightCounts(exchanges: 9)])))
        #expect(barrier.standings[a]?.isDone == true)
        #expect(!barrier.isWaiting && barrier.look() == nil)
    }

    @Test func aCountIsGoodForTheOrdersItBeganWith() throws {
        let barrier = Barrier()
        _ = barrier.ordered([a: 1])
        barrier.obeyed { _ in [name(1)] }
        let early = try #require(barrier.look())
        // Meanwhile a second order of the same instance, and one of another.
        #expect(barrier.ordered([a: 2, b: 3]))
        barrier.obeyed { $0 == a ? [name(1)] : [name(2)] }
        #expect(!barrier.counted(early, []))
        #expect(barrier.standings.values.compactMap(\.left).isEmpty)
        let late = try #require(barrier.look())
        #expect(barrier.counted(late, []))
        #expect(barrier.standings.values.filter(\.isDone).count == 2)
        #expect(barrier.ordered([b: 3]))
        #expect(barrier.standings == [b: .init(order: 3, left: FlightCounts())])
    }

    @Test func anotherIncarnationIsAnotherEndpoint() throws {
        let barrier = Barrier()
        _ = barrier.ordered([a: 1])
        barrier.obeyed { _ in [name(1)] }
        let other = EndpointFlights(
            endpoint: EndpointName(id: 1, incarnation: 2), counts: FlightCounts(sessions: 1))
        let look = try #require(barrier.look())
        _ = barrier.counted(look, [other])
        #expect(barrier.standings[a]?.isDone == true)
    }

    @Test func pausesGrowAndBeginAnewWithAnOrder() {
        let barrier = Barrier()
        _ = barrier.ordered([a: 1])
        var pauses: [UInt64] = []
        for _ in 0..<8 { pauses.append(barrier.nextPauseNanoseconds() / 1_000_000) }
        #expect(pauses == [10, 20, 40, 80, 160, 250, 250, 250])
        _ = barrier.ordered([a: 2])
        pauses = [barrier.nextPauseNanoseconds() / 1_000_000]
        #expect(pauses == [10])
    }

    @Test func progressNamesWhoIsLeft() {
        let left = DrainBarrier.Standing(order: 5, left: FlightCounts(tunnels: 1))
        let done = DrainBarrier.Standing(order: 5, left: FlightCounts())
        let progress = DrainProgress(
            orders: [a: 5],
            nodes: [
                .init(name: "n4", standings: [a: done, b: left]), .init(name: "n3", standings: [a: left]),
                .init(name: "n2", standings: [a: .init(order: 4, left: FlightCounts())]),
                .init(name: "n1", standings: [:]),
            ])
        let rests = progress.rests
        #expect(rests.map(\.node) == ["n1", "n2", "n3", "n4"])
        #expect(rests.map(\.silent) == [[a], [a], [], []])
        #expect(rests[2].left.map(\.counts) == [FlightCounts(tunnels: 1)])
        #expect(rests.map(\.isDone) == [false, false, false, true])
    }

    @Test func kindsAreCountedApart() {
        let balancer = Balancer(seed: 1)
        let endpoint = Endpoint(id: 3, incarnation: 9, weight: 1, address: .init(.loopbackV4, 1))
        for kind in [FlightKind.exchanges, .exchanges, .sessions, .flows] { balancer.began(endpoint, kind) }
        balancer.becameTunnel(endpoint)
        let counts = FlightCounts(exchanges: 1, tunnels: 1, sessions: 1, flows: 1)
        let name = EndpointName(id: 3, incarnation: 9)
        #expect(balancer.inFlightByEndpoint() == [EndpointFlights(endpoint: name, counts: counts)])
        #expect(balancer.inFlight(endpoint) == 4)
        for kind in FlightKind.allCases { balancer.ended(endpoint, kind) }
        #expect(balancer.inFlightByEndpoint().isEmpty)
    }
}
