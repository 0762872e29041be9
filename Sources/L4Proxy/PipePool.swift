import Reactor

/// Pipes for bulk relaying, kept for reuse: making one costs two descriptors and two system calls.
final class PipePool {
    /// Large enough that a fast sender fills it in one call, small enough for the system's limit on a user's pipes.
    static let capacity = 512 << 10
    private static let kept = 32
    /// More sessions than this in bulk use plain buffers.
    private static let limit = 128

    private var free: [PipePair] = []
    private var leased = 0

    /// `nil`: at the limit, or the system has none.
    func lease() -> PipePair? {
        guard leased < Self.limit else { return nil }
        guard let pipe = free.popLast() ?? (try? PipePair(capacity: Self.capacity)) else { return nil }
        leased += 1
        return pipe
    }

    /// - Parameter isEmpty: bytes left inside must not reach another session.
    func giveBack(_ pipe: PipePair, isEmpty: Bool) {
        leased -= 1
        if isEmpty, free.count < Self.kept { free.append(pipe) } else { pipe.close() }
    }

    deinit {
        for pipe in free { pipe.close() }
    }
}
