import Glibc

/// Remembers how far a head that comes in pieces has been searched for its end, so that a sender of single bytes
/// costs one look at each byte and not a parse of the whole head for each.
public struct HeadScan: Sendable {
    private var scanned: Int32 = 0

    public init() {}

    public mutating func reset() { scanned = 0 }

    /// Whether a parse of `bytes` can have another outcome than "incomplete": an empty line or a fault has come.
    public mutating func isWorthParsing(_ bytes: UnsafeRawBufferPointer, limitBytes: Int) -> Bool {
        guard let raw = bytes.baseAddress else { return false }
        if scanned == 0 {
            scanned = Int32(bytes.count)
            return true
        }
        let base = raw.assumingMemoryBound(to: UInt8.self)
        var position = min(Int(scanned), bytes.count)
        scanned = Int32(bytes.count)
        while position < bytes.count, let hit = memchr(base + position, Int32(Octets.lf), bytes.count - position) {
            let index = UnsafeRawPointer(hit) - raw
            guard index >= 2, base[index - 1] == Octets.cr else { return true }
            if base[index - 2] == Octets.lf { return true }
            position = index + 1
        }
        return bytes.count >= limitBytes
    }
}
