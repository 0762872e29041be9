/// Deadlines for up to 2^31 slots: a hierarchical timer wheel with one deadline per slot.
///
/// Pure: time comes in as nanoseconds. Moving a deadline later, the common case, is one store: the entry stays where
/// it is and is looked at again when its old place comes up. Entries are linked through the slot's own node, so nothing
/// is allocated after a slot was first used. A deadline fires at most one tick (4.2 ms) late, never early.
struct TimerWheel {
    private struct Node {
        /// `UInt64.max`: none.
        var deadline: UInt64 = .max
        var previous: Int32 = -1
        var next: Int32 = -1
        /// Index into `heads`; -1 while not linked.
        var place: Int32 = -1
        /// The deadline it was linked for: its place comes up by then.
        var linkedFor: UInt64 = .max
    }

    /// Nanoseconds per tick as a power of two.
    private static let tickShift: UInt64 = 22
    /// Six bits of the tick number each; eight levels hold every tick of a 64-bit nanosecond clock.
    private static let levels = 8

    private var nodes: UnsafeMutablePointer<Node>
    private var capacity: Int
    private let heads: UnsafeMutablePointer<Int32>
    private let occupied: UnsafeMutablePointer<UInt64>
    /// Every tick up to this one has been handled.
    private var current: UInt64
    /// Slots whose place has come up and that are not yet handed out.
    private var due: [Int32] = []

    init(nowNanoseconds: UInt64) {
        capacity = 64
        nodes = .allocate(capacity: capacity)
        nodes.initialize(repeating: Node(), count: capacity)
        heads = .allocate(capacity: Self.levels * 64)
        heads.initialize(repeating: -1, count: Self.levels * 64)
        occupied = .allocate(capacity: Self.levels)
        occupied.initialize(repeating: 0, count: Self.levels)
        current = nowNanoseconds >> Self.tickShift
    }

    func deallocate() {
        nodes.deallocate()
        heads.deallocate()
        occupied.deallocate()
    }

    /// Makes room for `slot`.
    mutating func grow(toHold slot: Int32) {
        guard Int(slot) >= capacity else { return }
        var larger = capacity
        while larger <= Int(slot) { larger *= 2 }
        let moved = UnsafeMutablePointer<Node>.allocate(capacity: larger)
        moved.moveInitialize(from: nodes, count: capacity)
        (moved + capacity).initialize(repeating: Node(), count: larger - capacity)
        nodes.deallocate()
        nodes = moved
        capacity = larger
    }

    /// Sets the slot's one deadline; `UInt64.max` clears it.
    mutating func set(_ slot: Int32, deadline: UInt64) {
        let node = nodes + Int(slot)
        node.pointee.deadline = deadline
        if node.pointee.place >= 0 {
            if deadline >= node.pointee.linkedFor { return }
            unlink(slot)
        }
        if deadline != .max { link(slot) }
    }

    func deadline(_ slot: Int32) -> UInt64 { nodes[Int(slot)].deadline }

    /// Forgets the slot, which may then be given to another owner.
    mutating func clear(_ slot: Int32) {
        nodes[Int(slot)].deadline = .max
        if nodes[Int(slot)].place >= 0 { unlink(slot) }
    }

    /// The next moment at which `popExpired` may have something; `nil` when there is no deadline.
    var nextWakeNanoseconds: UInt64? {
        if !due.isEmpty { return 0 }
        guard let next = nextPlace else { return nil }
        return next.tick << Self.tickShift
    }

    /// One slot whose deadline has come, its deadline cleared; `nil` when there are no more.
    mutating func popExpired(nowNanoseconds now: UInt64) -> Int32? {
        while true {
            while let slot = due.popLast() {
                let node = nodes + Int(slot)
                if node.pointee.deadline <= now {
                    node.pointee.deadline = .max
                    return slot
                }
                if node.pointee.place < 0, node.pointee.deadline != .max { link(slot) }
            }
            guard turn(to: now >> Self.tickShift) else { return nil }
        }
    }

    /// Empties the next place that comes up to `tick` into `due`.
    private mutating func turn(to tick: UInt64) -> Bool {
        guard let next = nextPlace, next.tick <= tick else {
            current = max(current, tick)
            return false
        }
        current = next.tick
        var slot = heads[next.place]
        heads[next.place] = -1
        occupied[next.place >> 6] &= ~(1 << UInt64(next.place & 63))
        while slot >= 0 {
            let following = nodes[Int(slot)].next
            nodes[Int(slot)].place = -1
            due.append(slot)
            slot = following
        }
        return true
    }

    /// The earliest place in use. Places of a lower level always come up before those of a higher one.
    private var nextPlace: (place: Int, tick: UInt64)? {
        for level in 0..<Self.levels where occupied[level] != 0 {
            let index = UInt64(occupied[level].trailingZeroBitCount)
            let shift = UInt64(level * 6)
            let above = shift + 6 >= 64 ? 0 : (current >> (shift + 6)) << (shift + 6)
            return (level << 6 | Int(index), above | index << shift)
        }
        return nil
    }

    private mutating func link(_ slot: Int32) {
        let node = nodes + Int(slot)
        // Far enough away to be never, near enough for its tick to be a number of nanoseconds again.
        let deadline = min(node.pointee.deadline, .max >> 1)
        let rounded = deadline == 0 ? 0 : (deadline - 1) >> Self.tickShift + 1
        let tick = max(rounded, current + 1)
        let level = (63 - (tick ^ current).leadingZeroBitCount) / 6
        let index = Int(tick >> UInt64(level * 6)) & 63
        let place = level << 6 | index
        node.pointee.place = Int32(place)
        node.pointee.linkedFor = node.pointee.deadline
        node.pointee.previous = -1
        node.pointee.next = heads[place]
        if heads[place] >= 0 { nodes[Int(heads[place])].previous = slot }
        heads[place] = slot
        occupied[level] |= 1 << UInt64(index)
    }

    private mutating func unlink(_ slot: Int32) {
        let node = nodes[Int(slot)]
        let place = Int(node.place)
        if node.previous >= 0 {
            nodes[Int(node.previous)].next = node.next
        } else {
            heads[place] = node.next
            if node.next < 0 { occupied[place >> 6] &= ~(1 << UInt64(place & 63)) }
        }
        if node.next >= 0 { nodes[Int(node.next)].previous = node.previous }
        nodes[Int(slot)].place = -1
    }
}
