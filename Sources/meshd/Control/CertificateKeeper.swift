import MeshCore
import Reactor

/// The certificates and ticket keys of the TLS listeners, on the control loop: loads them, watches their files, rotates
/// keys, and posts what is new to the workers.
final class CertificateKeeper: Handler {
    private static let folderLimit = 20_000

    private let loop: EventLoop
    private let workers: [Mailbox<WorkerMessage>]
    private let settings: Setup
    private let store: TLSCertificateStore
    private var keysWatcher: FileWatcher?
    private var clients: ClientAuthoritiesFile?
    /// By folder.
    private var watchers: [String: FileWatcher] = [:]
    /// Certificates that services bring along.
    private var ofServices: [String: CertificateSpec] = [:]
    private var keys = TLSTicketKeys([])
    private var folder: [TLSCertificateStore.Source] = []
    private var folderProblem: String?
    private var keysProblem: String?

    struct Setup {
        var policy: TLSPolicy
        var folder: String?
        var preferred: String?
        var ticketKeysPath: String?
        /// The file of `policy.clientAuthorities`, where clients are asked for certificates.
        var clientAuthoritiesPath: String?
        var rotationNanoseconds: UInt64
    }

    /// - Throws: a policy that OpenSSL does not take, or a key file that cannot be read.
    init(_ setup: Setup, on loop: EventLoop, workers: [Mailbox<WorkerMessage>]) throws {
        self.loop = loop
        self.workers = workers
        settings = setup
        store = try TLSCertificateStore(setup.policy, preferred: setup.preferred)
        super.init()
        loop.attach(self)
        try beginKeys()
        if let path = setup.folder { watchers[path] = try watch(folder: path) }
        reload()
        try watchClients()
    }

    func stop() {
        for watcher in watchers.values { watcher.stop() }
        watchers = [:]
        keysWatcher?.stop()
        keysWatcher = nil
        clients?.stop()
        clients = nil
        loop.detach(self)
    }

    /// Takes the certificates of services that have changed.
    func update(_ services: Set<String>, _ catalogue: Catalogue) {
        var isNew = false
        for name in services where ofServices[name] != catalogue.entries[name]?.spec.certificate {
            ofServices[name] = catalogue.entries[name]?.spec.certificate
            isNew = true
        }
        guard isNew else { return }
        watchFolders()
        reload()
    }

    /// Everything that is wrong at present, for `status`.
    var problems: [String] {
        let none = store.table.entries.isEmpty ? ["--https: there is no certificate: every handshake fails"] : []
        return none + [folderProblem, keysProblem, clients?.problem].compactMap(\.self) + store.problems
    }

    /// Certificates in force with the second (since 1970) in which each ends.
    var expiries: [(label: String, notAfter: Int64)] {
        store.table.entries.map { ($0.label, $0.certificate.notAfter) }
    }

    // MARK: - Certificates

    private func watch(folder path: String) throws -> FileWatcher {
        do throws(SystemError) {
            return try FileWatcher(folder: path, on: loop) { [unowned self] in reload() }
        } catch {
            throw StartFailure(message: "--certificates \(path): \(SystemError.text(error.code))")
        }
    }

    /// A folder that cannot be watched is no obstacle: its files are read with every other change.
    private func watchFolders() {
        var wanted = Set(settings.folder.map { [$0] } ?? [])
        for case .files(let certificate, let key) in ofServices.values {
            wanted.formUnion([certificate, key].compactMap(\.self).map { Self.folder(of: resolve($0)) })
        }
        for (path, watcher) in watchers where !wanted.contains(path) {
            watcher.stop()
            watchers[path] = nil
        }
        for path in wanted where watchers[path] == nil { watchers[path] = try? watch(folder: path) }
    }

    private static func folder(of path: String) -> String {
        guard let cut = path.lastIndex(of: "/") else { return "." }
        return cut == path.startIndex ? "/" : String(path[..<cut])
    }

    private func resolve(_ path: String) -> String {
        guard !path.hasPrefix("/"), let folder = settings.folder else { return path }
        return "\(folder)/\(path)"
    }

