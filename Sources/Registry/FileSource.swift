public import MeshCore
public import Reactor

/// A Compose file as a source of the catalogue, watched for changes. Lives on one loop.
///
/// A file that cannot be read or parsed never changes what was announced: the last good content stays in force and
/// the problem is told. A file that has vanished is such a problem, not an empty catalogue.
public final class FileSource: CatalogueSource {
    /// What the source tells its holder, on the loop's thread.
    public struct Callbacks {
        /// The file's whole content as a `reset`; the first time before `init` returns.
        public var event: (SourceEvent) -> Void
        /// The file became broken, or is broken in another way; `nil`: it is whole again.
        public var problem: (CatalogueProblem?) -> Void
        /// Each text is told once in the life of the source, up to `maximumWarnings` texts.
        public var warning: (CatalogueProblem) -> Void

        public init(
            event: @escaping (SourceEvent) -> Void, problem: @escaping (CatalogueProblem?) -> Void,
            warning: @escaping (CatalogueProblem) -> Void
        ) {
            self.event = event
            self.problem = problem
            self.warning = warning
        }
    }

    /// Warning texts remembered; those that come after are not told.
    public static let maximumWarnings = 10_000

    /// `file:PATH`, the source's name in its events.
    public let name: String
    private let path: String
    private let routingDomain: String?
    private let callbacks: Callbacks
    private var watcher: FileWatcher?
    private var revision: UInt64 = 0
    private var current: ComposeCatalogue?
    private var problem: CatalogueProblem?
    /// Runs while the file's folder cannot be watched, because it is not there yet.
    private var retry: WatchRetry?
    private var toldWarnings: Set<String> = []

    /// Reads the file, announces it and begins to watch it.
    ///
    /// - Parameter mayBegin: asked where the file is broken at start. `true`: the holder has something to serve
    ///   meanwhile; the file is watched, and announced as soon as it is whole.
    /// - Throws: what is wrong with the file; then nothing was announced and nothing is watched.
    public init(
        path: String, routingDomain: String?, on loop: EventLoop, _ callbacks: Callbacks,
        mayBegin: (CatalogueProblem) -> Bool = { _ in false }
    ) throws(CatalogueProblem) {
        name = RegistryURL.file(path: path).description
        self.path = path
        self.routingDomain = routingDomain
        self.callbacks = callbacks
        do throws(CatalogueProblem) {
            try watch(on: loop)
            announce(try Self.load(path, routingDomain))
        } catch {
            guard mayBegin(error) else {
                stop()
                throw error
            }
            problem = error
            if watcher == nil { retry = WatchRetry(loop) { [weak self] in self?.watchLater(on: loop) } }
        }
    }

    deinit { stop() }

    /// Ends the watch; nothing more is told.
    public func stop() {
        watcher?.stop()
        watcher = nil
        retry?.stop()
        retry = nil
    }

    /// Before the file is read, so that no change is lost between the two.
    private func watch(on loop: EventLoop) throws(CatalogueProblem) {
        do throws(SystemError) {
            watcher = try FileWatcher(path, on: loop) { [weak self] in self?.reload() }
        } catch {
            // Where reading fails too, that is the clearer reason.
            _ = try Self.load(path, routingDomain)
            throw Self.unreadable(path, "watch", error)
        }
    }

    private func watchLater(on loop: EventLoop) {
        guard (try? watch(on: loop)) != nil else { return }
        retry?.stop()
        retry = nil
        reload()
    }

    /// Reads the file now, whatever the watch has seen.
    public func refresh() { reload() }

    private static func load(_ path: String, _ routingDomain: String?) throws(CatalogueProblem) -> ComposeCatalogue {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FileBytes.read(path, limit: ComposeCatalogue.maximumBytes)
        } catch {
            throw unreadable(path, "read", error)
        }
        return try ComposeCatalogue.parse(bytes, file: path, routingDomain: routingDomain)
    }

    private static func unreadable(_ path: String, _ verb: String, _ error: SystemError) -> CatalogueProblem {
        CatalogueProblem(
            file: path, line: 0, column: 0, key: "", message: "cannot \(verb): \(SystemError.text(error.code))")
    }

    private func reload() {
        do throws(CatalogueProblem) {
            let loaded = try Self.load(path, routingDomain)
            if problem != nil {
                problem = nil
                callbacks.problem(nil)
            }
            announce(loaded)
        } catch {
            guard error != problem else { return }
            problem = error
            callbacks.problem(error)
        }
    }

    private func announce(_ loaded: ComposeCatalogue) {
        for warning in loaded.warnings where toldWarnings.count < Self.maximumWarnings {
            if toldWarnings.insert(warning.description).inserted { callbacks.warning(warning) }
        }
        let isSame = current.map { $0.services == loaded.services && $0.instances == loaded.instances } ?? false
        current = loaded
        guard !isSame else { return }
        revision += 1
        callbacks.event(
            SourceEvent(
                source: name, revision: revision,
                change: .reset(services: loaded.services, instances: loaded.instances)))
    }
}

/// Tries again and again to watch a file whose folder is missing.
private final class WatchRetry: Handler {
    private static let pauseNanoseconds: UInt64 = 500_000_000

    private let loop: EventLoop
    private let attempt: () -> Void

    init(_ loop: EventLoop, attempt: @escaping () -> Void) {
        self.loop = loop
        self.attempt = attempt
        super.init()
        loop.attach(self)
        loop.setDeadline(self, after: Self.pauseNanoseconds)
    }

    func stop() { loop.detach(self) }

    override func deadlineReached() {
        // The attempt may end this: a deadline of what is detached is ignored.
        attempt()
        loop.setDeadline(self, after: Self.pauseNanoseconds)
    }
}
