/// Gives each published port that names no number one of 30000…32767, for as long as it is published.
///
/// The number is hashed from what is published, so that it is the same after a restart and, where no two meet, on every
/// node; where two meet, the later one takes the next free.
struct PortAllocator {
    static let range: ClosedRange<UInt16> = 30_000...32_767

    private(set) var assigned: [String: UInt16] = [:]
    private var taken: [UInt16: String] = [:]
    /// Restored and not asked for since: the first to go where there is no room.
    private var unclaimed: Set<String> = []

    /// Takes a number that `key` had before a restart, if it still is one and is free.
    mutating func restore(_ key: String, _ port: UInt16) {
        guard Self.range.contains(port), taken[port] == nil, assigned[key] == nil else { return }
        (assigned[key], taken[port]) = (port, key)
        unclaimed.insert(key)
    }

    /// The number of `key`; `nil` where all are taken.
    ///
    /// - Parameter isReserved: whether somebody has asked for this number by name.
    mutating func assign(_ key: String, isReserved: (UInt16) -> Bool) -> UInt16? {
        unclaimed.remove(key)
        if let present = assigned[key] { return present }
        if let port = firstFree(key, isReserved) { return take(key, port) }
        for key in unclaimed { release(key) }
        unclaimed = []
        return firstFree(key, isReserved).map { take(key, $0) }
    }

    private mutating func take(_ key: String, _ port: UInt16) -> UInt16 {
        (assigned[key], taken[port]) = (port, key)
        return port
    }

    mutating func release(_ key: String) {
        if let port = assigned.removeValue(forKey: key) { taken[port] = nil }
    }

    private func firstFree(_ key: String, _ isReserved: (UInt16) -> Bool) -> UInt16? {
        let count = UInt64(Self.range.count)
        let start = VIPAllocator.hash(key) % count
        for step in 0..<count {
            let port = Self.range.lowerBound + UInt16((start + step) % count)
            if taken[port] == nil, !isReserved(port) { return port }
        }
        return nil
    }
}
