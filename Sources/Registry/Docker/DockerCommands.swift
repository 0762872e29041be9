import MeshCore
public import Reactor

/// Runs commands in an engine's containers, a bounded number at one time. Lives on one loop.
public final class DockerCommands {
    /// Commands under way at one time; more wait their turn, in order.
    public static let limit = 16

    /// One command that was asked for. `cancel` ends it without an outcome; what runs in the container goes on.
    public final class Run: Handler {
        fileprivate let words: [String]
        fileprivate let container: String
        fileprivate let timeout: UInt64
        fileprivate var done: ((CommandOutcome) -> Void)?
        fileprivate var machine = DockerExec()
        fileprivate var output = DockerOutput()
        fileprivate var call: DockerCall?
        fileprivate let expiry = SourceTimer()
        fileprivate var isRunning = false
        private unowned let owner: DockerCommands

        fileprivate init(
            _ words: [String], _ container: String, _ timeout: UInt64, _ owner: DockerCommands,
            _ done: @escaping (CommandOutcome) -> Void
        ) {
            self.words = words
            self.container = container
            self.timeout = timeout
            self.owner = owner
            self.done = done
        }

        /// Harmless when it has ended.
        public func cancel() {
            guard done != nil else { return }
            done = nil
            owner.cancelled(self)
        }

        override public func deadlineReached() { owner.handle(self, .timer) }
    }

    private let client: DockerClient
    private let loop: EventLoop
    private var waiting: [Run] = []
    private var running = 0
    /// Commands left running, by container.
    private var lingering: [String: String] = [:]
    private var isStopped = false
    public private(set) var started: UInt64 = 0
    public var waitingCount: Int { waiting.count }

    init(_ client: DockerClient, on loop: EventLoop) {
        self.client = client
        self.loop = loop
    }

    /// Runs `words` in a container.
    ///
    /// - Parameters:
    ///   - timeoutNanoseconds: from its start, not counting its wait for others.
    ///   - done: called once, on the loop, never from within this call.
    func run(
        _ words: [String], in container: String, timeoutNanoseconds: UInt64, _ done: @escaping (CommandOutcome) -> Void
    ) -> Run {
        let run = Run(words, container, timeoutNanoseconds, self, done)
        waiting.append(run)
        _ = CallTimer(loop) { [weak self] in self?.next() }
        return run
    }

    func stop() {
        isStopped = true
        for run in waiting { run.done = nil }
        waiting = []
    }

    private func next() {
        while running < Self.limit, !waiting.isEmpty, !isStopped {
            let run = waiting.removeFirst()
            guard run.done != nil else { continue }
            begin(run)
        }
    }

    private func begin(_ run: Run) {
        running += 1
        started += 1
        run.isRunning = true
        loop.attach(run)
        loop.attach(run.expiry)
        run.expiry.fired = { [unowned self, unowned run] in handle(run, .expired) }
        loop.setDeadline(run.expiry, after: max(run.timeout, 1_000_000))
        handle(run, .begin(lingering: lingering.removeValue(forKey: run.container)))
    }

    /// These are the containers that there are; what was left running in others is no more.
    func retain(_ containers: Set<String>) { lingering = lingering.filter { containers.contains($0.key) } }

    fileprivate func cancelled(_ run: Run) {
        if run.isRunning, let id = run.machine.execID { lingering[run.container] = id }
        ended(run)
    }

    private func ended(_ run: Run) {
        run.call?.cancel()
        guard run.isRunning else {
            waiting.removeAll { $0 === run }
            return
        }
        run.isRunning = false
        running -= 1
        loop.detach(run)
        loop.detach(run.expiry)
        next()
    }

    // MARK: - The machine

    fileprivate func handle(_ run: Run, _ event: DockerExec.Event) {
        guard run.isRunning else { return }
        for action in run.machine.handle(event) { perform(run, action) }
    }

    private func perform(_ run: Run, _ action: DockerExec.Action) {
        switch action {
        case .create:
            ask(run, DockerRequest.createExec(in: run.container), DockerRequest.exec(run.words)) {
                body throws(DockerFailure) in .created(id: try DockerAnswer.createdExec(body))
            }
        case .start(let id): start(run, id)
        case .inspect(let id):
            ask(run, DockerRequest.inspectExec(id), nil) { body throws(DockerFailure) in
                let found = try DockerAnswer.exec(body)
                return .inspected(isRunning: found.isRunning, exitCode: found.exitCode)
            }
        case .timer(let nanoseconds): loop.setDeadline(run, after: nanoseconds)
        case .finished(let verdict, let left): finish(run, verdict, left)
        }
    }

    private func ask(
        _ run: Run, _ path: String, _ body: String?,
        _ read: @escaping ([UInt8]) throws(DockerFailure) -> DockerExec.Event
    ) {
        run.call = client.call(path, body) { [unowned self, unowned run] result in
            do throws(DockerFailure) {
                handle(run, try read(try result.get()))
            } catch {
                handle(run, .failed(error))
            }
        }
    }

    private func start(_ run: Run, _ id: String) {
        run.call = client.output(
            DockerRequest.startExec(id), DockerRequest.start, piece: { [unowned run] in run.output.add($0) },
            ended: { [unowned self, unowned run] failure in
                handle(run, failure.map { .failed($0) } ?? .outputEnded)
            })
    }

    private func finish(_ run: Run, _ verdict: DockerExec.Verdict, _ left: String?) {
        if let left { lingering[run.container] = left }
        guard let done = run.done else { return }
        run.done = nil
        let line = run.output.line
        ended(run)
        switch verdict {
        case .passed: done(.passed)
        case .exited(let code): done(.failed(cause: "exit status \(code)" + (line.isEmpty ? "" : ": \(line)")))
        case .failed(let cause): done(.failed(cause: cause))
        case .timedOut: done(.timedOut)
        case .notMade(let reason): done(.notMade(reason: reason))
        }
    }
}
