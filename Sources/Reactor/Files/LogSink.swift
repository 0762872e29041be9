import CLinux
import Glibc

/// The work of a `LogWriter`'s thread.
///
/// A regular file takes a block in one call. A pipe or terminal is asked before each small piece, so that the thread
/// hears of a new file and of its end also while nobody reads. What a file refuses (no space, an error of the disk) is
/// dropped and counted; the next block is tried anew.
struct LogSink {
    /// What a pipe that is ready takes without blocking (PIPE_BUF).
    private static let pieceBytes = 4096
    /// How often a FIFO without a reader, and the end, is looked at.
    private static let lookMilliseconds: Int32 = 100
    /// How long a file that is not ready is waited for at the end.
    private static let endNanoseconds: UInt64 = 1_000_000_000

    private let owner: LogWriter
    private var file: LogFile
    /// The last line in the file has no end.
    private var isTorn = false
    private var endsAt: UInt64?
    /// Told once, until a block is written again.
    private var isFailing = false

    init(_ owner: LogWriter, _ file: LogFile) {
        self.owner = owner
        self.file = file
    }

    mutating func run() {
        while true {
            // Read before the queues are: what was published before the end is seen.
            let isEnd = owner.isStopping
            var isIdle = true
            for queue in owner.queues {
                guard let block = queue.next() else { continue }
                isIdle = false
                write(block)
                queue.release()
            }
            if !isIdle { continue }
            if isEnd { break }
            if owner.takeReopen() { reopen() } else { waitForWork(-1) }
        }
        file.close()
    }

    // MARK: - Writing

    private mutating func write(_ block: LogQueue.Block) {
        var position = 0
        guard endLine() else { return drop(block, from: 0) }
        while position < block.bytes.count {
            if owner.takeReopen() {
                reopen()
                position = Self.lineStart(block.bytes, position)
            }
            guard isReady() else {
                if isOverdue() { return drop(block, from: position) }
                continue
            }
            switch put(block.bytes, position) {
            case .count(let count): position += count
            case .wouldBlock:
                if isOverdue() { return drop(block, from: position) }
                waitForWork(Self.lookMilliseconds)
            case .failed(EPIPE) where file.path != LogFile.standardOutput:
                // The FIFO's reader is gone; the next one gets whole lines.
                file.close()
                position = Self.lineStart(block.bytes, position)
            case .failed(let code):
                tell(SystemError("write", code))
                return drop(block, from: position)
            }
        }
        isFailing = false
        owner.count(written: block.lines)
    }

    private func put(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> IOResult {
        guard let base = bytes.baseAddress else { return .count(0) }
        let rest = bytes.count - position
        let count = file.isRegular ? rest : min(rest, Self.pieceBytes)
        let descriptor = file.descriptor
        return retrying { Glibc.write(descriptor, base + position, count) }
    }

    /// Ends a line that an error has cut, so that the next one is not taken for its rest.
    private mutating func endLine() -> Bool {
        guard isTorn else { return true }
        let descriptor = file.descriptor
        var end = UInt8(ascii: "\n")
        guard case .count(1) = retrying({ Glibc.write(descriptor, &end, 1) }) else { return false }
        isTorn = false
        return true
    }

    private mutating func drop(_ block: LogQueue.Block, from position: Int) {
        let start = Self.lineStart(block.bytes, position)
        if position > start { isTorn = true }
        let lost = block.bytes[start...].reduce(0) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
        owner.count(dropped: lost)
        owner.count(written: max(block.lines - lost, 0))
    }

    static func lineStart(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> Int {
        (bytes[..<position].lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
    }

    // MARK: - Waiting

    /// Whether the file takes bytes now. Waits a moment where it does not.
    private mutating func isReady() -> Bool {
        if file.descriptor < 0 {
            try? file.reopen()
            guard file.descriptor >= 0 else {
                waitForWork(Self.lookMilliseconds)
                return false
            }
        }
        if file.isRegular { return true }
        var polls = pollfd(fd: file.descriptor, events: Int16(POLLOUT), revents: 0)
        return Glibc.poll(&polls, 1, Self.lookMilliseconds) > 0 && polls.revents != 0
    }

    private mutating func isOverdue() -> Bool {
        guard owner.isStopping else { return false }
        let now = MonotonicClock.nowNanoseconds()
        let end = endsAt ?? now &+ Self.endNanoseconds
        endsAt = end
        return now >= end
    }

    private func waitForWork(_ milliseconds: Int32) {
        var polls = pollfd(fd: owner.wake, events: Int16(POLLIN), revents: 0)
        _ = Glibc.poll(&polls, 1, milliseconds)
        var count: UInt64 = 0
        _ = read(owner.wake, &count, 8)
    }

    // MARK: - Files

    private mutating func reopen() {
        do throws(SystemError) {
            try file.reopen()
            isTorn = false
        } catch {
            Log.error("access log not opened anew, the old file goes on", ["path": file.path, "cause": "\(error)"])
        }
    }

    private mutating func tell(_ error: SystemError) {
        if !isFailing { Log.error("access log not written", ["path": file.path, "cause": "\(error)"]) }
        isFailing = true
    }
}
