import NetAddress
import TestSupport
import Testing

@testable import MeshCore

@Suite struct PagedTableTests {
    @Test func whatWasNeverSetIsTheFill() {
        let empty = PagedTable<Int32>(fill: -7)
        #expect(empty.capacity == 0)
        for index in [Int.min, -1, 0, 1, Int.max] { #expect(empty[index] == -7) }
        let page = PagedTable<Int32>.pageSize
        let place = 2 * page + 44
        let one = empty.replacing([place: 5])
        #expect(one.capacity == 3 * page)
        #expect(one[place] == 5)
        for index in [-1, 0, page - 1, page, place - 1, place + 1, 3 * page - 1, 3 * page, Int.max] {
            #expect(one[index] == -7)
        }
        #expect(empty[place] == -7)
    }

    @Test func pagesHoldAPowerOfTwo() {
        #expect(PagedTable<UInt8>.pageSize == 16_384)
        #expect(PagedTable<UInt32>.pageSize == 4_096)
        // Of elements of 24 bytes 682 would fit.
        #expect(MemoryLayout<SocketAddress>.stride == 24)
        #expect(PagedTable<SocketAddress>.pageSize == 512)
    }

    @Test(arguments: [0, 1, 4_095, 4_096, 4_097, 10_000])
    func aListIsTheTableOfItsElements(count: Int) {
        let table = PagedTable((0..<count).map { UInt32($0) }, fill: 7)
        for index in 0..<count where table[index] != UInt32(index) { Issue.record("index \(index)") }
        #expect(table[count] == 7 && table[-1] == 7)
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
            for _ in 0..<random.below(20) { changes[random.below(20_000)] = UInt32(random.below(1000)) }
            table = table.replacing(changes)
            model.merge(changes) { $1 }
            versions.append((table, model))
        }
        for (table, model) in versions {
            let looked = Array(model.keys) + (0..<100).map { _ in random.below(20_100) }
            for index in looked where table[index] != model[index] ?? 9 { Issue.record("index \(index)") }
        }
    }
}
