/// A worker's source of identifiers: xoshiro256** (Blackman and Vigna), not for secrets. With 256 bits of state the
/// sequences of workers all over a cluster do not meet.
public struct RandomBits: Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// - Parameter seed: different for every worker of every node; all zeros is as good as any.
    public init(seed: (UInt64, UInt64, UInt64, UInt64)) {
        state = seed
        // All zeros would stay zeros.
        if state.0 | state.1 | state.2 | state.3 == 0 { state.0 = 0x9e37_79b9_7f4a_7c15 }
    }

    mutating func next() -> UInt64 {
        let result = Self.rotated(state.1 &* 5, 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = Self.rotated(state.3, 45)
        return result
    }

    @inline(__always)
    private static func rotated(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
}
