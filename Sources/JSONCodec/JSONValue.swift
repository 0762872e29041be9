/// A JSON text (RFC 8259) as a tree. Objects keep the order of their members; names within one are unique.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// As written: no number is rounded before somebody says what it is wanted as.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])
}

public struct JSONMember: Hashable, Sendable {
    public let name: String
    public let value: JSONValue

    public init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

extension JSONValue {
    /// The member of an object; `nil` also for what is no object. Cost is in proportion to the number of members.
    public subscript(name: String) -> JSONValue? {
        members?.first { $0.name == name }?.value
    }

    public var members: [JSONMember]? { if case .object(let members) = self { members } else { nil } }

    public var items: [JSONValue]? { if case .array(let items) = self { items } else { nil } }

    /// The text of a string; `nil` for every other value, numbers included.
    public var text: String? { if case .string(let text) = self { text } else { nil } }

    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// A whole number, also one in a string: protocol buffers write 64-bit numbers that way. No fraction or exponent.
    public var integer: Int64? {
        switch self {
        case .number(let text), .string(let text): text.utf8.first == UInt8(ascii: "+") ? nil : Int64(text)
        default: nil
        }
    }
}

/// Why a text is no JSON this reader takes.
public struct JSONProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// Bytes before the place.
    public let offset: Int
    public let message: String

    public var description: String { "byte \(offset): \(message)" }
}

/// What a text may cost. Over a limit, reading stops with a `JSONProblem`.
public struct JSONLimits: Sendable {
    /// Size of the text.
    public var bytes: Int
    /// Values in the text, those within others included.
    public var nodes: Int
    /// Values within values.
    public var depth: Int

    public init(bytes: Int = 16 << 20, nodes: Int = 1_000_000, depth: Int = 64) {
        self.bytes = bytes
        self.nodes = nodes
        self.depth = depth
    }
}
