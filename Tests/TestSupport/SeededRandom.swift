/// SplitMix64: a run of a property test is the same everywhere, and its seed is all one needs to repeat it.
public struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is above 0.
    public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// True once in `times`.
    public mutating func once(in times: Int) -> Bool { below(times) == 0 }

    public mutating func element<T>(of list: [T]) -> T { list[below(list.count)] }
}

extension SeededRandom {
    /// Damages `input` in one to four places, or joins it with a part of `other`.
    public mutating func mutate(_ input: [UInt8], crossedWith other: [UInt8], interesting: [UInt8]) -> [UInt8] {
        var bytes = input
        for _ in 0...below(4) {
            let at = below(bytes.count + 1)
            switch below(7) {
            case 0 where at < bytes.count: bytes[at] = UInt8(below(256))
            case 1 where at < bytes.count: bytes[at] ^= 1 << UInt8(below(8))
            case 2 where at < bytes.count: bytes.remove(at: at)
            case 3: bytes.insert(element(of: interesting), at: at)
            case 4: bytes.removeSubrange(at...)
            case 5:
                let end = min(bytes.count, at + below(12))
                bytes.insert(contentsOf: Array(bytes[at..<end]), at: at)
            default:
                let cut = below(other.count + 1)
                bytes = Array(bytes[..<at]) + other[cut...]
            }
        }
        return bytes
    }
}
