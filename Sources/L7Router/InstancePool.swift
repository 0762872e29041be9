import MeshCore

/// One worker's idle connections by endpoint. The newest is taken first: it is the least likely to have been closed.
final class InstancePool {
    private struct Shelf {
        var newest: Unmanaged<InstanceConnection>?
        var count: Int32 = 0
        var incarnation: UInt32 = 0
    }

    private var shelves: UnsafeMutablePointer<Shelf>
    /// A bit for each shelf that something was put on since `closeGone` last found it empty: of a hundred thousand
    /// endpoints few have connections, and a snapshot comes with every event.
    private var used: UnsafeMutablePointer<UInt64>
    private var capacity = 64
    private let limit: Int32
    private(set) var count = 0

    init(limitPerEndpoint: Int) {
        limit = Int32(clamping: limitPerEndpoint)
        shelves = .allocate(capacity: capacity)
        shelves.initialize(repeating: Shelf(), count: capacity)
        used = .allocate(capacity: capacity / 64)
        used.initialize(repeating: 0, count: capacity / 64)
    }

    deinit {
        shelves.deallocate()
        used.deallocate()
    }

    /// Uncounted: the loop keeps it until the turn in which it closes is over.
    func take(_ endpoint: Endpoint) -> Unmanaged<InstanceConnection>? {
        guard endpoint.id < capacity else { return nil }
        let shelf = shelves + Int(endpoint.id)
        guard shelf.pointee.incarnation == endpoint.incarnation, let newest = shelf.pointee.newest else { return nil }
        newest._withUnsafeGuaranteedRef {
            remove($0)
            $0.reuse()
        }
        return newest
    }

    /// `false`: the shelf is full.
    func insert(_ connection: InstanceConnection) -> Bool {
        let endpoint = connection.endpoint
        if endpoint.id >= capacity { grow(Int(endpoint.id)) }
        let shelf = shelves + Int(endpoint.id)
        if shelf.pointee.incarnation != endpoint.incarnation {
            close(shelf)
            shelf.pointee = Shelf(newest: nil, count: 0, incarnation: endpoint.incarnation)
        }
        guard shelf.pointee.count < limit else { return false }
        connection.older = shelf.pointee.newest
        connection.newer = nil
        connection.older?._withUnsafeGuaranteedRef { $0.newer = .passUnretained(connection) }
        shelf.pointee.newest = .passUnretained(connection)
        shelf.pointee.count += 1
        used[Int(endpoint.id) / 64] |= 1 << UInt64(endpoint.id % 64)
        count += 1
        return true
    }

    func remove(_ connection: InstanceConnection) {
        let shelf = shelves + Int(connection.endpoint.id)
        if let newer = connection.newer {
            newer._withUnsafeGuaranteedRef { $0.older = connection.older }
        } else {
            shelf.pointee.newest = connection.older
        }
        connection.older?._withUnsafeGuaranteedRef { $0.newer = connection.newer }
        connection.newer = nil
        connection.older = nil
        shelf.pointee.count -= 1
        count -= 1
    }

    /// Closes what leads to endpoints that the snapshot no longer has, or whose instance is drained.
    func closeGone(_ snapshot: Snapshot) {
        guard count > 0 else { return }
        for id in snapshot.draining where Int(id) < capacity { close(shelves + Int(id)) }
        for word in 0..<capacity / 64 {
            var rest = used[word]
            while rest != 0 {
                let bit = rest.trailingZeroBitCount
                rest &= rest - 1
                let id = word * 64 + bit
                if snapshot.incarnations[id] != shelves[id].incarnation { close(shelves + id) }
                if shelves[id].count == 0 { used[word] &= ~(1 << UInt64(bit)) }
            }
        }
    }

    /// Closes what was verified by authorities that have been replaced.
    func closeDistrusted() {
        guard count > 0 else { return }
        for id in 0..<capacity {
            var next = shelves[id].newest?.takeUnretainedValue()
            while let connection = next {
                next = connection.older?.takeUnretainedValue()
                if !connection.isTrusted { connection.close() }
            }
        }
    }

    /// Closes what leads to one endpoint.
    func close(_ endpoint: Endpoint) {
        if Int(endpoint.id) < capacity { close(shelves + Int(endpoint.id)) }
    }

    func closeAll() {
        for id in 0..<capacity { close(shelves + id) }
    }

    private func close(_ shelf: UnsafeMutablePointer<Shelf>) {
        while let newest = shelf.pointee.newest?.takeUnretainedValue() { newest.close() }
    }

    private func grow(_ id: Int) {
        var larger = capacity
        while larger <= id { larger *= 2 }
        let moved = UnsafeMutablePointer<Shelf>.allocate(capacity: larger)
        moved.moveInitialize(from: shelves, count: capacity)
        (moved + capacity).initialize(repeating: Shelf(), count: larger - capacity)
        shelves.deallocate()
        shelves = moved
        let bits = UnsafeMutablePointer<UInt64>.allocate(capacity: larger / 64)
        bits.moveInitialize(from: used, count: capacity / 64)
        (bits + capacity / 64).initialize(repeating: 0, count: (larger - capacity) / 64)
        used.deallocate()
        used = bits
        capacity = larger
    }
}
