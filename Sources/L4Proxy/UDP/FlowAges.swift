/// When each flow last moved a datagram, the longest silent one first. Pure; time comes in as nanoseconds.
///
/// A list within one table: touching, adding and removing cost a few loads whatever the number of flows.
struct FlowAges: ~Copyable {
    private struct Node: BitwiseCopyable {
        var last: UInt64
        var older: Int32
        var newer: Int32
    }

    /// What can be done for one more flow.
    enum Room: Equatable {
        case free
        /// This one has been silent long enough to give its place away.
        case evict(Int32)
        case none
    }

    private var nodes: UnsafeMutablePointer<Node>
    private var capacity: Int32 = 64
    private var used: Int32 = 0
    private var firstFree: Int32 = -1
    private var oldestSlot: Int32 = -1
    private var newestSlot: Int32 = -1
    private(set) var count = 0

    init() { nodes = .allocate(capacity: Int(capacity)) }

    deinit { nodes.deallocate() }

    /// The flow that has been silent longest, and since when.
    var oldest: (slot: Int32, last: UInt64)? { oldestSlot < 0 ? nil : (oldestSlot, nodes[Int(oldestSlot)].last) }

    /// - Parameters:
    ///   - limit: flows that there may be.
    ///   - silence: nanoseconds after which a flow may be evicted.
    func room(limit: Int, silence: UInt64, now: UInt64) -> Room {
        guard count >= limit else { return .free }
        guard let oldest, now >= oldest.last, now - oldest.last >= silence else { return .none }
        return .evict(oldest.slot)
    }

    /// Takes in a flow that moves its first datagram now, and returns its slot.
    mutating func insert(now: UInt64) -> Int32 {
        count += 1
        var slot = firstFree
        if slot >= 0 {
            firstFree = nodes[Int(slot)].newer
        } else {
            if used == capacity { grow() }
            slot = used
            used += 1
        }
        (nodes + Int(slot)).initialize(to: Node(last: now, older: -1, newer: -1))
        append(slot)
        return slot
    }

    mutating func touch(_ slot: Int32, now: UInt64) {
        nodes[Int(slot)].last = now
        guard slot != newestSlot else { return }
        unlink(slot)
        append(slot)
    }

    mutating func remove(_ slot: Int32) {
        unlink(slot)
        nodes[Int(slot)].newer = firstFree
        firstFree = slot
        count -= 1
    }

    private mutating func append(_ slot: Int32) {
        nodes[Int(slot)].older = newestSlot
        nodes[Int(slot)].newer = -1
        if newestSlot >= 0 { nodes[Int(newestSlot)].newer = slot } else { oldestSlot = slot }
        newestSlot = slot
    }

    private mutating func unlink(_ slot: Int32) {
        let node = nodes[Int(slot)]
        if node.older >= 0 { nodes[Int(node.older)].newer = node.newer } else { oldestSlot = node.newer }
        if node.newer >= 0 { nodes[Int(node.newer)].older = node.older } else { newestSlot = node.older }
    }

    private mutating func grow() {
        let moved = UnsafeMutablePointer<Node>.allocate(capacity: Int(capacity) * 2)
        moved.moveInitialize(from: nodes, count: Int(used))
        nodes.deallocate()
        nodes = moved
        capacity *= 2
    }
}
