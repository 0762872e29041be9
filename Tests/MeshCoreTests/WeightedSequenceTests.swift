import TestSupport
import Testing

@testable import MeshCore

@Suite struct WeightedSequenceTests {
    @Test func equalWeightsNeedNone() {
        #expect(WeightedSequence.turns([]).isEmpty)
        #expect(WeightedSequence.turns([5]).isEmpty)
        #expect(WeightedSequence.turns([4, 4, 4]).isEmpty)
    }

    @Test func commonDivisorsShortenIt() {
        #expect(WeightedSequence.turns([300, 100]) == WeightedSequence.turns([3, 1]))
        #expect(WeightedSequence.turns([3, 1]).count == 4)
    }

    @Test func longestIsKept() {
        #expect(WeightedSequence.turns([.max, 1, .max]).count <= WeightedSequence.longest + 3)
        let many = (0..<5_000).map { Int32($0 % 999 + 1) }
        let turns = WeightedSequence.turns(many)
        #expect(turns.count <= WeightedSequence.longest + many.count)
        #expect(Set(turns).count == many.count, "nobody is scaled down to nothing")
    }

    /// In every stretch of the sequence each endpoint has its share, give or take two turns.
    @Test(arguments: 0..<50)
    func everyStretchIsFair(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let weights = (0..<2 + random.below(6)).map { _ in Int32(random.below(20) + 1) }
        let turns = WeightedSequence.turns(weights)
        let total = Double(weights.reduce(0, +))
        var counts = [Double](repeating: 0, count: weights.count)
        for (position, index) in turns.enumerated() {
            counts[Int(index)] += 1
            for (other, weight) in weights.enumerated() {
                let due = Double(position + 1) * Double(weight) / total
                #expect(abs(counts[other] - due) <= 2, "weights \(weights) at \(position)")
            }
        }
    }
}
