import Configuration
import Reactor

/// `meshd COMMAND …`: which command, and what the process exits with. 0: done; 1: failed; 2: bad input.
enum Commands {
    static let usage = """
        usage: meshd COMMAND [ARGUMENT]...

          run [--config FILE] [--registry URL]... [--FLAG VALUE]...   serve
          demo [--once]                    a catalogue, instances and the mesh on loopback, with what to try
          announce SERVICE ADDRESS[:PORT] --registry URL [--label NAME=VALUE]... [--ttl 10s]
                                           hold an instance in etcd as long as this runs
          drain SERVICE[/INSTANCE] [--wait] [--timeout 30s] [--lasts 1h] [--cancel] [--admin WHERE]
                                           no new connections from any node; with --wait until nothing is in flight
          release SERVICE|--list --registry URL
                                           free the VIP and the port numbers of a service that will not come back
          check [--config FILE] [--routing-domain DOMAIN] [--admin WHERE] FILE
                                           validate a catalogue or a configuration; with WHERE also whether the meshd
                                           there could follow its weights
          status [--json] [--admin WHERE]  services, VIPs, ports, instances, health, in flight, generation
          explain URL|ADDRESS:PORT [--header 'NAME: VALUE']... [--method M] [--admin WHERE]
                                           which rule, service and instances, and why
          version

        meshd run --help lists the flags. WHERE is ADDRESS:PORT or unix:PATH, \(AdminEndpoint.usual) when left out.

        """

    /// What `meshd run` does where nothing is said.
    static var defaults: Settings {
        Settings(node: Process.hostName, workers: Processors.available, hasIPv6: Socket.hasIPv6)
    }

    /// Bytes of a `meshd.yaml` at the most.
    static let configurationLimit = 16 << 20

    static func run(_ arguments: [String]) -> Int32 {
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case "run": return RunCommand.run(rest)
        case "demo": return DemoCommand.run(rest)
        case "announce": return AnnounceCommand.run(rest)
        case "drain": return DrainCommand.run(rest)
        case "undrain": return DrainCommand.run(rest + ["--cancel"])
        case "release": return ReleaseCommand.run(rest)
        case "check": return CheckCommand.run(rest)
        case "status": return StatusCommand.run(rest)
        case "explain": return ExplainCommand.run(rest)
        case "version", "--version":
            Process.write("meshd \(Version.text), \(TLSLibrary.version)\n")
            return 0
        case "help", "--help", "-h":
            Process.write(usage)
            return 0
        case nil: return complain(usage)
        case let command?: return complain("meshd: unknown command '\(command)'\n\(usage)")
        }
    }

    /// One complaint on standard error; the exit status of bad input.
    static func complain(_ text: String) -> Int32 {
        Process.write(text.hasSuffix("\n") ? text : text + "\n", to: Process.standardError)
        return 2
    }

    static func fail(_ text: String) -> Int32 {
        _ = complain(text)
        return 1
    }
}
