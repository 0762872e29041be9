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

    /// The names and a table to find them in, the same for zones that differ in addresses only.
    private struct Names: Sendable {
        let slots: [Slot]
        let entries: [Entry]
        let bytes: [UInt8]
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
    }

    /// Where the addresses of an entry lie, IPv4 first.
    private struct Place: BitwiseCopyable {
        var start = 0
        var v4Count = 0
        var v6Count = 0
        /// How many there is room for.
        var room = 0

        func holding(_ list: [IPAddress]) -> Place {
            let v4Count = list.count { $0.isV4 }
            return Place(start: start, v4Count: v4Count, v6Count: list.count - v4Count, room: room)
        }
    }

    private let names: Names
    /// By entry.
    private let places: PagedTable<Place>
    private let addresses: PagedTable<IPAddress>
    /// Addresses in use or left behind by entries that moved.
    private let end: Int
    /// From here on so much is left behind that a zone is better made anew.
    private let endLimit: Int
    /// Whether several entries had one name.
    private let isMerged: Bool

    /// Changes with every zone that differs; the serial number of the SOA.
    public let serial: UInt32
    /// Names that cannot be in the DNS (empty label, label above 63 bytes, name above 255) and were left out.
    public let rejectedNames: [String]

    /// - Parameter entries: in order of preference; entries of one name are merged, an address named twice counts once.
    public init(_ entries: [ZoneEntry], serial: UInt32 = 1) {
        var draft = ZoneDraft()
        for entry in entries { draft.add(entry) }
        draft.addEmptyNonTerminals()

        var bytes: [UInt8] = []
        var flat: [Entry] = []
        flat.reserveCapacity(draft.order.count)
        var places: [Place] = []
        var addresses: [IPAddress] = []
        for name in draft.order {
            flat.append(Entry(nameStart: bytes.count, nameLength: name.count))
            bytes += name
            let own = draft.addresses[name] ?? []
            places.append(Place(start: addresses.count, room: own.count).holding(own))
            addresses += Self.inOrder(own)
        }
        names = Names(slots: Self.table(flat, bytes), entries: flat, bytes: bytes)
        self.places = PagedTable(places, fill: Place())
        self.addresses = PagedTable(addresses, fill: .anyV4)
        end = addresses.count
        endLimit = end * 2 + 256
        isMerged = draft.isMerged
        self.serial = serial
        rejectedNames = draft.rejected
    }

    private init(_ before: Zone, _ layout: Layout, serial: UInt32) {
        names = before.names
        places = before.places.replacing(layout.places)
        addresses = before.addresses.replacing(layout.addresses)
        end = layout.end
        endLimit = before.endLimit
        isMerged = before.isMerged
        self.serial = serial
        rejectedNames = before.rejectedNames
    }

    /// The zone with these addresses in place of those that the names had. Cost is in proportion to the change.
    ///
    /// - Returns: `nil` where a new zone has to be made of all entries: a name is not known, or several entries had
    ///   one name, or too much room is left behind by earlier changes.
    public func replacing(_ changes: [ZoneEntry], serial: UInt32) -> Zone? {
        guard !isMerged else { return nil }
        var layout = Layout(end: end)
        for entry in changes {
            guard let name = ZoneDraft.wireName(entry.name) else { continue }
            guard let index = index(of: name.span) else { return nil }
            layout.put(ZoneDraft.unique(entry.addresses), of: index, layout.places[index] ?? places[index])
        }
        return layout.end > endLimit ? nil : Zone(self, layout, serial: serial)
    }

    /// Where addresses go.
    private struct Layout {
        var places: [Int: Place] = [:]
        var addresses: [Int: IPAddress] = [:]
        var end: Int

        mutating func put(_ list: [IPAddress], of index: Int, _ present: Place) {
            var place = present
            if list.count > place.room {
                (place.start, place.room) = (end, list.count)
                end += list.count
            }
            for (offset, address) in Zone.inOrder(list).enumerated() { addresses[place.start + offset] = address }
            places[index] = place.holding(list)
        }
    }

    private static func inOrder(_ list: [IPAddress]) -> [IPAddress] {
        list.filter(\.isV4) + list.filter { !$0.isV4 }
    }

    /// Names known, with the empty ones between `local` and a longer name.
    public var count: Int { names.entries.count }

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
        return (record.v4.lowerBound..<record.v6.upperBound).map { addresses[$0] }
    }

    // MARK: - Table

    private func find(_ name: Span<UInt8>) -> Record? {
        guard let index = index(of: name) else { return nil }
        let place = places[index]
        let middle = place.start + place.v4Count
        return Record(v4: place.start..<middle, v6: middle..<middle + place.v6Count)
    }

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

    private func index(of name: Span<UInt8>) -> Int? {
        let hash = Self.hash(name)
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        let mask = names.slots.count - 1
        var place = Int(truncatingIfNeeded: hash) & mask
        // At most half of the slots are in use, so a free one ends the walk.
        while names.slots[place].entry != 0 {
            let slot = names.slots[place]
            let entry = names.entries[Int(slot.entry) - 1]
            if slot.tag == tag, entry.nameLength == name.count, isEqual(name, entry.nameStart) {
                return Int(slot.entry) - 1
            }
            place = (place + 1) & mask
        }
        return nil
    }

    private func isEqual(_ name: Span<UInt8>, _ start: Int) -> Bool {
        for index in name.indices where Self.folded(name[index]) != names.bytes[start + index] { return false }
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
