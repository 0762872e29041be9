import Reactor

/// The bundle of authorities whose clients are taken, on the control loop: watched; one that cannot be used leaves the
/// last good one in force.
final class ClientAuthoritiesFile {
    private static let limit = 4 << 20

    private let path: String
    private let use: ([UInt8]) throws -> Void
    private var bundle: [UInt8]
    private var watcher: FileWatcher?
    /// What is wrong with the file at present.
    private(set) var problem: String?

    /// - Parameters:
    ///   - bundle: what is in force.
    ///   - use: puts another one in force, or says why it cannot be used.
    init(_ path: String, _ bundle: [UInt8], on loop: EventLoop, use: @escaping ([UInt8]) throws -> Void) throws {
        self.path = path
        self.bundle = bundle
        self.use = use
        do throws(SystemError) {
            watcher = try FileWatcher(path, on: loop) { [unowned self] in reload() }
        } catch {
            throw StartFailure(message: "--client-ca \(path): \(SystemError.text(error.code))")
        }
        // It may have changed before it was watched.
        reload()
    }

    func stop() {
        watcher?.stop()
        watcher = nil
    }

    static func read(_ path: String) throws(SystemError) -> [UInt8] { try FileBytes.read(path, limit: limit) }

    func reload() {
        do {
            let read = try Self.read(path)
            if read != bundle {
                try use(read)
                bundle = read
                Log.info("client authorities loaded", ["file": path])
            }
            problem = nil
        } catch {
            let text = "--client-ca \(path): \(error); the old one stays"
            if text != problem { Log.error("client authorities refused", ["file": path, "reason": "\(error)"]) }
            problem = text
        }
    }
}
