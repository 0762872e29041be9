/// Allows so many events a second, five seconds' worth at once. Time comes in as a number.
struct FrameBudget {
    private static let burstSeconds: UInt64 = 5

    /// Nanoseconds that one event costs; 0: everything is allowed.
    private let cost: UInt64
    private let ceiling: UInt64
    private var credit: UInt64
    private var lastNanoseconds: UInt64

    /// - Parameter perSecond: 0 allows everything.
    init(perSecond: Int, nowNanoseconds: UInt64) {
        cost = perSecond > 0 ? max(1, 1_000_000_000 / UInt64(perSecond)) : 0
        ceiling = Self.burstSeconds * 1_000_000_000
        credit = ceiling
        lastNanoseconds = nowNanoseconds
    }

    /// `false`: one event too many.
    mutating func take(nowNanoseconds: UInt64) -> Bool {
        if nowNanoseconds > lastNanoseconds {
            credit = min(ceiling, credit &+ min(nowNanoseconds - lastNanoseconds, ceiling))
            lastNanoseconds = nowNanoseconds
        }
        guard credit >= cost else { return false }
        credit -= cost
        return true
    }

    /// Pays for events that an own action invites.
    mutating func give(events: UInt64) { credit = min(ceiling, credit + min(events &* cost, ceiling)) }
}
