import YAML

extension Settings {
    /// Reads the arguments behind `meshd run` and the file that `--config` names.
    ///
    /// `--name VALUE` and `--name=VALUE` are the same; a setting of true or false may stand alone. A flag wins over
    /// the file, also where both may hold several values.
    /// - Parameters:
    ///   - defaults: what holds where nothing is said.
    ///   - readFile: the content of a file; its error's description becomes part of the problem.
    public static func parse(
        _ arguments: [String], defaults: Settings, readFile: (String) throws -> [UInt8]
    ) throws(SettingsProblem) -> Settings {
        let flags = try FlagReader.read(arguments)
        var settings = defaults
        if let path = flags.config {
            let bytes: [UInt8]
            do {
                bytes = try readFile(path)
            } catch {
                throw SettingsProblem(place: path, message: "cannot read: \(error)")
            }
            try settings.apply(yaml: bytes, file: path)
        }
        var begun: Set<String> = []
        for (setting, value) in flags.values {
            if begun.insert(setting.name).inserted { setting.kind.clear(&settings) }
            try settings.store(value, setting, place: "--\(setting.name)")
        }
        return settings
    }

    /// Applies the keys of a `meshd.yaml`.
    public mutating func apply(yaml bytes: [UInt8], file: String) throws(SettingsProblem) {
        let root: YAMLNode
        do throws(YAMLProblem) {
            root = try YAMLNode.parse(bytes)
        } catch {
            let key = error.path.joined(separator: ".")
            let place = "\(file):\(error.line):\(error.column)" + (key.isEmpty ? "" : ": \(key)")
            throw SettingsProblem(place: place, message: error.message)
        }
        if root.isNull { return }
        guard let pairs = root.pairs else {
            let place = "\(file):\(root.line):\(root.column)"
            throw SettingsProblem(place: place, message: "must be a mapping of settings")
        }
        let table = SettingsTable.all
        for pair in pairs {
            guard let setting = table.first(where: { $0.name == pair.key }) else {
                throw Self.unknown(pair, table, file)
            }
            try apply(pair, setting, file)
        }
    }

    private static func unknown(_ pair: YAMLPair, _ table: [Setting], _ file: String) -> SettingsProblem {
        let near = SettingsTable.suggestion(for: pair.key, among: table.map(\.name))
        return SettingsProblem(
            place: "\(file):\(pair.line):\(pair.column): \(pair.key)",
            message: "unknown setting" + (near.map { "; did you mean '\($0)'?" } ?? ""))
    }

    private mutating func apply(_ pair: YAMLPair, _ setting: Setting, _ file: String) throws(SettingsProblem) {
        func place(_ node: YAMLNode) -> String { "\(file):\(node.line):\(node.column): \(pair.key)" }
        let values = setting.kind.isRepeatable ? pair.value.items ?? [pair.value] : [pair.value]
        setting.kind.clear(&self)
        for value in values {
            guard let text = value.text else {
                let message = setting.kind.isRepeatable ? "must be a list of values" : "must be one value"
                throw SettingsProblem(place: place(value), message: message)
            }
            guard !value.isNull else { throw SettingsProblem(place: place(value), message: "has no value") }
            try store(text, setting, place: place(value))
        }
    }

    private mutating func store(_ text: String, _ setting: Setting, place: String) throws(SettingsProblem) {
        do throws(ValueFault) {
            try setting.kind.store(text, in: &self)
        } catch {
            throw SettingsProblem(place: place, message: error.message)
        }
    }
}

/// The arguments as pairs of setting and text.
private struct FlagReader {
    var config: String?
    var values: [(setting: Setting, text: String)] = []

    static func read(_ arguments: [String]) throws(SettingsProblem) -> FlagReader {
        let table = SettingsTable.all
        var reader = FlagReader()
        var seen: Set<String> = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--"), argument.utf8.count > 2 else {
                throw SettingsProblem(place: argument, message: "unexpected; settings are written --NAME VALUE")
            }
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts.first ?? "")
            let inline = parts.count == 2 ? String(parts[1]) : nil
            let setting = table.first { $0.name == name }
            guard setting != nil || name == "config" else { throw unknown(name, table) }
            guard seen.insert(name).inserted || setting?.kind.isRepeatable == true else {
                throw SettingsProblem(place: "--\(name)", message: "given more than once")
            }
            let alone = setting?.kind.isFlag == true ? "true" : nil
            guard let text = inline ?? alone ?? rest.popFirst() else {
                throw SettingsProblem(place: "--\(name)", message: "has no value")
            }
            if let setting { reader.values.append((setting, text)) } else { reader.config = text }
        }
        return reader
    }

    private static func unknown(_ name: String, _ table: [Setting]) -> SettingsProblem {
        let near = SettingsTable.suggestion(for: name, among: table.map(\.name) + ["config"])
        return SettingsProblem(
            place: "--\(name)", message: "unknown flag" + (near.map { "; did you mean '--\($0)'?" } ?? ""))
    }
}
