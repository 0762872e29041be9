import Testing

/// The configuration reference has an example of every setting and of every label, and every example is taken as it
/// stands.
@Suite struct ReferenceTests {
    private static let root = ReferencePage.root
    private static let examples = ReferencePage.examples

    // MARK: - What is there

    /// A setting's name stands at the beginning of a line of some `meshd.yaml`.
    @Test func everySettingHasAnExample() throws {
        let files = try TemporaryDirectory()
        let help = try CommandResult.run(["run", "--help"], files: files.path + "/help").output
        let settings = Set(help.matches(of: /(?m)^ +--([a-z0-9-]+)/).map { String($0.1) }).subtracting(["config"])
        try demand(settings.count > 50, "settings of --help: \(settings.count)")
        let shown = Set(Self.examples.flatMap(\.settings))
        try demandEqual(settings.subtracting(shown).sorted(), [], "settings without an example")
        try demandEqual(shown.subtracting(settings).sorted(), [], "settings that there are not")
    }

    @Test func everyLabelHasAnExample() throws {
        let shown = Set(
            Self.examples.filter(\.isCatalogue).flatMap(\.lines).compactMap {
                $0.firstMatch(of: /^ +(aliyun|mesh)\.([A-Za-z0-9_.]+):/).map { Self.generalised(String($0.2)) }
            })
        let known = try Self.labelsOfTheSources()
        try demand(known.count > 40, "labels of the sources: \(known.count)")
        try demandEqual(known.subtracting(shown).sorted(), [], "labels without an example")
        let unknown = shown.filter { name in
            !known.contains(name) && !known.contains { $0.hasSuffix(".") && name.hasPrefix($0) }
        }
        try demandEqual(unknown.sorted(), [], "labels that there are not")
    }

    /// Ports are all the same, and so is whatever stands behind the beginning that a family of labels has in common.
    private static func generalised(_ name: String) -> String {
        for family in ["rolling_updates.", "auto_scaling.", "log_store_"] where name.hasPrefix(family) {
            return family
        }
        return name.replacing(/(port_|vip\.|publish\.)[0-9]+/) { "\($0.1)PORT" }
    }

    /// What the readers of labels take out, by the text of their sources.
    private static func labelsOfTheSources() throws -> Set<String> {
        let scratch = try TemporaryDirectory()
        let folders = ["Labels", "Compose"].map { "\(root)Sources/Registry/\($0)" }
        let files = try Tool.run(["/usr/bin/find"] + folders + ["-name", "*.swift"], in: scratch.path).output
        var found: Set<String> = []
        var others = 0
        for file in files.split(separator: "\n") {
            let text = TextFile.read(String(file))
            for match in text.matches(of: /labels\.take(?:Mesh)?\("([^"]+)"\)/) { found.insert(String(match.1)) }
            for match in text.matches(of: /takeAll\(prefix: "([^"]+)"(?:, suffix: "([^"]+)")?/) {
                let suffix = match.2.map(String.init) ?? ""
                let port = match.1.hasPrefix("log_") ? "" : "PORT"
                if !suffix.contains("\\(") { found.insert("\(match.1)\(port)\(suffix)") }
            }
            for list in text.matches(of: /(?:optionNames|for (?:name|prefix) in) (?:= )?\[([^\]]+)\]/) {
                let isOption = list.0.hasPrefix("optionNames")
                for name in list.1.matches(of: /"([^"]+)"/) {
                    found.insert(isOption ? "routing.port_PORT.\(name.1)" : String(name.1))
                }
            }
            others += text.matches(of: /take(?:Mesh)?\([a-z]|takeAll\(prefix: [a-z]/).count
        }
        // In loops over lists that were read above, and in `takeMesh`.
        try demand(others <= 3, "labels that this test does not see: \(others)")
        return found.subtracting(["aliyun.", "mesh."])
    }

    // MARK: - What it does

    @Test func everyExampleIsTaken() throws {
        let files = try TemporaryDirectory()
        try demand(Self.examples.count > 15, "examples: \(Self.examples.count)")
        for (number, example) in Self.examples.enumerated() {
            try demand(example.isCatalogue || example.isConfiguration, "what is this?\n\(example.text)")
            let path = "\(files.path)/example-\(number).yaml"
            try TextFile.write(example.text, to: path)
            let result = try CommandResult.run(["check", path], files: "\(files.path)/check-\(number)")
            try demandEqual(result.status, 0, "exit: \(result.errors)\n\(example.text)")
            try demandEqual(result.errors.isEmpty, !example.warns, "warnings: \(result.errors)\n\(example.text)")
        }
    }
}