    /// Services' own come first.
    private func sources() -> [TLSCertificateStore.Source] {
        let own = ofServices.sorted { $0.key < $1.key }.map { name, spec -> TLSCertificateStore.Source in
            let label = "service \(name)"
            return switch spec {
            case .text(let text): .init(label: label, text: text)
            case .files(let certificate, let key):
                .init(label: label, certificatePath: resolve(certificate), keyPath: key.map(resolve))
            }
        }
        return own + folder
    }

    /// Reads every certificate anew, and the authorities of clients.
    func reload() {
        clients?.reload()
        if let path = settings.folder { readFolder(path) }
        let now = Int64(WallClock.nowNanoseconds() / 1_000_000_000)
        let change = store.load(sources(), nowSeconds: now)
        for refused in change.refused {
            Log.error("certificate refused", ["file": refused.file, "reason": refused.reason])
        }
        for label in change.taken { Log.info("certificate loaded", ["certificate": label]) }
        guard change.isNew else { return }
        for worker in workers { worker.post(.certificates(store.table)) }
    }

    /// Files that cannot be listed leave what is known in force.
    private func readFolder(_ path: String) {
        do throws(SystemError) {
            folder = Self.sources(try FileBytes.names(in: path, limit: Self.folderLimit), in: path)
            folderProblem = nil
        } catch {
            let problem = "--certificates \(path): cannot list: \(SystemError.text(error.code))"
            if problem != folderProblem { Log.error("certificates unreadable", ["cause": problem]) }
            folderProblem = problem
        }
    }

    /// `NAME.pem`, and `NAME.crt` with `NAME.key`. Half a pair is a source, too, so that it is told of.
    static func sources(_ names: [String], in path: String) -> [TLSCertificateStore.Source] {
        var found: [TLSCertificateStore.Source] = []
        var pairs: Set<String> = []
        for name in names {
            guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { continue }
            let label = String(name[..<dot])
            switch name[dot...] {
            case ".pem":
                found.append(.init(label: label, certificatePath: "\(path)/\(name)", keyPath: nil))
            case ".crt", ".key":
                guard pairs.insert(label).inserted else { continue }
                found.append(
                    .init(label: label, certificatePath: "\(path)/\(label).crt", keyPath: "\(path)/\(label).key"))
            default: continue
            }
        }
        return found.sorted { ($0.label, $0.certificatePath) < ($1.label, $1.certificatePath) }
    }

    private func watchClients() throws {
        guard let path = settings.clientAuthoritiesPath else { return }
        clients = try ClientAuthoritiesFile(path, settings.policy.clientAuthorities, on: loop) { [unowned self] in
            try store.trustClients(of: $0)
            for worker in workers { worker.post(.certificates(store.table)) }
        }
    }

    // MARK: - Ticket keys

    private func beginKeys() throws {
        guard let path = settings.ticketKeysPath else {
            keys = keys.rotated()
            postKeys()
            return loop.setDeadline(self, after: settings.rotationNanoseconds)
        }
        keysWatcher = try FileWatcher(path, on: loop) { [unowned self] in readKeys(path) }
        readKeys(path)
        if let keysProblem { throw StartFailure(message: keysProblem) }
    }

    private func readKeys(_ path: String) {
        do throws(SystemError) {
            guard let read = TLSTicketKeys.parse(try FileBytes.read(path, limit: 4096)) else {
                return keysAreWrong("--ticket-keys \(path): not one to three lines of 80 octets in base64")
            }
            keysProblem = nil
            keys = read
            postKeys()
        } catch {
            keysAreWrong("--ticket-keys \(path): \(SystemError.text(error.code))")
        }
    }

    private func keysAreWrong(_ problem: String) {
        if problem != keysProblem { Log.error("ticket keys refused, the old ones stay", ["cause": problem]) }
        keysProblem = problem
    }

    override func deadlineReached() {
        keys = keys.rotated()
        postKeys()
        loop.setDeadline(self, after: settings.rotationNanoseconds)
    }

    private func postKeys() {
        for worker in workers { worker.post(.ticketKeys(keys)) }
    }
}
