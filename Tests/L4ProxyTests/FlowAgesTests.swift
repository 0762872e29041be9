import TestSupport
import Testing

@testable import L4Proxy

@Suite struct FlowAgesTests {
    /// Against a list that does the same in the plainest way.
    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func theOldestIsTheLongestSilent(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var ages = FlowAges()
        var model: [(slot: Int32, last: UInt64)] = []
        var now: UInt64 = 0
        for _ in 0..<20_000 {
            now += UInt64(random.below(3))
            switch random.below(4) {
            case 0, 1:
                let slot = ages.insert(now: now)
                #expect(!model.contains { $0.slot == slot })
                model.append((slot, now))
            case 2 where !model.isEmpty:
                let entry = model.remove(at: random.below(model.count))
                ages.touch(entry.slot, now: now)
                model.append((entry.slot, now))
            default:
                guard !model.isEmpty, model.count > random.below(300) else { continue }
                ages.remove(model.remove(at: random.below(model.count)).slot)
            }
            #expect(ages.count == model.count)
            #expect(ages.oldest?.slot == model.first?.slot && ages.oldest?.last == model.first?.last)
        }
    }

    @Test func roomAtTheLimit() {
        var ages = FlowAges()
        #expect(ages.room(limit: 2, silence: 10, now: 0) == .free)
        let first = ages.insert(now: 0)
        let second = ages.insert(now: 5)
        #expect(ages.room(limit: 3, silence: 10, now: 5) == .free)
        #expect(ages.room(limit: 2, silence: 10, now: 9) == .none)
        #expect(ages.room(limit: 2, silence: 10, now: 10) == .evict(first))
        ages.touch(first, now: 11)
        #expect(ages.room(limit: 2, silence: 10, now: 15) == .evict(second))
        #expect(ages.room(limit: 2, silence: 10, now: 3) == .none, "a clock that stepped back")
    }
}
