/// Gives each published port that names no number one of 30000…32767, for as long as it is published.
///
/// The number is hashed from what is published, so that it is the same after a restart; where two meet, the later one
/// takes the next free. Where the nodes agree on numbers (`agree`), the agreed ones count, and nothing is chosen here.
struct PortAllocator {
    static let range: ClosedRange<UInt16> = 30_000...32_767

    private(set) var assigned: [String: UInt16] = [:]
    private var taken: [UInt16: String] = [:]
    /// Restored and not asked for since: the first to go where there is no room.
    private var unclaimed: Set<String> = []
    /// Numbers that the nodes have agreed on; `nil`: this node chooses by itself.
    private var agreed: [String: UInt16]?
    /// Keys without an agreed number.
    private(set) var awaited: Set<String> = []

    /// Takes a number that `key` had before a restart, if it still is one and is free.
    mutating func restore(_ key: String, _ port: UInt16) {
        guard Self.range.contains(port), taken[port] == nil, assigned[key] == nil else { return }
        (assigned[key], taken[port]) = (port, key)
        unclaimed.insert(key)
    }

    /// Takes in what the nodes have agreed on; `nil` as a number: nothing any more.
    mutating func agree(_ changes: [String: UInt16?]) {
        var numbers = agreed ?? [:]
        for (key, port) in changes { numbers[key] = port }
        agreed = numbers
    }

    func isAgreed(_ key: String) -> Bool { agreed?[key] != nil }

    /// The number of `key`; `nil` where all are taken, or where the nodes have not agreed on one yet.
    ///
    /// - Parameter isReserved: whether somebody has asked for this number by name.
    mutating func assign(_ key: String, isReserved: (UInt16) -> Bool) -> UInt16? {
        unclaimed.remove(key)
        if let agreed { return assign(key, agreed) }
        if let present = assigned[key] { return present }
        if let port = firstFree(key, isReserved) { return take(key, port) }
        for key in unclaimed { release(key) }
        unclaimed = []
        return firstFree(key, isReserved).map { take(key, $0) }
    }

    /// A key keeps what it has until a number is agreed on.
    private mutating func assign(_ key: String, _ agreed: [String: UInt16]) -> UInt16? {
        let present = assigned[key]
        guard let port = agreed[key] else {
            awaited.insert(key)
            return present
        }
        awaited.remove(key)
        guard port != present else { return present }
        if let owner = taken[port] {
            // Two keys with one agreed number: somebody has written keys by hand.
            guard agreed[owner] != port else { return present }
            release(owner)
        }
        release(key)
        return take(key, port)
    }

    private mutating func take(_ key: String, _ port: UInt16) -> UInt16 {
        (assigned[key], taken[port]) = (port, key)
        return port
    }

    mutating func release(_ key: String) {
        awaited.remove(key)
        if let port = assigned.removeValue(forKey: key) { taken[port] = nil }
    }

    private func firstFree(_ key: String, _ isReserved: (UInt16) -> Bool) -> UInt16? {
        for step in 0..<UInt64(Self.range.count) {
            let port = Self.candidate(key, step: step)
            if taken[port] == nil, !isReserved(port) { return port }
        }
        return nil
    }

    /// The number that a key would have after `step` others were taken.
    static func candidate(_ key: String, step: UInt64) -> UInt16 {
        let count = UInt64(range.count)
        return range.lowerBound + UInt16((VIPAllocator.hash(key) % count &+ step) % count)
    }
}
