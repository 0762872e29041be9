import Synchronization

/// Blocks of lines on their way from one thread to another: a ring that one producer fills in place and one consumer
/// empties. Neither ever waits for the other; a full ring has no block to open.
public final class LogQueue: Sendable {
    public static let blockBytes = 64 << 10

    /// A filled block, valid until it is released.
    struct Block {
        let bytes: UnsafeRawBufferPointer
        let lines: Int
    }

    private struct Size {
        var bytes: Int32
        var lines: Int32
    }

    // Both sides work on the same memory without locks: a block is the producer's until `published` has passed it, and
    // the consumer's until `released` has.
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer
    private nonisolated(unsafe) let sizes: UnsafeMutablePointer<Size>
    private let blocks: Int
    private let published = Atomic<Int>(0)
    private let released = Atomic<Int>(0)

    /// - Parameter blocks: 2 or more. Memory is taken from the system as blocks are first used.
    public init(blocks: Int = 32) {
        self.blocks = max(blocks, 2)
        memory = .allocate(byteCount: self.blocks * Self.blockBytes, alignment: 64)
        sizes = .allocate(capacity: self.blocks)
        sizes.initialize(repeating: Size(bytes: 0, lines: 0), count: self.blocks)
    }

    deinit {
        memory.deallocate()
        sizes.deallocate()
    }

    // MARK: - The producer

    /// The block to fill, the same one until it is published; `nil` while all others wait for the consumer.
    public func open() -> UnsafeMutableRawPointer? {
        let next = published.load(ordering: .relaxed)
        guard next - released.load(ordering: .acquiring) < blocks else { return nil }
        return memory + next % blocks * Self.blockBytes
    }

    /// Hands the open block over.
    ///
    /// - Parameters:
    ///   - count: bytes that were written, at most `blockBytes`.
    ///   - lines: how many lines they are.
    public func publish(_ count: Int, lines: Int) {
        let next = published.load(ordering: .relaxed)
        sizes[next % blocks] = Size(bytes: Int32(clamping: count), lines: Int32(clamping: lines))
        published.store(next + 1, ordering: .releasing)
    }

    /// Whether blocks that were handed over still wait.
    public var isBehind: Bool { published.load(ordering: .relaxed) > released.load(ordering: .relaxed) }

    // MARK: - The consumer

    /// The oldest block; `nil` where there is none.
    func next() -> Block? {
        let oldest = released.load(ordering: .relaxed)
        guard oldest < published.load(ordering: .acquiring) else { return nil }
        let size = sizes[oldest % blocks]
        let start = memory + oldest % blocks * Self.blockBytes
        return Block(bytes: UnsafeRawBufferPointer(start: start, count: Int(size.bytes)), lines: Int(size.lines))
    }

    /// Lets go of the block that `next` gave.
    func release() { released.store(released.load(ordering: .relaxed) + 1, ordering: .releasing) }
}
