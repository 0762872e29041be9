import Configuration
import NetAddress
import Reactor
import Registry

/// `meshd run`
enum RunCommand {
    static let endSignals: [Int32] = [15, 2]  // SIGTERM, SIGINT
    private static let reloadSignal: Int32 = 1  // SIGHUP
    private static let reopenSignal: Int32 = 10  // SIGUSR1

    static func run(_ arguments: [String]) -> Int32 {
        if arguments.contains("--help") {
            Process.write(Settings.help())
            return 0
        }
        do {
            let settings = try read(arguments)
            guard !settings.registries.isEmpty else {
                return Commands.complain(
                    "meshd: --registry: at least one is needed, such as --registry file:services.yaml")
            }
            return try serve(settings) { try read(arguments) }
        } catch let problem as SettingsProblem {
            return Commands.complain("meshd: \(problem)")
        } catch let problem as CatalogueProblem {
            return Commands.complain("meshd: \(problem)")
        } catch let problem as RegistryURL.Problem {
            return Commands.complain("meshd: --registry: \(problem)")
        } catch {
            return Commands.fail("meshd: \(error)")
        }
    }

    private static func read(_ arguments: [String]) throws(SettingsProblem) -> Settings {
        try Settings.parse(arguments, defaults: Commands.defaults) {
            try FileBytes.read($0, limit: Commands.configurationLimit)
        }
    }

    private static func serve(_ settings: Settings, reread: @escaping () throws -> Settings) throws -> Int32 {
        Log.setLevel(Log.Level(settings.logLevel.rawValue) ?? .info)
        Journal.takeOverLog()
        let signals = try Signals(endSignals + [reloadSignal, reopenSignal])
        let loop = try EventLoop()
        let node = try Node(settings, passed: try PassedSockets.take(), on: loop)
        node.stopped = { loop.stop() }
        var present = settings
        try signals.open(on: loop) { signal in
            if signal == reopenSignal { return node.reopenLogs() }
            guard signal == reloadSignal else { return node.stop() }
            reload(&present, reread)
            node.reload()
        }
        try node.start()
        loop.run()
        return 0
    }

    /// Applies what of the settings may change while meshd runs, and names what has changed besides.
    private static func reload(_ present: inout Settings, _ reread: () throws -> Settings) {
        do {
            let new = try reread()
            Log.setLevel(Log.Level(new.logLevel.rawValue) ?? .info)
            let waiting = new.differences(from: present).filter { !Settings.changeableWhileRunning.contains($0) }
            if !waiting.isEmpty {
                Log.warning("settings wait for the next start", ["settings": waiting.joined(separator: ", ")])
            }
            present.logLevel = new.logLevel
        } catch {
            Log.error("settings broken, the last good ones stay in force", ["cause": "\(error)"])
        }
    }
}
