import HTTPCodec
public import Reactor

/// One worker's part of the access log: renders lines into blocks that another thread writes. Nothing is allocated and
/// nothing waits; where the writer is behind by all blocks, lines are dropped and counted.
public final class AccessLog: Handler {
    public enum Format: Sendable {
        case json, combined
    }

    /// How long a line may lie here before it is handed over.
    private static let flushNanoseconds: UInt64 = 200_000_000

    private let loop: EventLoop
    private let writer: LogWriter
    private let queue: LogQueue
    private let format: Format
    private var block: HeadWriter?
    private var lines = 0
    private var isArmed = false
    private var calendar = CalendarText()
    private(set) var droppedLines: UInt64 = 0

    /// - Parameter queue: one of the writer's, for this worker alone.
    public init(_ format: Format, to queue: LogQueue, of writer: LogWriter, on loop: EventLoop) {
        self.loop = loop
        self.writer = writer
        self.queue = queue
        self.format = format
        super.init()
        loop.attach(self)
    }

    deinit { calendar.deallocate() }

    func append(_ entry: AccessEntry, _ notes: ExchangeNotes) {
        guard var block = room() else {
            droppedLines += 1
            return
        }
        calendar.set(monotonicNanoseconds: entry.endNanoseconds)
        switch format {
        case .json: block.appendJSON(entry, notes, calendar)
        case .combined: block.appendCombined(entry, notes, calendar)
        }
        guard !block.hasOverflowed else {
            droppedLines += 1
            return
        }
        self.block = block
        lines += 1
        arm()
    }

    /// The open block with room for any line; `nil` where the writer holds all others.
    private func room() -> HeadWriter? {
        if let block {
            if block.capacity - block.count >= AccessEntry.longestLine { return block }
            flush()
        }
        return queue.open().map { HeadWriter($0, capacity: LogQueue.blockBytes) }
    }

    private func arm() {
        guard !isArmed else { return }
        isArmed = true
        loop.setDeadline(self, after: Self.flushNanoseconds)
    }

    override public func deadlineReached() {
        isArmed = false
        // A writer that is behind has enough to do; the block may as well become fuller.
        if queue.isBehind { arm() } else { flush() }
    }

    /// Hands over what there is.
    public func flush() {
        guard let block, lines > 0 else { return }
        queue.publish(block.count, lines: lines)
        self.block = nil
        lines = 0
        writer.notify()
    }
}
