import Configuration
import NetAddress
import Reactor
import Registry

/// `meshd run`
enum RunCommand {
    static let endSignals: [Int32] = [15, 2]  // SIGTERM, SIGINT

    static func run(_ arguments: [String]) -> Int32 {
        if arguments.contains("--help") {
            Process.write(Settings.help())
            return 0
        }
        do {
            let settings = try Settings.parse(arguments, defaults: Commands.defaults) {
                try FileBytes.read($0, limit: Commands.configurationLimit)
            }
            guard !settings.registries.isEmpty else {
                return Commands.complain(
                    "meshd: --registry: at least one is needed, such as --registry file:services.yaml")
            }
            return try serve(settings)
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

    private static func serve(_ settings: Settings) throws -> Int32 {
        Log.setLevel(Log.Level(settings.logLevel.rawValue) ?? .info)
        let signals = try Signals(endSignals)
        let loop = try EventLoop()
        let node = try Node(settings, on: loop)
        node.stopped = { loop.stop() }
        try signals.open(on: loop) { _ in node.stop() }
        try node.start()
        loop.run()
        return 0
    }
}
