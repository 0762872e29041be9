import Glibc
import Testing

/// With a slash behind it.
private let repository = String(#filePath.dropLast("Tests/EndToEnd/Mesh/ThreeNodesGuideTests.swift".count))

/// docs/three-nodes.md, followed line by line on three machines and a client of its own.
///
/// `<!-- on MACHINE... -->` says where the block of commands below it is typed, in one shell after the other;
/// `<!-- shows -->` what the block before says in the end, as parts of its lines, `...` for anything.
@Suite(.enabled(if: DockerEngine.isAllowed, DockerEngine.why))
struct ThreeNodesGuideTests {
    private struct Step {
        var machines: [String] = []
        var commands = ""
        /// `nil`: nothing is said of it.
        var shows: [String]?
    }

    private static func steps() throws -> [Step] {
        var steps: [Step] = []
        var lines = TextFile.read(repository + "docs/three-nodes.md").split(
            separator: "\n", omittingEmptySubsequences: false)[...]
        while let line = lines.popFirst() {
            guard line.hasPrefix("<!-- on ") || line == "<!-- shows -->" else {
                try demand(line != "```sh", "a block of commands without its machines")
                continue
            }
            guard lines.popFirst()?.hasPrefix("```") == true else { throw Failure("no block after \(line)") }
            var block: [String] = []
            while let next = lines.popFirst(), next != "```" { block.append(String(next)) }
            if line == "<!-- shows -->" {
                try demand(!steps.isEmpty, "something is shown before it was asked for")
                steps[steps.count - 1].shows = block
            } else {
                let machines = line.dropFirst(8).dropLast(4).split(separator: " ").map(String.init)
                steps.append(Step(machines: machines, commands: block.joined(separator: "\n")))
            }
        }
        return steps
    }

    @Test func everyLineDoesWhatItSays() throws {
        let steps = try Self.steps()
        try demand(steps.count > 10, "steps: \(steps.count)")
        let world = try GuideWorld()
        for step in steps {
            for machine in step.machines { try world.type(step.commands, on: machine, shows: step.shows) }
        }
    }
}

/// The machines of the guide, their network, and the files that it takes for granted.
private final class GuideWorld {
    private let directory: TemporaryDirectory
    private let bridge: NetworkNamespace
    private var machines: [String: GuideMachine] = [:]

    init() throws {
        let directory = try TemporaryDirectory()
        self.directory = directory
        bridge = try NetworkNamespace("bridge", in: directory)
        try bridge.run("ip link add bridge type bridge && ip link set bridge up")
        let content = try Self.content(directory)
        let addresses = [
            "node-1": "192.0.2.11", "node-2": "192.0.2.12", "node-3": "192.0.2.13", "client": "192.0.2.101",
        ]
        for (name, address) in addresses {
            let machine = try GuideMachine(name, directory, content: content)
            machines[name] = machine
            try plug(machine, address)
        }
    }

    private func plug(_ machine: GuideMachine, _ address: String) throws {
        try bridge.run("ip link add \(machine.name) type veth peer name cable netns \(machine.networkPath)")
        try bridge.run("ip link set \(machine.name) master bridge up")
        let result = try machine.run("ip link set cable up\nip addr add \(address)/24 dev cable")
        try demandEqual(result.status, 0, "the network of \(machine.name): \(result.output)")
    }

    /// What the guide says has been copied to each machine, and what stands in for a service manager and for packages
    /// to be fetched.
    private static func content(_ directory: TemporaryDirectory) throws -> String {
        let programs = repository + "Tests/EndToEnd/Programs"
        let content = directory.path + "/content"
        let script = """
            mkdir -p \(content)/stand-ins \(content)/shop && cd \(content)
            ln -s \(Binary.path) meshd
            cp \(repository)packaging/meshd.service .
            cc -static -O1 -o shop/app \(programs)/container.c
            printf 'FROM scratch\\nCOPY app /app\\nENTRYPOINT ["/app"]\\nEXPOSE 8080\\n' > shop/Dockerfile
            cp \(programs)/systemctl.py stand-ins/systemctl
            cat > stand-ins/apt-get <<'END'
            #!/bin/sh
            for word in "$@"; do
                case $word in install|-*) ;; *) dpkg-query -W "$word" || exit 1 ;; esac
            done
            END
            chmod +x stand-ins/*
            """
        let child = try ChildProcess("/bin/sh", ["-ec", script], files: directory.path + "/prepare")
        try demandEqual(try child.waitExit(within: 60), 0, "the guide's files: \(child.errors)")
        return content
    }

    /// Runs a block of commands on a machine. Where it shows something it is a question, asked until it is answered so.
    func type(_ commands: String, on name: String, shows: [String]?) throws {
        guard let machine = machines[name] else { throw Failure("the guide has no machine \(name)") }
        let number = name.last.map(String.init) ?? ""
        let script = "N=\(number)\n" + commands.replacing("N=1 ", with: "N=\(number) ")
        var result = try machine.run(script)
        guard let shows else {
            return try demandEqual(result.status, 0, "exit on \(name) of\n\(commands)\n\(try account(result.output))")
        }
        do {
            try eventually(within: 30, "") {
                if result.status == 0, Self.matches(result.output, shows) { return true }
                result = try machine.run(script)
                return result.status == 0 && Self.matches(result.output, shows)
            }
        } catch {
            throw Failure("\(commands)\non \(name) shows \(try account(result.output))\nnot \(shows)")
        }
    }

    private func account(_ output: String) throws -> String {
        let logs = try machines.sorted { $0.key < $1.key }.map { name, machine in
            "--- \(name) ---\n" + (try machine.run("tail -n 15 /var/log/*.service.log || true").output)
        }
        return "\(output)\n\(logs.joined(separator: "\n"))"
    }

    /// Each line wanted is a line of the output, in this order.
    static func matches(_ output: String, _ wanted: [String]) -> Bool {
        var lines = output.split(separator: "\n")[...]
        for want in wanted where !want.isEmpty {
            guard let index = lines.firstIndex(where: { matches(line: $0, want) }) else { return false }
            lines = lines[(index + 1)...]
        }
        return true
    }

    private static func matches(line: Substring, _ wanted: String) -> Bool {
        let parts = wanted.split(separator: "...", omittingEmptySubsequences: false)
        guard let first = parts.first, line.hasPrefix(first) else { return false }
        var rest = line.dropFirst(first.count)
        for part in parts.dropFirst() where !part.isEmpty {
            guard let range = rest.firstRange(of: part) else { return false }
            rest = rest[range.upperBound...]
        }
        return parts.count > 1 || rest.isEmpty
    }
}
