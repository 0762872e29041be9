import MeshCore
import Reactor
import Registry

/// The last good catalogue of each source, on disk for a start without the source.
///
/// Lives on the control loop; encoding, writing and syncing happen on a thread of its own. A source that changes all
/// the time is written once in `KeptPause`, so a power cut loses that much at the most.
final class KeptCatalogues: Handler {

    private let loop: EventLoop
    private let folder: String
    private let content: (_ source: String) -> Catalogue.SourceContent?
    private let writer: KeptWriter
    /// Sources to write, and when they told what is to be written, in wall-clock nanoseconds.
    private var waiting: [String: UInt64] = [:]
    private var isPausing = false
    private var beganPause: UInt64 = 0
    private(set) var failures = 0
    /// What was logged of files that cannot be written: trying again is no news.
    private var told: [String: String] = [:]

    /// - Parameter content: the present state of a source.
    init(
        folder: String, on loop: EventLoop, content: @escaping (_ source: String) -> Catalogue.SourceContent?
    ) throws(SystemError) {
        try FileBytes.makeDirectory(folder)
        self.folder = folder
        self.loop = loop
        self.content = content
        let results = try Mailbox<KeptWriter.Outcome>()
        writer = try KeptWriter(results)
        super.init()
        loop.attach(self)
        try results.open(on: loop) { [weak self] in self?.ended($0) }
    }

    private func path(_ source: String) -> String { "\(folder)/\(KeptCatalogue.fileName(source: source))" }

    /// What is kept of a source. A file that is not as it was written is told and passed over.
    func load(_ source: String) -> KeptCatalogue? {
        let path = path(source)
        do {
            let bytes = try FileBytes.read(path, limit: KeptCatalogue.maximumBytes)
            return try KeptCatalogue(bytes, source: source)
        } catch let error as SystemError where error.isMissingFile {
            return nil
        } catch {
            Log.error("kept catalogue ignored", ["file": path, "registry": source, "cause": "\(error)"])
            return nil
        }
    }

    /// The source has told something new.
    func changed(_ source: String) {
        waiting[source] = WallClock.nowNanoseconds()
        if !isPausing { write() }
    }

    override func deadlineReached() {
        isPausing = false
        write()
    }

    private func write() {
        guard !waiting.isEmpty else { return }
        for (source, toldAt) in waiting {
            guard let content = content(source) else { continue }
            writer.write(KeptWriter.Order(path: path(source), source: source, toldAt: toldAt, content: content))
        }
        waiting = [:]
        rest()
    }

    private func rest() {
        isPausing = true
        beganPause = loop.nowNanoseconds
        loop.setDeadline(self, after: KeptPause.shortestNanoseconds)
    }

    private func ended(_ outcome: KeptWriter.Outcome) {
        let pause = KeptPause.nanoseconds(afterEncoding: outcome.encodingNanoseconds)
        if isPausing, pause > KeptPause.shortestNanoseconds { loop.setDeadline(self, at: beganPause &+ pause) }
        guard let failure = outcome.failure else {
            told[outcome.source] = nil
            return
        }
        failures += 1
        if told.updateValue(failure.cause, forKey: outcome.source) != failure.cause {
            Log.error("cannot write state", ["file": failure.path, "cause": failure.cause])
        }
        // A disk that was full has room again some time, and nothing else may change by then.
        waiting[outcome.source] = waiting[outcome.source] ?? outcome.toldAt
        if !isPausing { rest() }
    }

    /// Writes what is still to be written and ends the thread.
    func finish() {
        write()
        writer.finish()
        loop.detach(self)
    }
}

/// The thread that writes kept catalogues.
private final class KeptWriter {
    struct Order: Sendable {
        let path: String
        let source: String
        let toldAt: UInt64
        let content: Catalogue.SourceContent
    }

    struct Outcome: Sendable {
        let source: String
        let toldAt: UInt64
        let encodingNanoseconds: UInt64
        let failure: Failure?
    }

    struct Failure: Sendable {
        let path: String
        let cause: String
    }

    private let orders: Mailbox<Order?>
    private var thread: WorkerThread?

    init(_ results: Mailbox<Outcome>) throws(SystemError) {
        let orders = try Mailbox<Order?> { $0?.path.hashValue ?? 0 }
        self.orders = orders
        // Of a large mesh it has a lot to do at a time, just when there is news to be routed by.
        thread = try WorkerThread(name: "meshd-keeper", isPatient: true) {
            guard let loop = try? EventLoop() else { return }
            let isOpen: Void? = try? orders.open(on: loop) { order in
                if let order { Self.write(order, results) } else { loop.stop() }
            }
            if isOpen != nil { loop.run() }
        }
    }

    func write(_ order: Order) { orders.post(order) }

    func finish() {
        orders.post(nil)
        thread.take()?.join()
    }

    private static func write(_ order: Order, _ results: Mailbox<Outcome>) {
        let start = MonotonicClock.nowNanoseconds()
        let image = KeptCatalogue.encoded(order.content, source: order.source, toldAtNanoseconds: order.toldAt)
        // Without the file: waiting for a disk costs nothing else its time.
        let duration = MonotonicClock.nowNanoseconds() - start
        var failure: Failure?
        do throws(SystemError) {
            // A service may bring the key of its certificate along.
            try FileBytes.replace(order.path, image, mode: 0o600)
        } catch {
            failure = Failure(path: order.path, cause: "\(error)")
        }
        results.post(
            Outcome(
                source: order.source, toldAt: order.toldAt, encodingNanoseconds: duration, failure: failure))
    }
}
