/// Pauses between attempts: doubled with each failure in a row, and half of each at random, so that many clients of
/// one server do not come back together.
struct Backoff: Sendable, Equatable {
    let firstNanoseconds: UInt64
    let longestNanoseconds: UInt64
    private(set) var failures = 0

    init(firstNanoseconds: UInt64 = 100_000_000, longestNanoseconds: UInt64 = 5_000_000_000) {
        self.firstNanoseconds = max(firstNanoseconds, 2)
        self.longestNanoseconds = max(longestNanoseconds, firstNanoseconds)
    }

    /// The pause behind one more failure.
    mutating func next(random: UInt64) -> UInt64 {
        let pause = failures < 32 ? min(firstNanoseconds << UInt64(failures), longestNanoseconds) : longestNanoseconds
        failures += 1
        return pause / 2 + random % (pause / 2 + 1)
    }

    mutating func succeeded() { failures = 0 }
}
