import MeshCore
import NetAddress
import Testing

@testable import Registry

private func instance(_ id: String) -> InstanceSpec { InstanceSpec(id: id, service: "web", address: .loopbackV4) }

private let web = ServiceSpec(name: "web")
private let second: UInt64 = 1_000_000_000

@Suite struct EmptyHoldTests {
    @Test func oneInstanceThatGoesIsGone() {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        let gone = [EtcdEffect.removeInstance(instance("a"))]
        #expect(hold.filter(gone, isEmpty: true, nowNanoseconds: second) == gone)
        #expect(!hold.isHolding)
    }

    @Test func allAtOnceStay() {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        // The first one went before it could be seen that all go.
        let first = [EtcdEffect.removeInstance(instance("a"))]
        #expect(hold.filter(first, isEmpty: false, nowNanoseconds: second) == first)
        let last = [EtcdEffect.removeInstance(instance("b"))]
        let effects = hold.filter(last, isEmpty: true, nowNanoseconds: 2 * second)
        #expect(Set(effects.map(\.change.text)) == ["+a", "+b"])
        #expect(hold.untilNanoseconds == 32 * second)
        #expect(hold.missingCount == 2)
        // What comes is taken, what goes stays.
        #expect(hold.filter([.removeService(web)], isEmpty: true, nowNanoseconds: 3 * second) == [])
        let back = [EtcdEffect.upsertInstance(instance("a"))]
        #expect(hold.filter(back, isEmpty: false, nowNanoseconds: 3 * second) == back)
        #expect(hold.missingCount == 1)
        _ = hold.filter([.upsertService(web)], isEmpty: false, nowNanoseconds: 4 * second)
        _ = hold.filter([.upsertInstance(instance("b"))], isEmpty: false, nowNanoseconds: 4 * second)
        #expect(!hold.isHolding)
    }

    @Test func oneByOneIsNotAtOnce() {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        for (number, id) in ["a", "b", "c"].enumerated() {
            let gone = [EtcdEffect.removeInstance(instance(id))]
            let now = UInt64(number + 1) * 2 * second
            #expect(hold.filter(gone, isEmpty: id == "c", nowNanoseconds: now) == gone)
        }
    }

    @Test func oneThatComesAndGoesIsOne() {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        let gone = [EtcdEffect.removeInstance(instance("a"))]
        _ = hold.filter(gone, isEmpty: true, nowNanoseconds: second)
        _ = hold.filter([.upsertInstance(instance("a"))], isEmpty: false, nowNanoseconds: second)
        #expect(hold.filter(gone, isEmpty: true, nowNanoseconds: second) == gone)
        #expect(!hold.isHolding)
    }

    @Test func whatCameBackIsNotMissing() {
        var hold = EmptyHold(holdNanoseconds: second)
        _ = hold.filter(
            [.removeInstance(instance("a")), .upsertInstance(instance("a")), .removeInstance(instance("b"))],
            isEmpty: false, nowNanoseconds: second)
        _ = hold.filter([.removeInstance(instance("a"))], isEmpty: true, nowNanoseconds: second)
        #expect(hold.missingCount == 2)
    }

    /// One that somebody took out is not brought back when the last one goes shortly after it, lost or not.
    @Test(arguments: [false, true]) func whatWasTakenOutStaysOut(isLastOnPurpose: Bool) {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        let first = [EtcdEffect.removeInstance(instance("a"), isOnPurpose: true)]
        #expect(hold.filter(first, isEmpty: false, nowNanoseconds: second) == first)
        let last = [
            EtcdEffect.removeInstance(instance("b"), isOnPurpose: isLastOnPurpose),
            .removeService(web, isOnPurpose: isLastOnPurpose),
        ]
        #expect(hold.filter(last, isEmpty: true, nowNanoseconds: second + second / 2) == last)
        #expect(!hold.isHolding)
    }

