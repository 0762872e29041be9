/// Patterns in which `*` stands for any octets, also for none.
enum Glob {
    static let star = UInt8(ascii: "*")

    /// Steps back to the last `*` only: at most pattern times text, and no recursion.
    static func matches(
        _ pattern: UnsafePointer<UInt8>, _ patternCount: Int, _ text: UnsafePointer<UInt8>, _ count: Int
    ) -> Bool {
        var p = 0
        var t = 0
        var lastStar = -1
        var resume = 0
        while t < count {
            if p < patternCount, pattern[p] == star {
                (lastStar, resume) = (p, t)
                p += 1
            } else if p < patternCount, pattern[p] == text[t] {
                p += 1
                t += 1
            } else if lastStar >= 0 {
                p = lastStar + 1
                resume += 1
                t = resume
            } else {
                return false
            }
        }
        while p < patternCount, pattern[p] == star { p += 1 }
        return p == patternCount
    }
}
