/// Handlers by slot, each slot with a generation: an event that names an earlier generation is stale.
struct HandleTable {
    private struct Entry {
        var handler: Unmanaged<Handler>?
        var generation: UInt32
        var nextFree: Int32
    }

    private var entries: UnsafeMutablePointer<Entry>
    private var capacity: Int32
    private var used: Int32 = 0
    private var firstFree: Int32 = -1
    private(set) var count = 0

    init() {
        capacity = 64
        entries = .allocate(capacity: Int(capacity))
    }

    func deallocate() {
        for index in 0..<Int(used) { entries[index].handler?.release() }
        entries.deallocate()
    }

    /// Takes a reference to `handler` and gives it a slot.
    mutating func insert(_ handler: Handler) -> Int32 {
        count += 1
        if firstFree >= 0 {
            let slot = firstFree
            firstFree = entries[Int(slot)].nextFree
            entries[Int(slot)].handler = .passRetained(handler)
            return slot
        }
        if used == capacity { grow() }
        let slot = used
        used += 1
        (entries + Int(slot)).initialize(to: Entry(handler: .passRetained(handler), generation: 0, nextFree: -1))
        return slot
    }

    /// Empties the slot. The caller owns the returned reference and releases it when no call on it is under way.
    mutating func remove(_ slot: Int32) -> Unmanaged<Handler> {
        let entry = entries + Int(slot)
        guard let handler = entry.pointee.handler else { preconditionFailure("slot \(slot) is empty") }
        entry.pointee.handler = nil
        entry.pointee.generation &+= 1
        entry.pointee.nextFree = firstFree
        firstFree = slot
        count -= 1
        return handler
    }

    /// Puts `handler` into an occupied slot, whose events from now on are its own. The caller owns the returned
    /// reference, as after `remove`.
    mutating func replace(_ slot: Int32, with handler: Handler) -> Unmanaged<Handler> {
        let entry = entries + Int(slot)
        guard let old = entry.pointee.handler else { preconditionFailure("slot \(slot) is empty") }
        entry.pointee.handler = .passRetained(handler)
        return old
    }

    /// The slot and its generation in one word, for the kernel to hold.
    func token(_ slot: Int32) -> UInt64 {
        UInt64(entries[Int(slot)].generation) << 32 | UInt64(UInt32(bitPattern: slot))
    }

    /// `nil` for a stale token.
    func handler(_ token: UInt64) -> Unmanaged<Handler>? {
        let slot = Int(UInt32(truncatingIfNeeded: token))
        guard slot < used, entries[slot].generation == UInt32(truncatingIfNeeded: token >> 32) else { return nil }
        return entries[slot].handler
    }

    func handler(at slot: Int32) -> Handler? { entries[Int(slot)].handler?.takeUnretainedValue() }

    private mutating func grow() {
        let moved = UnsafeMutablePointer<Entry>.allocate(capacity: Int(capacity) * 2)
        moved.moveInitialize(from: entries, count: Int(used))
        entries.deallocate()
        entries = moved
        capacity *= 2
    }
}
