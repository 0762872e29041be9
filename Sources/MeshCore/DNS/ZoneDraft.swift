import NetAddress

/// A zone while it is put together: names in wire form and their addresses, in the order they came.
struct ZoneDraft {
    /// `local` as one label.
    static let local: [UInt8] = [5] + Array("local".utf8)

    private(set) var order: [[UInt8]] = []
    private(set) var addresses: [[UInt8]: [IPAddress]] = [:]
    private(set) var rejected: [String] = []
    /// Whether several entries had one name.
    private(set) var isMerged = false

    mutating func add(_ entry: ZoneEntry) {
        guard let name = Self.wireName(entry.name) else { return rejected.append(entry.name) }
        if let known = addresses[name] {
            isMerged = true
            addresses[name] = Self.unique(known + entry.addresses)
        } else {
            touch(name)
            addresses[name] = Self.unique(entry.addresses)
        }
    }

    /// Without those that are there before, in the same order. Costs little where they are in ascending order.
    static func unique(_ list: [IPAddress]) -> [IPAddress] {
        if zip(list, list.dropFirst()).allSatisfy({ $0 < $1 }) { return list }
        var known: Set<IPAddress> = []
        return list.filter { known.insert($0).inserted }
    }

    /// A name with something below it exists, though it has no data (RFC 8020): `b.local` where there is `a.b.local`,
    /// and `local` itself. Outside `local` the names above an entry are not ours.
    mutating func addEmptyNonTerminals() {
        touch(Self.local)
        for name in order where name.count > Self.local.count {
            var offset = 0
            var suffixes: [[UInt8]] = []
            while offset < name.count {
                offset += 1 + Int(name[offset])
                suffixes.append(Array(name[min(offset, name.count)...]))
            }
            guard suffixes.contains(Self.local) else { continue }
            for suffix in suffixes where !suffix.isEmpty { touch(suffix) }
        }
    }

    private mutating func touch(_ name: [UInt8]) {
        guard addresses[name] == nil else { return }
        addresses[name] = []
        order.append(name)
    }

    /// Lower-case wire form without the root's zero byte; `nil` where the limits of RFC 1035 section 2.3.4 are broken.
    static func wireName(_ text: String) -> [UInt8]? {
        var bytes = Array(text.utf8)
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        guard !bytes.isEmpty else { return nil }
        var wire: [UInt8] = []
        for label in bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard (1...63).contains(label.count) else { return nil }
            wire.append(UInt8(label.count))
            wire += label.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }
        }
        return wire.count <= 254 ? wire : nil
    }
}
