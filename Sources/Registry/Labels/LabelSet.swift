import YAML

/// One label, `aliyun.NAME` or `mesh.NAME`, with its place.
struct Label {
    /// As written.
    let fullName: String
    let value: String
    let place: Cursor

    var isMesh: Bool { fullName.hasPrefix("mesh.") }

    func problem(_ message: String) -> CatalogueProblem { place.problem(message) }
}

/// The labels of one service that concern the mesh. Readers take out what they know; what is left is unknown.
struct LabelSet {
    /// By name behind the prefix; of two spellings of one label, `mesh.` is here.
    private var labels: [String: Label] = [:]

    /// Reads `labels` and `deploy.labels` of a service, each a mapping or a list of `NAME=VALUE`.
    init(_ service: Cursor, _ findings: inout Findings) throws(CatalogueProblem) {
        var all: [String: Label] = [:]
        if let list = service["labels"] {
            for label in try Self.read(list) { all[label.fullName] = label }
        }
        if let deploy = service["deploy"], let list = deploy["labels"] {
            for label in try Self.read(list) {
                guard let first = all[label.fullName] else {
                    all[label.fullName] = label
                    continue
                }
                if first.value != label.value {
                    findings.warn(label.problem("differs from the same label in 'labels', which is used"))
                }
            }
        }
        for (fullName, label) in all.sorted(by: { $0.key < $1.key }) {
            guard let name = Self.ownName(fullName) else { continue }
            // In sorted order `aliyun.` comes before `mesh.`.
            if let other = labels.updateValue(label, forKey: name) {
                findings.warn(other.problem("'\(fullName)' is there too and is used instead"))
            }
        }
    }

    private static func ownName(_ fullName: String) -> String? {
        for prefix in ["aliyun.", "mesh."] where fullName.hasPrefix(prefix) {
            return String(fullName.dropFirst(prefix.count))
        }
        return nil
    }

    private static func read(_ list: Cursor) throws(CatalogueProblem) -> [Label] {
        guard list.node.items != nil else {
            var labels: [Label] = []
            for entry in try list.entries() {
                guard let text = entry.value.node.text else { throw entry.value.problem("a label's value is one text") }
                labels.append(
                    Label(fullName: entry.key, value: entry.value.node.isNull ? "" : text, place: entry.value))
            }
            return labels
        }
        var labels: [Label] = []
        var names: Set<String> = []
        for item in try list.items() {
            let text = try item.text()
            let equals = text.firstIndex(of: "=")
            let name = String(equals.map { text[..<$0] } ?? text[...])
            let value = equals.map { String(text[text.index(after: $0)...]) } ?? ""
            let label = Label(fullName: name, value: value, place: list.renamed(name, item.node))
            guard names.insert(name).inserted else { throw label.problem("this label is already there") }
            labels.append(label)
        }
        return labels
    }

    func has(_ name: String) -> Bool { labels[name] != nil }

    /// Takes out a label by its name behind the prefix.
    mutating func take(_ name: String) -> Label? { labels.removeValue(forKey: name) }

    /// Takes out a label that only exists under `mesh.`.
    mutating func takeMesh(_ name: String) -> Label? {
        guard labels[name]?.isMesh == true else { return nil }
        return take(name)
    }

    /// Takes out all labels whose name has these ends, with what stands between, sorted by it.
    mutating func takeAll(
        prefix: String, suffix: String = "", meshOnly: Bool = false
    ) -> [(middle: String, label: Label)] {
        let names = labels.keys.filter {
            $0.hasPrefix(prefix) && $0.hasSuffix(suffix) && $0.utf8.count > prefix.utf8.count + suffix.utf8.count
        }
        var taken: [(middle: String, label: Label)] = []
        for name in names.sorted() where !meshOnly || labels[name]?.isMesh == true {
            guard let label = labels.removeValue(forKey: name) else { continue }
            taken.append((String(name.dropFirst(prefix.count).dropLast(suffix.count)), label))
        }
        return taken
    }

    /// Warns of what is left: labels whose meaning is not served yet, and labels without a meaning. Labels for the
    /// control plane pass in silence.
    mutating func warnOfUnserved(service: String, _ findings: inout Findings) {
        if let first = takeAll(prefix: "lb.port_").first {
            findings.warn(first.label.problem("front listeners (lb labels) are not served in this version"))
        }
        for name in ["global", "depends", "rolling_updates"] { _ = take(name) }
        for prefix in ["rolling_updates.", "auto_scaling.", "log_store_"] { _ = takeAll(prefix: prefix) }
        for label in labels.values.sorted(by: { $0.fullName < $1.fullName }) {
            findings.warnOnce("label \(label.fullName)", label.problem("unknown label; it has no effect"))
        }
    }
}
