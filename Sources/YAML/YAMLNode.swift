/// One value of a YAML document with the place it was written at.
///
/// Anchors and merge keys are already resolved: a node reached through `*alias` is the anchored node and keeps the
/// place of its definition, since that is where a wrong value must be mended.
public struct YAMLNode: Hashable, Sendable {
    public enum Content: Hashable, Sendable {
        /// `isPlain` is false for quoted and block text, which is never a number, a truth value or null.
        case scalar(text: String, isPlain: Bool)
        case sequence([YAMLNode])
        /// In the order written; keys are unique, keys taken over with `<<` come last.
        case mapping([YAMLPair])
    }

    public let content: Content
    /// Counted from 1.
    public let line: Int
    /// Counted from 1, in characters.
    public let column: Int

    public init(_ content: Content, line: Int, column: Int) {
        self.content = content
        self.line = line
        self.column = column
    }
}

/// A key of a mapping and its value.
public struct YAMLPair: Hashable, Sendable {
    public let key: String
    /// Counted from 1.
    public let line: Int
    /// Counted from 1, in characters.
    public let column: Int
    public let value: YAMLNode

    public init(key: String, line: Int, column: Int, value: YAMLNode) {
        self.key = key
        self.line = line
        self.column = column
        self.value = value
    }
}

extension YAMLNode {
    /// The text of a scalar; `nil` for a sequence or mapping.
    public var text: String? {
        if case .scalar(let text, _) = content { text } else { nil }
    }

    /// Whether this is nothing, `~` or `null` without quotes (YAML 1.2 section 10.3.2).
    public var isNull: Bool {
        guard case .scalar(let text, true) = content else { return false }
        return text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL"
    }

    public var items: [YAMLNode]? {
        if case .sequence(let items) = content { items } else { nil }
    }

    public var pairs: [YAMLPair]? {
        if case .mapping(let pairs) = content { pairs } else { nil }
    }

    /// The value of a key of a mapping. Cost is in proportion to the number of keys.
    public subscript(key: String) -> YAMLNode? {
        pairs?.first { $0.key == key }?.value
    }
}

/// Why a text is no YAML document this reader takes.
public struct YAMLProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// Counted from 1.
    public let line: Int
    /// Counted from 1, in characters.
    public let column: Int
    /// Keys and item numbers (from 0) that lead to the place, as far as they were read.
    public let path: [String]
    public let message: String

    public init(line: Int, column: Int, path: [String] = [], message: String) {
        self.line = line
        self.column = column
        self.path = path
        self.message = message
    }

    public var description: String { "\(line):\(column): \(message)" }
}

/// What a document may cost. Over a limit, reading stops with a `YAMLProblem`.
public struct YAMLLimits: Sendable {
    /// Size of the text.
    public var bytes: Int
    /// Values in the document, those reached through an alias counted each time.
    public var nodes: Int
    /// Values within values, those reached through an alias included.
    public var depth: Int

    public init(bytes: Int = 16 << 20, nodes: Int = 1_000_000, depth: Int = 64) {
        self.bytes = bytes
        self.nodes = nodes
        self.depth = depth
    }
}
