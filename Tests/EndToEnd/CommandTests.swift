import Testing

/// Commands that end at once.
@Suite struct CommandTests {
    struct Broken: Sendable, CustomTestStringConvertible {
        let name: String
        let text: String
        /// Line the fault is on, from 1; `nil` where several are fair.
        let line: Int?
        /// Part of the key to be named.
        let key: String

        var testDescription: String { name }
    }

    private static func labelled(_ label: String) -> String {
        "version: \"2\"\nservices:\n  web:\n    labels:\n      \(label)\n"
    }

    static let broken: [Broken] = [
        .init(
            name: "port out of range", text: labelled("aliyun.routing.port_99999: web.example"), line: 5,
            key: "routing.port_99999"),
        .init(
            name: "same route twice", text: labelled("aliyun.routing.port_80: web.example;web.example"), line: 5,
            key: "routing.port_80"),
        .init(
            name: "probe of another host", text: labelled("aliyun.probe.url: http://elsewhere:80"), line: 5,
            key: "probe.url"),
        .init(
            name: "timeout that is no number",
            text: labelled("aliyun.probe.url: http://container:80\n      aliyun.probe.timeout_seconds: soon"), line: 6,
            key: "probe.timeout_seconds"),
        .init(
            name: "instance that is no address",
            text: labelled("aliyun.routing.port_80: web.example")
                + "    x-mesh-instances:\n      - \"127.0.0.1:9001\"\n      - \"nowhere:x\"\n",
            line: 8, key: "x-mesh-instances"),
        .init(
            name: "published port that is no port", text: "services:\n  web:\n    ports:\n      - \"eighty:80\"\n",
            line: 4,
            key: "ports"),
        .init(name: "YAML that does not parse", text: "services:\n  web: \"open\n", line: nil, key: ""),
        .init(name: "services that are no map", text: "version: \"2\"\nservices: 5\n", line: 2, key: "services"),
    ]

    private func checkMessage(_ result: CommandResult, _ path: String, _ broken: Broken) throws {
        try demandEqual(result.status, 2, "exit status; said \(result.lines)")
        try demandEqual(result.lines.count, 1, "lines: \(result.lines)")
        let line = try #require(result.lines.first)
        let place = broken.line.map { "\(path):\($0):" } ?? "\(path):"
        try demand(line.contains(place), "no \(place) in \(line)")
        try demand(line.contains(broken.key), "no \(broken.key) in \(line)")
        let after = try #require(Self.text(after: place, in: line))
        try demand(after.first?.isNumber == true, "no column after \(place) in \(line)")
    }

    private static func text(after part: String, in line: Substring) -> Substring? {
        var rest = line
        while !rest.isEmpty {
            if rest.hasPrefix(part) { return rest.dropFirst(part.count) }
            rest = rest.dropFirst()
        }
        return nil
    }

