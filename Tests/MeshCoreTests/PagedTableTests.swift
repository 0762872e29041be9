import TestSupport
import Testing

@testable import MeshCore

@Suite struct PagedTableTests {
    @Test func whatWasNeverSetIsTheFill() {
        let empty = PagedTable<Int32>(fill: -7)
        #expect(empty.capacity == 0)
        for index in [Int.min, -1, 0, 1, Int.max] { #expect(empty[index] == -7) }
        let one = empty.replacing([300: 5])
        #expect(one.capacity == 384)
        #expect(one[300] == 5)
        for index in [-1, 0, 127, 128, 299, 301, 383, 384, Int.max] { #expect(one[index] == -7) }
        #expect(empty[300] == -7)
    }

    @Test func noChangeIsTheSameTable() {
        let table = PagedTable<Int32>(fill: 0).replacing([1: 1])
        #expect(table.replacing([:]) === table)
    }

    @Test(arguments: 0..<10)
    func everyVersionKeepsItsValues(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var versions: [(table: PagedTable<UInt32>, model: [Int: UInt32])] = [(PagedTable(fill: 9), [:])]
        for _ in 0..<60 {
            var (table, model) = random.element(of: versions)
            var changes: [Int: UInt32] = [:]
            for _ in 0..<random.below(20) { changes[random.below(700)] = UInt32(random.below(1000)) }
            table = table.replacing(changes)
            model.merge(changes) { $1 }
            versions.append((table, model))
        }
        for (table, model) in versions {
            for index in 0..<800 where table[index] != model[index] ?? 9 { Issue.record("index \(index)") }
        }
    }
}
