import MeshCore
import Reactor

/// How instances are spoken to over TLS, on the control loop: reads the bundles of authorities that services name,
/// watches them, and posts what is new to the workers.
final class InstanceTLSKeeper {
    private static let bundleLimit = 4 << 20

    private struct Entry {
        var bundle: [UInt8]?
        var context: TLSClientContext?
        var problem: String?
    }

    private let loop: EventLoop
    private let workers: [Mailbox<WorkerMessage>]
    /// A relative path begins here.
    private let folder: String?
    private var wanted: [String: Set<UpstreamTLS>] = [:]
    private var entries: [UpstreamTLS: Entry] = [:]
    private var watchers: [String: FileWatcher] = [:]

    init(on loop: EventLoop, folder: String?, workers: [Mailbox<WorkerMessage>]) {
        self.loop = loop
        self.folder = folder
        self.workers = workers
    }

    func stop() {
        for watcher in watchers.values { watcher.stop() }
        watchers = [:]
    }

    /// Everything that is wrong at present, for `status`.
    var problems: [String] { entries.values.compactMap(\.problem).sorted() }

    /// `nil`: it cannot be used at present.
    func context(_ tls: UpstreamTLS) -> TLSClientContext? { entries[tls]?.context }

    /// Takes what services that have changed want.
    func update(_ services: Set<String>, _ catalogue: Catalogue) {
        var isNew = false
        for name in services {
            let spec = catalogue.entries[name]?.spec
            let now = Set([spec?.upstreamTLS, spec?.probe?.tls].compactMap(\.self))
            guard now != wanted[name] ?? [] else { continue }
            wanted[name] = now.isEmpty ? nil : now
            isNew = true
        }
        guard isNew else { return }
        let all = wanted.values.reduce(into: Set<UpstreamTLS>()) { $0.formUnion($1) }
        entries = entries.filter { all.contains($0.key) }
        watch(Set(all.compactMap(\.authorities).map(resolve)))
        for tls in all where entries[tls] == nil { _ = load(tls) }
        post()
    }

    private func resolve(_ path: String) -> String {
        guard !path.hasPrefix("/"), let folder else { return path }
        return "\(folder)/\(path)"
    }

    private func watch(_ paths: Set<String>) {
        for (path, watcher) in watchers where !paths.contains(path) {
            watcher.stop()
            watchers[path] = nil
        }
        // What cannot be watched is read again when its service changes.
        for path in paths where watchers[path] == nil {
            watchers[path] = try? FileWatcher(path, on: loop) { [unowned self] in changed(path) }
        }
    }

    private func changed(_ path: String) {
        var isNew = false
        for tls in entries.keys where tls.authorities.map(resolve) == path { isNew = load(tls) || isNew }
        if isNew { post() }
    }

    /// Reads the bundle; one that cannot be used leaves the last good one in force. Whether something changed.
    private func load(_ tls: UpstreamTLS) -> Bool {
        var entry = entries[tls] ?? Entry()
        let place = tls.authorities.map { "authorities \(resolve($0))" } ?? "the system's authorities"
        defer { entries[tls] = entry }
        do {
            let bundle = try tls.authorities.map { try FileBytes.read(resolve($0), limit: Self.bundleLimit) }
            if entry.context != nil, entry.bundle == bundle, entry.problem == nil { return false }
            entry.context = try TLSClientContext(authorities: bundle, verifies: tls.verifies)
            (entry.bundle, entry.problem) = (bundle, nil)
            return true
        } catch {
            let problem = "\(place): \(error)"
            if problem != entry.problem { Log.error("authorities refused", ["cause": problem]) }
            entry.problem = problem
            return false
        }
    }

    private func post() {
        let contexts = entries.compactMapValues(\.context)
        for worker in workers { worker.post(.instanceTLS(contexts)) }
    }
}