    @Test(arguments: broken)
    func brokenFileEndsCheckWithItsPlace(broken: Broken) throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/services.yaml"
        try TextFile.write(broken.text, to: path)
        try checkMessage(try .run(["check", path], files: directory.path + "/check"), path, broken)
    }

    @Test(arguments: broken)
    func brokenFileAtStartEndsRunWithItsPlace(broken: Broken) throws {
        let mesh = try MeshProcess(text: broken.text)
        let status = try mesh.child.waitExit()
        let result = CommandResult(status: status, output: mesh.child.output, errors: mesh.child.errors)
        try checkMessage(result, mesh.cataloguePath, broken)
    }

    @Test func goodFilePassesCheck() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/services.yaml"
        let text = """
            version: '3'
            services:
              restserver:
                image: example/rest
                deploy: {replicas: 2}
                labels:
                  - aliyun.routing.port_80=restserver.local
                  - aliyun.scale=2
                  - aliyun.probe.url=http://container:80
                  - aliyun.probe.initial_delay_seconds=2
                ports:
                  - target: 80
                    published: 18080
                    protocol: tcp
                x-mesh-instances: ["127.0.0.1:9001"]
              client:
                image: example/client
                external_links: ["restserver.local"]
            """
        try TextFile.write(text, to: path)
        let result = try CommandResult.run(["check", path], files: directory.path + "/check")
        try demandEqual(result.status, 0, "exit status; said \(result.lines)")
    }

    @Test func checkCompletesRouteHostsAsRunDoes() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/services.yaml"
        try TextFile.write("services: {web: {labels: {aliyun.routing.port_80: 'https://shop'}}}\n", to: path)
        let configuration = directory.path + "/meshd.yaml"
        try TextFile.write("routing-domain: company.com\n", to: configuration)
        let without = try CommandResult.run(["check", path], files: directory.path + "/check")
        try demandEqual(without.status, 2, "exit status without a domain; said \(without.lines)")
        for flags in [["--routing-domain", "company.com"], ["--config", configuration]] {
            let result = try CommandResult.run(["check"] + flags + [path], files: directory.path + "/check")
            try demandEqual(result.status, 0, "exit status with \(flags); said \(result.lines)")
        }
        let wrongs = [
            ["--routing-domain", "a..b"], ["--routing-domain"], ["--config", "/gone.yaml"], ["--retries=1"],
        ]
        for wrong in wrongs {
            let result = try CommandResult.run(["check", path] + wrong, files: directory.path + "/check")
            try demandEqual(result.status, 2, "exit status with \(wrong); said \(result.lines)")
            try demandEqual(result.lines.count, 1, "lines: \(result.lines)")
        }
    }

    @Test func helpShowsTheDefaultsThatAreInForce() throws {
        let directory = try TemporaryDirectory()
        let help = try CommandResult.run(["run", "--help"], files: directory.path + "/help").output
        let lines = help.split(separator: "\n")
        let shown = [("--admin ", "Default: 127.0.0.1:9900."), ("--publish-address ", "Default: ::, or 0.0.0.0")]
        for (name, value) in shown {
            let at = try #require(lines.firstIndex { $0.contains("  \(name)") })
            try demand(lines[at + 1].contains(value), "\(name): \(lines[at + 1])")
        }
    }

    @Test func unknownKeysAreIgnoredAndUnknownLabelsWarnOnce() throws {
        let instance = try HTTPInstance("web")
        let text = """
            version: "2"
            x-anything: {a: 1}
            services:
              web:
                image: example/web
                restart: always
                some_future_key: [1, 2]
                labels:
                  aliyun.routing.port_8080: web.example
                  aliyun.something.unheard_of: "1"
                  com.example.mine: "2"
                x-mesh-instances: ["\(instance.address)"]
            """
        let mesh = try MeshProcess.started(text: text)
        try demandEqual(try mesh.get(Web.host).status, 200, "status")
        let warnings = mesh.log.split(separator: "\n").filter { $0.contains("aliyun.something.unheard_of") }
        try demandEqual(warnings.count, 1, "warnings of the label")
        try demand(!mesh.log.contains("com.example.mine"), "labels of others are nobody's business")
    }

    @Test func workersAreAsManyAsTheProcessorsAllowed() throws {
        var options = MeshProcess.Options()
        (options.workers, options.wrapper) = (nil, ["/usr/bin/taskset", "-c", "0"])
        try withMesh(Catalogue([]), options) { mesh in
            guard case .array(let workers)? = try mesh.status()["workers"] else { throw Failure("no workers") }
            try demandEqual(workers.count, 1, "workers on one processor")
        }
    }

    @Test func versionIsSaid() throws {
        let directory = try TemporaryDirectory()
        let result = try CommandResult.run(["version"], files: directory.path + "/version")
        try demandEqual(result.status, 0, "exit status")
        try demand(result.output.hasPrefix("meshd "), "output: \(result.output)")
        try demand(result.output.contains(", OpenSSL 3."), "output: \(result.output)")
    }

    @Test(arguments: [[], ["dance"], ["run", "--no-such-flag"], ["check"], ["explain"], ["run", "--http", "nowhere"]])
    func wrongUseEndsWithAWord(arguments: [String]) throws {
        let directory = try TemporaryDirectory()
        let result = try CommandResult.run(arguments, files: directory.path + "/wrong")
        try demand(result.status != 0 && result.status < 128, "exit status \(result.status)")
        try demand(!result.lines.isEmpty, "a word why")
    }

    @Test func statusWithoutAMeshSaysSo() throws {
        let directory = try TemporaryDirectory()
        let result = try CommandResult.run(
            ["status", "--admin", "127.0.0.1:\(FreePort.take())"], files: directory.path + "/status")
        try demand(result.status != 0 && result.status < 128, "exit status \(result.status)")
        try demand(!result.errors.isEmpty, "a word why")
    }
}
