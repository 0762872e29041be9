/// What is wrong, or worth a warning, in a catalogue file, and where.
public struct CatalogueProblem: Error, Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// Counted from 1; 0 when the file could not be read at all.
    public let line: Int
    /// Counted from 1, in characters.
    public let column: Int
    /// Keys and item numbers (from 0) joined with dots: `services.web.labels.aliyun.routing.port_80`. May be empty.
    public let key: String
    public let message: String

    public init(file: String, line: Int, column: Int, key: String, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.message = message
    }

    /// `FILE:LINE:COLUMN: KEY: MESSAGE` on one line, whatever the file holds.
    public var description: String {
        let place = line > 0 ? "\(file):\(line):\(column): " : "\(file): "
        return OneLine.text(place + (key.isEmpty ? "" : "\(key): ") + message)
    }
}

/// Text of users in messages.
enum OneLine {
    /// Control characters become `?`, so that a message stays one line and cannot steer a terminal.
    static func text(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029: result.append("?")
            default: result.append(scalar)
            }
        }
        return String(result)
    }

    /// The text in quotes, shortened to 80 characters.
    static func quoted(_ text: some StringProtocol) -> String {
        text.count <= 80 ? "'\(text)'" : "'\(text.prefix(77))...'"
    }
}
