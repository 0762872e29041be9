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

/// Buffers of two sizes for one loop. A connection leases one while bytes are pending and holds none while idle.
///
/// At the limit a lease fails; whoever asked sheds its work with a named reason.
public final class BufferPool {
    /// Enough for a request head and a small body.
    public static let smallCapacity = 16 << 10
    /// For bodies and relays in bulk: fewer system calls per byte.
    public static let largeCapacity = 256 << 10
    /// Free buffers kept for reuse; more are given back to the system.
    private static let keptSmall = 256
    private static let keptLarge = 16

    private var freeSmall: [UnsafeMutableRawPointer] = []
    private var freeLarge: [UnsafeMutableRawPointer] = []
    private let limitBytes: Int
    private var leased = 0
    private var failures: UInt64 = 0

    /// - Parameter limitBytes: the most that may be leased at one time.
    public init(limitBytes: Int) {
        self.limitBytes = limitBytes
        freeSmall.reserveCapacity(Self.keptSmall)
        freeLarge.reserveCapacity(Self.keptLarge)
    }

    public var leasedBytes: Int { leased }

    /// Leases refused because the limit was reached.
    public var refusedLeases: UInt64 { failures }

    public func leaseSmall() -> Buffer? { lease(Self.smallCapacity) }

    public func leaseLarge() -> Buffer? { lease(Self.largeCapacity) }

    private func lease(_ capacity: Int) -> Buffer? {
        guard leased + capacity <= limitBytes else {
            failures += 1
            return nil
        }
        leased += capacity
        let recycled = capacity == Self.smallCapacity ? freeSmall.popLast() : freeLarge.popLast()
        return Buffer(base: recycled ?? .allocate(byteCount: capacity, alignment: 64), capacity: capacity)
    }

    public func giveBack(_ buffer: Buffer) {
        guard buffer.capacity > 0 else { return }
        leased -= buffer.capacity
        if buffer.capacity == Self.smallCapacity {
            if freeSmall.count < Self.keptSmall { return freeSmall.append(buffer.base) }
        } else if freeLarge.count < Self.keptLarge {
            return freeLarge.append(buffer.base)
        }
        buffer.base.deallocate()
    }

    deinit {
        for base in freeSmall + freeLarge { base.deallocate() }
    }
}
