public import NetAddress

/// The names this node answers for, immutable. A look-up costs the same for ten names and for a million, allocates
/// nothing and makes no `String`.
///
/// Every name under `local` is ours, known or not; besides, exactly the names of the entries. Names are kept in wire
/// form (RFC 1035 section 3.1: length and bytes of each label) without the root's zero byte, so that a dot inside a
/// label of a query is not taken for the end of one.
public final class Zone: Sendable {
    /// Where a name's addresses lie; read them with `address(at:)`.
    public struct Record: Hashable, Sendable {
        /// Indices of the IPv4 addresses.
        public let v4: Range<Int>
        /// Indices of the IPv6 addresses.
        public let v6: Range<Int>
    }

    public enum Lookup: Hashable, Sendable {
        /// - Parameter apexOffset: where in the given name the name of its zone begins, for the SOA's owner.
        case found(Record, apexOffset: Int)
        /// Ours, and it does not exist.
        case unknown(apexOffset: Int)
        case notOurs
    }

    private struct Slot {
        /// Upper half of the hash, so that most strangers are told apart without reading their names.
        var tag: UInt32
        /// Index into `entries` plus one; 0 for a free slot.
        var entry: UInt32
    }

    private struct Entry {
        let nameStart: Int
        let nameLength: Int
        let record: Record
    }

    private let slots: [Slot]
    private let entries: [Entry]
    private let names: [UInt8]
    private let addresses: [IPAddress]

    /// Changes with every zone that differs; the serial number of the SOA.
    public let serial: UInt32
    /// Names that cannot be in the DNS (empty label, label above 63 bytes, name above 255) and were left out.
    public let rejectedNames: [String]

    /// - Parameter entries: in order of preference; entries of one name are merged, an address named twice counts once.
    public init(_ entries: [ZoneEntry], serial: UInt32 = 1) {
        var draft = ZoneDraft()
        for entry in entries { draft.add(entry) }
        draft.addEmptyNonTerminals()

        var names: [UInt8] = []
        var addresses: [IPAddress] = []
        var flat: [Entry] = []
        flat.reserveCapacity(draft.order.count)
        for name in draft.order {
            let own = draft.addresses[name] ?? []
            let start = addresses.count
            addresses += own.filter(\.isV4)
            let middle = addresses.count
            addresses += own.filter { !$0.isV4 }
            let record = Record(v4: start..<middle, v6: middle..<addresses.count)
            flat.append(Entry(nameStart: names.count, nameLength: name.count, record: record))
            names += name
        }
        self.slots = Self.table(flat, names)
        self.entries = flat
        self.names = names
        self.addresses = addresses
        self.serial = serial
        self.rejectedNames = draft.rejected
    }

    /// Names known, with the empty ones between `local` and a longer name.
    public var count: Int { entries.count }

    public func address(at index: Int) -> IPAddress { addresses[index] }

    /// Looks a name up, whatever its case.
    ///
    /// - Parameter name: wire form without the root's zero byte and without compression; labels of 1 to 63 bytes.
    public func lookup(_ name: Span<UInt8>) -> Lookup {
        let apex = Self.localOffset(name)
        if let record = find(name) { return .found(record, apexOffset: apex ?? 0) }
        guard let apex else { return .notOurs }
        return .unknown(apexOffset: apex)
    }

    /// The addresses of a name given as text, IPv4 first; `nil` where it is not known.
    public func addresses(of name: String) -> [IPAddress]? {
        guard let wire = ZoneDraft.wireName(name), let record = find(wire.span) else { return nil }
        return Array(addresses[record.v4.lowerBound..<record.v6.upperBound])
    }

    // MARK: - Table

    private static func table(_ entries: [Entry], _ names: [UInt8]) -> [Slot] {
        var size = 8
        while size < entries.count * 2 { size *= 2 }
        var slots = [Slot](repeating: Slot(tag: 0, entry: 0), count: size)
        for (index, entry) in entries.enumerated() {
            let hash = Self.hash(names.span.extracting(entry.nameStart..<entry.nameStart + entry.nameLength))
            var place = Int(truncatingIfNeeded: hash) & (size - 1)
            while slots[place].entry != 0 { place = (place + 1) & (size - 1) }
            let tag = UInt32(truncatingIfNeeded: hash >> 32)
            slots[place] = Slot(tag: tag, entry: UInt32(truncatingIfNeeded: index + 1))
        }
        return slots
    }

    private func find(_ name: Span<UInt8>) -> Record? {
        let hash = Self.hash(name)
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        let mask = slots.count - 1
        var place = Int(truncatingIfNeeded: hash) & mask
        // At most half of the slots are in use, so a free one ends the walk.
        while slots[place].entry != 0 {
            let slot = slots[place]
            let entry = entries[Int(slot.entry) - 1]
            if slot.tag == tag, entry.nameLength == name.count, isEqual(name, entry.nameStart) { return entry.record }
            place = (place + 1) & mask
        }
        return nil
    }

    private func isEqual(_ name: Span<UInt8>, _ start: Int) -> Bool {
        for index in name.indices where Self.folded(name[index]) != names[start + index] { return false }
        return true
    }

    /// FNV-1a over the folded bytes, then a finisher that brings the high bits down.
    private static func hash(_ name: Span<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in name.indices { hash = (hash ^ UInt64(folded(name[index]))) &* 0x0000_0100_0000_01b3 }
        hash = (hash ^ (hash >> 32)) &* 0x9e37_79b9_7f4a_7c15
        return hash ^ (hash >> 29)
    }

    /// Lower case of an ASCII letter (RFC 4343). Length bytes are at most 63, below the letters, and stay as they are.
    private static func folded(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    /// Where the last label begins if it is `local`.
    private static func localOffset(_ name: Span<UInt8>) -> Int? {
        var offset = 0
        while offset < name.count {
            let next = offset + 1 + Int(name[offset])
            if next >= name.count { break }
            offset = next
        }
        guard name.count - offset == ZoneDraft.local.count else { return nil }
        for index in 0..<ZoneDraft.local.count {
            guard folded(name[offset + index]) == ZoneDraft.local[index] else { return nil }
        }
        return offset
    }
}
