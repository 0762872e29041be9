public import NetAddress

/// One container port of one instance, as workers see it: where to dial, and the key of everything a worker keeps for
/// it.
public struct Endpoint: BitwiseCopyable, Sendable {
    /// Small and dense: index of the worker's own tables. Given to another endpoint some time after this one is gone.
    public let id: Int32
    /// Never the same for two endpoints with one id.
    public let incarnation: UInt32
    public let weight: Int32
    public let address: SocketAddress
}

/// The instances that may be picked for one container port of a service.
public struct Pool: BitwiseCopyable, @unchecked Sendable {
    // The memory belongs to a PoolStorage that the snapshot keeps alive, and nobody writes it: hence @unchecked.
    public let endpoints: UnsafePointer<Endpoint>?
    public let count: Int32
    /// Of weighted round robin: indices into `endpoints` in the order of their turns; `nil` where all weights are
    /// equal.
    let sequence: UnsafePointer<UInt16>?
    let sequenceCount: Int32
    let policy: BalancePolicy

    static let none = Pool(endpoints: nil, count: 0, sequence: nil, sequenceCount: 0, policy: .roundRobin)
}

/// Owns the memory behind one `Pool`.
final class PoolStorage: Sendable {
    nonisolated(unsafe) private let endpoints: UnsafeMutablePointer<Endpoint>
    nonisolated(unsafe) private let sequence: UnsafeMutablePointer<UInt16>?
    let pool: Pool

    init(_ list: [Endpoint], policy: BalancePolicy) {
        endpoints = .allocate(capacity: max(list.count, 1))
        endpoints.initialize(from: list, count: list.count)
        let turns =
            policy == .weightedRoundRobin || policy == .roundRobin ? WeightedSequence.turns(list.map(\.weight)) : []
        if turns.isEmpty {
            sequence = nil
        } else {
            let memory = UnsafeMutablePointer<UInt16>.allocate(capacity: turns.count)
            memory.initialize(from: turns, count: turns.count)
            sequence = memory
        }
        pool = Pool(
            endpoints: list.isEmpty ? nil : UnsafePointer(endpoints), count: Int32(list.count),
            sequence: UnsafePointer(sequence), sequenceCount: Int32(turns.count), policy: policy)
    }

    deinit {
        endpoints.deallocate()
        sequence?.deallocate()
    }
}

/// The order of turns in weighted round robin, computed once per change so that a pick is one load.
enum WeightedSequence {
    /// Longest sequence; larger weights are scaled down, none of them to zero.
    static let longest = 16_384

    /// Turns spread evenly: of weights 3 and 1, not `AAAB` but `AABA`. Empty where all weights are equal.
    static func turns(_ weights: [Int32]) -> [UInt16] {
        guard let first = weights.first, weights.contains(where: { $0 != first }), weights.count <= Int(UInt16.max)
        else {
            return []
        }
        let scaled = scale(weights)
        // Each endpoint's turns lie at (k + 1/2) / weight of the way; sorted by that, nobody waits longer than due.
        var turns: [(at: Double, index: UInt16)] = []
        for (index, weight) in scaled.enumerated() {
            for turn in 0..<weight { turns.append(((Double(turn) + 0.5) / Double(weight), UInt16(index))) }
        }
        turns.sort { ($0.at, $0.index) < ($1.at, $1.index) }
        return turns.map(\.index)
    }

    private static func scale(_ weights: [Int32]) -> [Int] {
        let divisor = weights.reduce(0) { gcd($0, Int($1)) }
        let reduced = weights.map { Int($0) / max(divisor, 1) }
        let total = reduced.reduce(0, +)
        guard total > longest else { return reduced }
        return reduced.map { $0 == 0 ? 0 : max(1, $0 * longest / total) }
    }

    private static func gcd(_ a: Int, _ b: Int) -> Int { b == 0 ? a : gcd(b, a % b) }
}
