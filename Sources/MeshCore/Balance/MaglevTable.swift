/// The table of the Maglev policy ("Maglev: A Fast and Reliable Software Network Load Balancer", section 3.4): each
/// slot names an endpoint, a client's hash chooses the slot. Endpoints fill it by turns, each by its own permutation
/// of the slots, so that shares are even and most slots keep their endpoint when another one comes or goes.
///
/// It depends on nothing but the endpoints' addresses, weights and order: every node builds the same.
enum MaglevTable {
    /// Prime, so that any step walks through all slots. Of 1,000 endpoints each has 65 or 66 slots.
    static let size = 65_537
    /// More endpoints than this have no table.
    static let mostEndpoints = Int(UInt16.max)

    /// Where an endpoint looks for its next free slot.
    private struct Walk {
        var slot: UInt32
        let step: UInt32
    }

    /// Index of the endpoint for each slot.
    ///
    /// - Parameters:
    ///   - hashes: of the endpoints' addresses; 1...`mostEndpoints`.
    ///   - weights: as many, each above 0.
    static func make(_ hashes: UnsafeBufferPointer<UInt64>, weights: [Int32]) -> UnsafeMutablePointer<UInt16> {
        let table = UnsafeMutablePointer<UInt16>.allocate(capacity: size)
        table.initialize(repeating: 0, count: size)
        withUnsafeTemporaryAllocation(of: Walk.self, capacity: hashes.count) { walks in
            for (index, hash) in hashes.enumerated() {
                let other = AddressHash.mixed(hash &+ 0x9e37_79b9_7f4a_7c15)
                let walk = Walk(slot: UInt32(hash % UInt64(size)), step: UInt32(1 + other % UInt64(size - 1)))
                (walks.baseAddress! + index).initialize(to: walk)
            }
            // One bit a slot: 8 KiB, which stay in the nearest cache, unlike the table.
            withUnsafeTemporaryAllocation(of: UInt64.self, capacity: size / 64 + 1) { taken in
                taken.initialize(repeating: 0)
                let filling = Filling(walks: walks.baseAddress!, taken: taken.baseAddress!, table: table)
                if weights.allSatisfy({ $0 == weights[0] }) {
                    filling.inTurn(hashes.count)
                } else {
                    filling.byWeight(weights)
                }
            }
        }
        return table
    }

    private struct Filling {
        let walks: UnsafeMutablePointer<Walk>
        let taken: UnsafeMutablePointer<UInt64>
        let table: UnsafeMutablePointer<UInt16>

        func inTurn(_ count: Int) {
            var index = 0
            for _ in 0..<size {
                take(index)
                index = index + 1 == count ? 0 : index + 1
            }
        }

        /// The heaviest endpoint takes a slot in every round, the others in so many rounds as is their share of its
        /// weight. Who has a turn in a round stands in that round's list, so that rounds cost nothing for the rest.
        func byWeight(_ weights: [Int32]) {
            let heaviest = Int(weights.max() ?? 1)
            var first = [Int32](repeating: -1, count: size + 1)
            var next = [Int32](repeating: -1, count: weights.count)
            var turns = [Int](repeating: 0, count: weights.count)
            func enlist(_ index: Int) {
                let round = (2 * turns[index] + 1) * heaviest / (2 * max(Int(weights[index]), 1))
                guard round <= size else { return }
                next[index] = first[round]
                first[round] = Int32(truncatingIfNeeded: index)
            }
            for index in weights.indices.reversed() { enlist(index) }
            var filled = 0
            for round in 0...size {
                var index = first[round]
                while index >= 0 {
                    take(Int(index))
                    filled += 1
                    if filled == size { return }
                    let following = next[Int(index)]
                    turns[Int(index)] += 1
                    enlist(Int(index))
                    index = following
                }
            }
        }

        /// Gives the endpoint the next slot of its walk that is free.
        @inline(__always)
        private func take(_ index: Int) {
            var slot = walks[index].slot
            let step = walks[index].step
            while taken[Int(slot >> 6)] >> UInt64(slot & 63) & 1 != 0 { slot = Self.after(slot, step) }
            taken[Int(slot >> 6)] |= 1 << UInt64(slot & 63)
            table[Int(slot)] = UInt16(truncatingIfNeeded: index)
            walks[index].slot = Self.after(slot, step)
        }

        @inline(__always)
        private static func after(_ slot: UInt32, _ step: UInt32) -> UInt32 {
            let next = slot &+ step
            return next < UInt32(size) ? next : next &- UInt32(size)
        }
    }
}
