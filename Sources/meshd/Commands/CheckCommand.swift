import Configuration
import Reactor
import Registry

/// `meshd check FILE`: a catalogue, or a configuration where the file has no `services`.
enum CheckCommand {
    static func run(_ arguments: [String]) -> Int32 {
        guard arguments.count == 1, let path = arguments.first else {
            return Commands.complain("usage: meshd check FILE")
        }
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FileBytes.read(path, limit: ComposeCatalogue.maximumBytes)
        } catch {
            return Commands.complain("\(path): cannot read: \(SystemError.text(error.code))")
        }
        return isCatalogue(bytes) ? catalogue(bytes, path) : configuration(bytes, path)
    }

    /// A Compose file has a line that begins with `services:`; no setting is called so.
    private static func isCatalogue(_ bytes: [UInt8]) -> Bool {
        bytes.split(separator: UInt8(ascii: "\n")).contains { line in
            ["services:", "\"services\":", "version:", "{"].contains { line.starts(with: $0.utf8) }
        }
    }

    private static func catalogue(_ bytes: [UInt8], _ path: String) -> Int32 {
        do throws(CatalogueProblem) {
            let catalogue = try ComposeCatalogue.parse(bytes, file: path, routingDomain: nil)
            for warning in catalogue.warnings { Process.write("warning: \(warning)\n", to: Process.standardError) }
            Process.write("\(path): \(catalogue.services.count) services, \(catalogue.instances.count) instances\n")
            return 0
        } catch {
            return Commands.complain("\(error)")
        }
    }

    private static func configuration(_ bytes: [UInt8], _ path: String) -> Int32 {
        var settings = Settings(node: Process.hostName, workers: Processors.available)
        do throws(SettingsProblem) {
            try settings.apply(yaml: bytes, file: path)
            Process.write("\(path): a configuration without faults\n")
            return 0
        } catch {
            return Commands.complain("\(error)")
        }
    }
}
