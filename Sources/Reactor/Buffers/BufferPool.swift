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
public final class BufferPool {
    /// Enough for a request head and a small body.
    public static let smallCapacity = 16 << 10
    /// For four TLS records, which leave in one call.
    static let mediumCapacity = 66 << 10
    /// For bodies and relays in bulk: fewer system calls per byte.
    public static let largeCapacity = 256 << 10

    private var small = Shelf(capacity: smallCapacity, kept: 256)
    private var medium = Shelf(capacity: mediumCapacity, kept: 16)
    private var large = Shelf(capacity: largeCapacity, kept: 16)
    private let limitBytes: Int
    private var leased = 0
    private var failures: UInt64 = 0

    /// - Parameter limitBytes: the most that may be leased at one time.
    public init(limitBytes: Int) { self.limitBytes = limitBytes }

    public var leasedBytes: Int { leased }

    /// Leases refused because the limit was reached.
    public var refusedLeases: UInt64 { failures }

    public func leaseSmall() -> Buffer? {
        mayLease(Self.smallCapacity) ? Buffer(base: small.take(), capacity: Self.smallCapacity) : nil
    }

    func leaseMedium() -> Buffer? {
        mayLease(Self.mediumCapacity) ? Buffer(base: medium.take(), capacity: Self.mediumCapacity) : nil
    }

    public func leaseLarge() -> Buffer? {
        mayLease(Self.largeCapacity) ? Buffer(base: large.take(), capacity: Self.largeCapacity) : nil
    }

    private func mayLease(_ capacity: Int) -> Bool {
        guard leased + capacity <= limitBytes else {
            failures += 1
            return false
        }
        leased += capacity
        return true
    }

    public func giveBack(_ buffer: Buffer) {
        guard buffer.capacity > 0 else { return }
        leased -= buffer.capacity
        switch buffer.capacity {
        case Self.smallCapacity: small.put(buffer.base)
        case Self.mediumCapacity: medium.put(buffer.base)
        default: large.put(buffer.base)
        }
    }

    deinit {
        small.empty()
        medium.empty()
        large.empty()
    }
}

/// Free buffers of one size, kept for reuse; more are given back to the system.
private struct Shelf {
    private let capacity: Int
    private let kept: Int
    private var free: [UnsafeMutableRawPointer] = []

    init(capacity: Int, kept: Int) {
        (self.capacity, self.kept) = (capacity, kept)
        free.reserveCapacity(kept)
    }

    mutating func take() -> UnsafeMutableRawPointer { free.popLast() ?? .allocate(byteCount: capacity, alignment: 64) }

    mutating func put(_ base: UnsafeMutableRawPointer) {
        if free.count < kept { free.append(base) } else { base.deallocate() }
    }

    mutating func empty() {
        for base in free { base.deallocate() }
        free = []
    }
}
