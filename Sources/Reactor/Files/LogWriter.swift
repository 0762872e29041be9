import CLinux
import Glibc
import Synchronization

/// One thread that appends the blocks of several queues to a file or to standard output, so that no loop ever waits for
/// a disk. Blocks are written one after the other, so lines of different queues do not mix.
public final class LogWriter: Sendable {
    public struct Counts: Sendable {
        public let written: UInt64
        /// Lines of blocks that the file did not take.
        public let dropped: UInt64
    }

    /// How long `stop` waits for what is queued: a reader that reads nothing is not waited for, nor is a dead disk.
    private static let patienceMilliseconds: Int32 = 2_000

    let path: String
    /// One for each producer.
    public let queues: [LogQueue]
    let wake: Int32
    private let ended: Int32
    private let first: Int32
    private let stopping = Atomic<Bool>(false)
    private let reopening = Atomic<Bool>(false)
    private let written = Atomic<UInt64>(0)
    private let dropped = Atomic<UInt64>(0)

    /// Opens the file; writing begins with `start`.
    ///
    /// - Parameter path: `stdout`, or a file that is appended to. A FIFO without a reader is waited for.
    public init(path: String, queues: [LogQueue]) throws(SystemError) {
        self.path = path
        self.queues = queues
        first = try LogFile.open(path)
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        ended = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0, ended >= 0 else { throw SystemError("eventfd", errno) }
    }

    public func start() throws(SystemError) {
        let descriptor = first
        _ = try WorkerThread(name: "meshd-log") { [self] in
            var sink = LogSink(self, LogFile(path, descriptor))
            sink.run()
            Self.post(ended)
        }
    }

    public var counts: Counts {
        Counts(written: written.load(ordering: .relaxed), dropped: dropped.load(ordering: .relaxed))
    }

    /// Called by whoever has published a block.
    public func notify() { Self.post(wake) }

    /// Opens the path anew, between two lines: what was renamed away gets no more.
    public func reopen() {
        reopening.store(true, ordering: .releasing)
        notify()
    }

    /// Writes what is queued and ends, but does not wait for long. Producers have ended before.
    public func stop() {
        stopping.store(true, ordering: .releasing)
        notify()
        var poll = pollfd(fd: ended, events: Int16(POLLIN), revents: 0)
        _ = Glibc.poll(&poll, 1, Self.patienceMilliseconds)
    }

    private static func post(_ descriptor: Int32) {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    // MARK: - The thread

    var isStopping: Bool { stopping.load(ordering: .acquiring) }

    func takeReopen() -> Bool {
        reopening.load(ordering: .relaxed) && reopening.exchange(false, ordering: .acquiringAndReleasing)
    }

    func count(written lines: Int) { written.add(UInt64(clamping: lines), ordering: .relaxed) }

    func count(dropped lines: Int) { dropped.add(UInt64(clamping: lines), ordering: .relaxed) }
}

/// What lines are appended to, as it is open now.
struct LogFile {
    static let standardOutput = "stdout"

    let path: String
    /// -1: a FIFO without a reader.
    private(set) var descriptor: Int32
    /// A write to a regular file is never "not now"; anything else is asked first.
    private(set) var isRegular = false

    init(_ path: String, _ descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
        look()
    }

    /// - Returns: a descriptor; -1 for a FIFO without a reader.
    static func open(_ path: String) throws(SystemError) -> Int32 {
        if path == standardOutput {
            let copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
            guard copy >= 0 else { throw SystemError("fcntl", errno) }
            return copy
        }
        let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
        let descriptor = Glibc.open(path, flags, 0o644)
        guard descriptor >= 0 || errno == ENXIO else { throw SystemError("open", errno) }
        return descriptor
    }

    private mutating func look() {
        var facts = stat()
        isRegular = descriptor >= 0 && fstat(descriptor, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
    }

    /// Opens the path anew. What was open stays where that fails.
    mutating func reopen() throws(SystemError) {
        guard path != Self.standardOutput else { return }
        let fresh = try Self.open(path)
        close()
        descriptor = fresh
        look()
    }

    mutating func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }
}
