import CLinux
import Glibc
import Synchronization
import Testing

@testable import Reactor

/// Lines from several threads into one file.
@Suite struct LogWriterTests {
    /// Fills blocks as a worker does; a full queue is waited for, so that nothing may be missing.
    private final class Producer {
        let queue: LogQueue
        let writer: LogWriter
        private var block: UnsafeMutableRawPointer?
        private var count = 0
        private var lines = 0

        init(_ queue: LogQueue, _ writer: LogWriter) {
            self.queue = queue
            self.writer = writer
        }

        /// `false`: the queue is full.
        func add(_ line: String) -> Bool {
            let bytes = Array((line + "\n").utf8)
            if count + bytes.count > LogQueue.blockBytes { publish() }
            guard let open = block ?? queue.open() else { return false }
            block = open
            bytes.withUnsafeBytes { (open + count).copyMemory(from: $0.baseAddress!, byteCount: bytes.count) }
            count += bytes.count
            lines += 1
            return true
        }

        func publish() {
            guard lines > 0 else { return }
            queue.publish(count, lines: lines)
            (block, count, lines) = (nil, 0, 0)
            writer.notify()
        }
    }

    private func lines(_ path: String) throws -> [String] {
        let bytes = try FileBytes.read(path, limit: 64 << 20)
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private func waitUntil(_ what: Comment, _ condition: () -> Bool) {
        for _ in 0..<2000 {
            if condition() { return }
            usleep(5_000)
        }
        Issue.record(what)
    }

    @Test func linesOfSeveralQueuesWithRotationsBetween() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/log"
        let queues = (0..<3).map { _ in LogQueue(blocks: 4) }
        let writer = try LogWriter(path: path, queues: queues)
        try writer.start()
        let each = 20_000
        let running = Atomic<Int>(queues.count)
        for (index, queue) in queues.enumerated() {
            _ = try WorkerThread(name: "producer") {
                let producer = Producer(queue, writer)
                for number in 0..<each {
                    while !producer.add("\(index) \(number) \(String(repeating: "x", count: number % 97))") {
                        usleep(200)
                    }
                    if number % 1_000 == 0 { producer.publish() }
                }
                producer.publish()
                running.subtract(1, ordering: .releasing)
            }
        }
        var rotations = 0
        while running.load(ordering: .acquiring) > 0, rotations < 200 {
            rename(path, "\(path).\(rotations)")
            rotations += 1
            writer.reopen()
            waitUntil("a new file") { access(path, F_OK) == 0 }
        }
        waitUntil("the producers end") { running.load(ordering: .acquiring) == 0 }
        writer.stop()
        var next = [Int](repeating: 0, count: queues.count)
        for file in (0..<rotations).map({ "\(path).\($0)" }) + [path] {
            for line in try lines(file) {
                let parts = line.split(separator: " ", omittingEmptySubsequences: false)
                let (queue, number) = (try #require(Int(parts[0])), try #require(Int(parts[1])))
                #expect(number == next[queue] && parts[2].utf8.count == number % 97)
                next[queue] += 1
            }
        }
        #expect(next == [Int](repeating: each, count: queues.count) && rotations > 0)
        #expect(writer.counts.written == UInt64(3 * each) && writer.counts.dropped == 0)
    }

    /// Nobody reads the FIFO: the queue fills up, and the end is not held up for long.
    @Test func aFIFOThatNobodyReads() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/fifo"
        #expect(mkfifo(path, 0o600) == 0)
        let queue = LogQueue(blocks: 8)
        let writer = try LogWriter(path: path, queues: [queue])
        try writer.start()
        let producer = Producer(queue, writer)
        var taken = 0
        while producer.add("line \(taken) of many"), taken < 1_000_000 { taken += 1 }
        #expect(taken < 1_000_000)
        // A reader gets whole lines, from the first.
        let reader = open(path, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        waitUntil("the reader is written to") {
            let count = read(reader, &piece, piece.count)
            if count > 0 { bytes += piece[..<count] }
            return bytes.count > 200_000
        }
        #expect(String(decoding: bytes, as: UTF8.self).hasPrefix("line 0 of many\nline 1 of many\n"))
        producer.publish()
        writer.stop()
        // The thread may need longer than `stop` waits.
        waitUntil("\(taken) lines are written or dropped") {
            writer.counts.written + writer.counts.dropped == UInt64(taken)
        }
        #expect(writer.counts.dropped > 0, "\(writer.counts)")
    }

    @Test func aDeviceWithoutSpace() throws {
        let queue = LogQueue()
        let writer = try LogWriter(path: "/dev/full", queues: [queue])
        try writer.start()
        let producer = Producer(queue, writer)
        for number in 0..<100 { #expect(producer.add("line \(number)")) }
        producer.publish()
        waitUntil("the block is given up") { writer.counts.dropped == 100 }
        writer.stop()
        #expect(writer.counts.written == 0)
    }

    @Test func aPathThatCannotBeOpened() {
        #expect(throws: SystemError("open", ENOENT)) { _ = try LogWriter(path: "/none/log", queues: []) }
        #expect(throws: SystemError("open", EISDIR)) { _ = try LogWriter(path: "/tmp", queues: []) }
    }

    @Test func startsOfLines() {
        let bytes = Array("ab\ncd\n".utf8)
        bytes.withUnsafeBytes { raw in
            #expect((0...6).map { LogSink.lineStart(raw, $0) } == [0, 0, 0, 3, 3, 3, 6])
        }
    }
}
