import YAML

/// A value of the file together with the way to it, so that every complaint can name its place.
struct Cursor {
    let file: String
    /// Dotted path; empty for the document itself.
    let path: String
    let node: YAMLNode

    /// A key of a mapping, its own place, and its value.
    struct Entry {
        let key: String
        let keyLine: Int
        let keyColumn: Int
        let value: Cursor

        /// A complaint about the key rather than its value.
        func keyProblem(_ message: String) -> CatalogueProblem {
            CatalogueProblem(file: value.file, line: keyLine, column: keyColumn, key: value.path, message: message)
        }
    }

    var isNull: Bool { node.isNull }
    var isList: Bool { node.items != nil }
    var isMapping: Bool { node.pairs != nil }

    func problem(_ message: String) -> CatalogueProblem {
        CatalogueProblem(file: file, line: node.line, column: node.column, key: path, message: message)
    }

    private func child(_ name: some StringProtocol, _ node: YAMLNode) -> Cursor {
        Cursor(file: file, path: path.isEmpty ? String(name) : "\(path).\(name)", node: node)
    }

    /// The same place under another name; `nil` keeps the value.
    func renamed(_ name: some StringProtocol, _ node: YAMLNode? = nil) -> Cursor { child(name, node ?? self.node) }

    /// The pairs of a mapping; null reads as an empty one.
    func entries() throws(CatalogueProblem) -> [Entry] {
        if node.isNull { return [] }
        guard let pairs = node.pairs else { throw problem("must be a mapping of keys to values") }
        return pairs.map {
            Entry(key: $0.key, keyLine: $0.line, keyColumn: $0.column, value: child($0.key, $0.value))
        }
    }

    /// The items of a list; null reads as an empty one.
    func items() throws(CatalogueProblem) -> [Cursor] {
        if node.isNull { return [] }
        guard let items = node.items else { throw problem("must be a list") }
        return items.enumerated().map { child(String($0.offset), $0.element) }
    }

    subscript(key: String) -> Cursor? { node[key].map { child(key, $0) } }

    /// The text of a scalar that is not null.
    func text() throws(CatalogueProblem) -> String {
        guard let text = node.text else { throw problem("must be one value, not a list or a mapping") }
        guard !node.isNull else { throw problem("has no value") }
        return text
    }

    func port() throws(CatalogueProblem) -> UInt16 {
        let text = try text()
        guard let port = PortText.port(text) else {
            throw problem("\(OneLine.quoted(text)) is not a port (1 to 65535)")
        }
        return port
    }

    /// A whole number within `range`.
    func integer(_ range: ClosedRange<Int>) throws(CatalogueProblem) -> Int {
        let text = try text()
        guard let value = NumberText.integer(text), range.contains(value) else {
            let bounds = "\(range.lowerBound) to \(range.upperBound)"
            throw problem("\(OneLine.quoted(text)) is not a whole number from \(bounds)")
        }
        return value
    }
}

/// Port numbers as text.
enum PortText {
    /// 1...65535 in digits, without a leading zero, so that a port has one spelling.
    static func port(_ text: some StringProtocol) -> UInt16? {
        guard text.utf8.first != UInt8(ascii: "0"), text.utf8.count <= 5 else { return nil }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt16(text)
    }

    /// `80` or `8080-8090`; `nil` for anything else, also where the end is below the start.
    static func range(_ text: some StringProtocol) -> ClosedRange<UInt16>? {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let lower = ends.first.flatMap({ port($0) }) else { return nil }
        guard ends.count == 2 else { return lower...lower }
        guard let upper = port(ends[1]), upper >= lower else { return nil }
        return lower...upper
    }
}

/// Numbers as text, in digits only: no sign, exponent or hexadecimal.
enum NumberText {
    static func integer(_ text: some StringProtocol) -> Int? {
        guard (1...9).contains(text.utf8.count) else { return nil }
        return text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }

    /// `2`, `0.5`.
    static func decimal(_ text: some StringProtocol) -> Double? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ integer($0) != nil }) else { return nil }
        return Double(String(text))
    }
}

extension StringProtocol {
    /// Without spaces and tabs at the ends.
    func trimmed() -> SubSequence {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r\n" || $0 == "\r" }
        guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
            return self[startIndex..<startIndex]
        }
        return self[first...last]
    }
}