    @Test func onlyWhatIsLostIsHeld() {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        for id in ["a", "b"] {
            _ = hold.filter([.removeInstance(instance(id))], isEmpty: false, nowNanoseconds: second)
        }
        // Lost, but then taken back by who announced it.
        _ = hold.filter([.upsertInstance(instance("b"))], isEmpty: false, nowNanoseconds: second)
        _ = hold.filter([.removeInstance(instance("b"), isOnPurpose: true)], isEmpty: false, nowNanoseconds: second)
        let last: [EtcdEffect] = [.removeInstance(instance("c"))]
        let effects = hold.filter(last, isEmpty: true, nowNanoseconds: second)
        #expect(Set(effects.map(\.change.text)) == ["+a", "+c"])
        // While it holds the same is so.
        _ = hold.filter([.upsertInstance(instance("d"))], isEmpty: false, nowNanoseconds: second)
        let gone = [EtcdEffect.removeInstance(instance("d"), isOnPurpose: true)]
        #expect(hold.filter(gone, isEmpty: true, nowNanoseconds: second) == gone)
        #expect(hold.missingCount == 2)
    }

    /// What comes, or changes, does not make losses that lie apart one.
    @Test func othersChangesDoNotJoinLosses() {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        _ = hold.filter([.removeInstance(instance("a"))], isEmpty: false, nowNanoseconds: second)
        for step in 1...5 as ClosedRange<UInt64> {
            let change = [EtcdEffect.upsertInstance(instance("b"))]
            _ = hold.filter(change, isEmpty: false, nowNanoseconds: second + step * second / 2)
        }
        let last = [EtcdEffect.removeInstance(instance("b"))]
        #expect(hold.filter(last, isEmpty: true, nowNanoseconds: 4 * second) == last)
        #expect(!hold.isHolding)
    }

    @Test func aReadingWithoutWhatDrainedIsBelieved() {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        var leaving = instance("a")
        leaving.isDraining = true
        let none = (services: [ServiceSpec](), instances: [InstanceSpec]())
        var content = hold.filter(none, before: (services: [web], instances: [leaving]), nowNanoseconds: second)
        #expect(content.instances.isEmpty && !hold.isHolding)
        content = hold.filter(
            none, before: (services: [web], instances: [leaving, instance("b")]), nowNanoseconds: second)
        #expect(content.instances.map(\.id) == ["b"])
    }

    @Test func anEmptyReadingIsHeldAndAFullOneEndsIt() {
        var hold = EmptyHold(holdNanoseconds: 30 * second)
        let full = (services: [web], instances: [instance("a")])
        let none = (services: [ServiceSpec](), instances: [InstanceSpec]())
        var content = hold.filter(none, before: full, nowNanoseconds: second)
        #expect(content.instances == full.instances && content.services == full.services)
        #expect(hold.isHolding)
        content = hold.filter((services: [web], instances: [instance("b")]), before: none, nowNanoseconds: second)
        #expect(content.instances.map(\.id) == ["b", "a"])
        content = hold.filter(
            (services: [web], instances: [instance("a"), instance("b")]),
            before: (services: [web], instances: [instance("b")]), nowNanoseconds: second)
        #expect(content.instances.map(\.id) == ["a", "b"])
        #expect(!hold.isHolding)
    }

    @Test func offMeansOff() {
        var hold = EmptyHold(holdNanoseconds: 0)
        let gone = [EtcdEffect.removeInstance(instance("a")), .removeInstance(instance("b"))]
        #expect(hold.filter(gone, isEmpty: true, nowNanoseconds: second) == gone)
        let content = hold.filter(
            (services: [], instances: []), before: (services: [web], instances: [instance("a")]), nowNanoseconds: second
        )
        #expect(content.instances.isEmpty)
    }
}

extension SourceEvent.Change {
    fileprivate var text: String {
        switch self {
        case .upsertInstance(let spec): "+\(spec.id)"
        case .removeInstance(let key): "-\(key.id)"
        default: "?"
        }
    }
}
