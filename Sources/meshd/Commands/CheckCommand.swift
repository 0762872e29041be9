import Configuration
import Reactor
import Registry

/// `meshd check FILE`: a catalogue, or a configuration where the file has no `services`.
///
/// A catalogue is judged as `meshd run` would with the same `--config` and `--routing-domain`.
enum CheckCommand {
    private static let usage = "usage: meshd check [--config FILE] [--routing-domain DOMAIN] [--admin WHERE] FILE"

    static func run(_ arguments: [String]) -> Int32 {
        var arguments = CommandArguments(arguments)
        let flags = ["--config", "--routing-domain"].flatMap { flag in
            arguments.takeValue(flag).map { [flag, $0] } ?? []
        }
        let usesAdmin = arguments.rest.contains { $0 == "--admin" || $0.hasPrefix("--admin=") }
        let admin = arguments.takeAdmin()
        guard arguments.problem == nil, arguments.rest.count == 1, let path = arguments.rest.first,
            !path.hasPrefix("--")
        else { return Commands.complain(arguments.problem ?? usage) }
        let settings: Settings
        do throws(SettingsProblem) {
            settings = try Settings.parse(flags, defaults: Commands.defaults) {
                try FileBytes.read($0, limit: Commands.configurationLimit)
            }
        } catch {
            return Commands.complain("\(error)")
        }
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FileBytes.read(path, limit: ComposeCatalogue.maximumBytes)
        } catch {
            return Commands.complain("\(path): cannot read: \(SystemError.text(error.code))")
        }
        guard isCatalogue(bytes) else { return configuration(bytes, path) }
        return catalogue(bytes, path, settings.routingDomain, usesAdmin ? admin : nil)
    }

    /// A Compose file has a line that begins with `services:`; no setting is called so.
    private static func isCatalogue(_ bytes: [UInt8]) -> Bool {
        bytes.split(separator: UInt8(ascii: "\n")).contains { line in
            ["services:", "\"services\":", "version:", "{"].contains { line.starts(with: $0.utf8) }
        }
    }

    private static func catalogue(
        _ bytes: [UInt8], _ path: String, _ routingDomain: String?, _ admin: AdminEndpoint?
    ) -> Int32 {
        do throws(CatalogueProblem) {
            let catalogue = try ComposeCatalogue.parse(bytes, file: path, routingDomain: routingDomain)
            for warning in catalogue.warnings { Process.write("warning: \(warning)\n", to: Process.standardError) }
            let problems = WeightCheck.problems(catalogue) + (admin.map { WeightCheck.problems(catalogue, $0) } ?? [])
            guard problems.isEmpty else {
                return Commands.complain(problems.map { "\(path): \($0)" }.joined(separator: "\n"))
            }
            Process.write("\(path): \(catalogue.services.count) services, \(catalogue.instances.count) instances\n")
            return 0
        } catch {
            return Commands.complain("\(error)")
        }
    }

    private static func configuration(_ bytes: [UInt8], _ path: String) -> Int32 {
        var settings = Commands.defaults
        do throws(SettingsProblem) {
            try settings.apply(yaml: bytes, file: path)
            Process.write("\(path): a configuration without faults\n")
            return 0
        } catch {
            return Commands.complain("\(error)")
        }
    }
}
