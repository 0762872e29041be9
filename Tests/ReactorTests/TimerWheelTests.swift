import TestSupport
import Testing

@testable import Reactor

@Suite struct TimerWheelTests {
    private static let tick: UInt64 = 1 << 22

    private func drain(_ wheel: inout TimerWheel, at now: UInt64) -> [Int32] {
        var slots: [Int32] = []
        while let slot = wheel.popExpired(nowNanoseconds: now) { slots.append(slot) }
        return slots
    }

    @Test func firesOnceInTime() {
        var wheel = TimerWheel(nowNanoseconds: 0)
        defer { wheel.deallocate() }
        #expect(wheel.nextWakeNanoseconds == nil)
        wheel.set(3, deadline: 10 * Self.tick)
        #expect(wheel.nextWakeNanoseconds == 10 * Self.tick)
        #expect(drain(&wheel, at: 10 * Self.tick - 1) == [])
        #expect(drain(&wheel, at: 10 * Self.tick) == [3])
        #expect(drain(&wheel, at: .max) == [])
        #expect(wheel.nextWakeNanoseconds == nil)
        #expect(wheel.deadline(3) == .max)
    }

    @Test func aDeadlineInThePastFiresWithinATick() {
        for deadline in [0, 1, 99] as [UInt64] {
            var wheel = TimerWheel(nowNanoseconds: 100 * Self.tick)
            defer { wheel.deallocate() }
            wheel.set(0, deadline: deadline)
            #expect(wheel.nextWakeNanoseconds! <= 101 * Self.tick)
            #expect(drain(&wheel, at: 101 * Self.tick) == [0])
        }
    }

    @Test func farDeadlinesNeitherFireNorSpin() {
        for deadline in [UInt64.max - 1, .max - (1 << 21), .max >> 1, 1 << 62] {
            var wheel = TimerWheel(nowNanoseconds: 1 << 40)
            defer { wheel.deallocate() }
            wheel.set(0, deadline: deadline)
            #expect(wheel.nextWakeNanoseconds! > 1 << 50)
            #expect(drain(&wheel, at: 1 << 49) == [])
        }
    }

    @Test func aMovedDeadlineFiresAtItsNewPlace() {
        var wheel = TimerWheel(nowNanoseconds: 0)
        defer { wheel.deallocate() }
        wheel.set(0, deadline: 5 * Self.tick)
        wheel.set(0, deadline: 500 * Self.tick)
        #expect(drain(&wheel, at: 5 * Self.tick) == [])
        #expect(wheel.nextWakeNanoseconds == 448 * Self.tick || wheel.nextWakeNanoseconds == 500 * Self.tick)
        wheel.set(0, deadline: 6 * Self.tick)
        #expect(drain(&wheel, at: 6 * Self.tick) == [0])
        wheel.set(0, deadline: 9 * Self.tick)
        wheel.set(0, deadline: .max)
        #expect(drain(&wheel, at: 1_000 * Self.tick) == [])
        #expect(wheel.nextWakeNanoseconds == nil)
    }

    @Test func aClearedSlotMayBeGivenAway() {
        var wheel = TimerWheel(nowNanoseconds: 0)
        defer { wheel.deallocate() }
        for slot in 0..<3 as Range<Int32> { wheel.set(slot, deadline: Self.tick) }
        #expect(wheel.popExpired(nowNanoseconds: Self.tick) != nil)
        // The others are due already: their owners go, new ones come.
        for slot in 0..<3 as Range<Int32> { wheel.clear(slot) }
        wheel.set(1, deadline: 50 * Self.tick)
        #expect(drain(&wheel, at: 2 * Self.tick) == [])
        #expect(drain(&wheel, at: 50 * Self.tick) == [1])
    }

    /// Against a plain list: never early, at most one tick late, nothing lost and nothing twice.
    @Test(arguments: 0..<40)
    func agreesWithAPlainList(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var now = random.once(in: 2) ? 0 : random.next() >> UInt64(2 + random.below(30))
        var wheel = TimerWheel(nowNanoseconds: now)
        defer { wheel.deallocate() }
        wheel.grow(toHold: 199)
        var model: [Int32: UInt64] = [:]
        /// When a deadline was set: one in the past cannot fire before the next tick.
        for step in 0..<3_000 {
            let slot = Int32(random.below(200))
            switch random.below(10) {
            case 0...5:
                let span = random.next() >> UInt64(20 + random.below(44))
                let deadline = random.once(in: 20) ? now - min(now, span) : now + span
                wheel.set(slot, deadline: deadline)
                model[slot] = deadline
            case 6:
                if random.once(in: 2) { wheel.clear(slot) } else { wheel.set(slot, deadline: .max) }
                model[slot] = nil
            default:
                advance(&now, wheel, &random)
                let fired = drain(&wheel, at: now)
                #expect(Set(fired).count == fired.count, "seed \(seed), step \(step)")
                for slot in fired {
                    #expect(model[slot] ?? .max <= now, "early: seed \(seed), step \(step)")
                    model[slot] = nil
                }
                // What is a whole tick late has been lost, unless it was set into the past just now.
                let late = model.filter { $0.value + 2 * Self.tick <= now && wheel.deadline($0.key) != $0.value }
                #expect(late.isEmpty, "lost: seed \(seed), step \(step)")
                now = (now >> 22 + 1) << 22
                for slot in drain(&wheel, at: now) { #expect(model.removeValue(forKey: slot) ?? .max <= now) }
                #expect(model.values.allSatisfy { $0 > now - Self.tick }, "late: seed \(seed), step \(step)")
            }
            if let nearest = model.values.min() {
                let bound = max(nearest, now) + Self.tick
                #expect(wheel.nextWakeNanoseconds ?? .max <= bound, "seed \(seed), step \(step)")
            }
        }
    }

    private func advance(_ now: inout UInt64, _ wheel: TimerWheel, _ random: inout SeededRandom) {
        if random.once(in: 3), let wake = wheel.nextWakeNanoseconds {
            now = max(now, wake)
        } else {
            now += random.next() >> UInt64(24 + random.below(40))
        }
    }
}
