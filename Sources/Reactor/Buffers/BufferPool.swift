/// A leased piece of memory. The holder gives it back to the pool it came from, once.
public struct Buffer {
    public let base: UnsafeMutableRawPointer
    public let capacity: Int

    /// Constant bytes in the place of a lease. It has no room to write into, and giving it back does nothing.
    public static func constant(_ text: StaticString) -> Buffer {
        Buffer(base: UnsafeMutableRawPointer(mutating: text.utf8Start), capacity: 0)
    }

    /// - Parameter base: what a lease gave, with the capacity it had.
    public init(base: UnsafeMutableRawPointer, capacity: Int) {
        self.base = base
        self.capacity = capacity
    }
}

/// Buffers of three sizes for one loop. A connection leases one while bytes are pending and holds none while idle.
///
/// At the limit a lease fails; whoever asked sheds its work with a named reason.
///
/// A pointer to memory that its owner, as a rule the loop, frees: handing it on counts no references, which a request
/// would else pay for a dozen times.
public struct BufferPool {
    /// Enough for a request head and a small body.
    public static let smallCapacity = 16 << 10
    /// For four TLS records, which leave in one call.
    static let mediumCapacity = 66 << 10
    /// For bodies and relays in bulk: fewer system calls per byte.
    public static let largeCapacity = 256 << 10

    private struct State {
        var small = Shelf(capacity: smallCapacity, kept: 256)
        var medium = Shelf(capacity: mediumCapacity, kept: 16)
        var large = Shelf(capacity: largeCapacity, kept: 16)
        let limitBytes: Int
        var leased = 0
        var refused: UInt64 = 0
    }

    private let state: UnsafeMutablePointer<State>

    /// - Parameter limitBytes: the most that may be leased at one time.
    public init(limitBytes: Int) {
        state = .allocate(capacity: 1)
        state.initialize(to: State(limitBytes: limitBytes))
    }

    /// Frees the pool and what nobody leases; the owner calls it once, when no lease can come any more.
    public func deallocate() {
        state.pointee.small.deallocate()
        state.pointee.medium.deallocate()
        state.pointee.large.deallocate()
        state.deallocate()
    }

    public var leasedBytes: Int { state.pointee.leased }

    /// Leases refused because the limit was reached.
    public var refusedLeases: UInt64 { state.pointee.refused }

    public func leaseSmall() -> Buffer? {
        mayLease(Self.smallCapacity) ? Buffer(base: state.pointee.small.take(), capacity: Self.smallCapacity) : nil
    }

    func leaseMedium() -> Buffer? {
        mayLease(Self.mediumCapacity) ? Buffer(base: state.pointee.medium.take(), capacity: Self.mediumCapacity) : nil
    }

    public func leaseLarge() -> Buffer? {
        mayLease(Self.largeCapacity) ? Buffer(base: state.pointee.large.take(), capacity: Self.largeCapacity) : nil
    }

    private func mayLease(_ capacity: Int) -> Bool {
        guard state.pointee.leased + capacity <= state.pointee.limitBytes else {
            state.pointee.refused += 1
            return false
        }
        state.pointee.leased += capacity
        return true
    }

    public func giveBack(_ buffer: Buffer) {
        guard buffer.capacity > 0 else { return }
        state.pointee.leased -= buffer.capacity
        switch buffer.capacity {
        case Self.smallCapacity: state.pointee.small.put(buffer.base)
        case Self.mediumCapacity: state.pointee.medium.put(buffer.base)
        default: state.pointee.large.put(buffer.base)
        }
    }
}

/// Free buffers of one size, kept for reuse, the last one first; more are given back to the system.
private struct Shelf {
    private let capacity: Int
    private let kept: Int
    private let free: UnsafeMutablePointer<UnsafeMutableRawPointer>
    private var count = 0

    init(capacity: Int, kept: Int) {
        (self.capacity, self.kept) = (capacity, kept)
        free = .allocate(capacity: kept)
    }

    mutating func take() -> UnsafeMutableRawPointer {
        guard count > 0 else { return .allocate(byteCount: capacity, alignment: 64) }
        count -= 1
        return free[count]
    }

    mutating func put(_ base: UnsafeMutableRawPointer) {
        guard count < kept else { return base.deallocate() }
        free[count] = base
        count += 1
    }

    func deallocate() {
        for index in 0..<count { free[index].deallocate() }
        free.deallocate()
    }
}
