import CLinux
import Glibc
import Synchronization

/// One JSON object a line on standard error, or what a sink makes of it. For changes of state, never per request or
/// probe.
public enum Log {
    public enum Level: Int, Sendable, CaseIterable {
        case debug, info, warning, error

        public init?(_ name: String) {
            guard let level = Self.allCases.first(where: { "\($0)" == name }) else { return nil }
            self = level
        }
    }

    private static let threshold = Atomic<Int>(Level.info.rawValue)

    /// Takes a line in place of standard error; false leaves it to standard error after all.
    public typealias Sink = @Sendable (Level, _ message: String, _ fields: KeyValuePairs<String, String>) -> Bool

    private static let sink = Mutex<Sink?>(nil)

    /// Hands every line from now on to `sink`, on the thread that logs.
    public static func setSink(_ sink: @escaping Sink) { self.sink.withLock { $0 = sink } }

    public static func setLevel(_ level: Level) { threshold.store(level.rawValue, ordering: .relaxed) }

    public static func isEnabled(_ level: Level) -> Bool { level.rawValue >= threshold.load(ordering: .relaxed) }

    public static func debug(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        if isEnabled(.debug) { write(.debug, message(), fields) }
    }

    public static func info(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.info, message, fields)
    }

    public static func warning(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.warning, message, fields)
    }

    public static func error(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.error, message, fields)
    }

    private static func write(_ level: Level, _ message: String, _ fields: KeyValuePairs<String, String>) {
        guard isEnabled(level) else { return }
        if let sink = sink.withLock({ $0 }), sink(level, message, fields) { return }
        var line = "{\"time\":\"\(RFC3339.text(WallClock.nowNanoseconds()))\",\"level\":\"\(level)\",\"message\":"
        JSONText.append(message, to: &line)
        for (key, value) in fields {
            line += ","
            JSONText.append(key, to: &line)
            line += ":"
            JSONText.append(value, to: &line)
        }
        line += "}\n"
        // One call a line, so that lines of several threads do not mix.
        line.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// Strings in JSON (RFC 8259 section 7).
public enum JSONText {
    public static func append(_ text: String, to line: inout String) {
        line += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            case "\u{0}"..."\u{1f}":
                line += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: line.unicodeScalars.append(scalar)
            }
        }
        line += "\""
    }
}

/// Times as RFC 3339 text in UTC with milliseconds.
public enum RFC3339 {
    public static func text(_ wallNanoseconds: UInt64) -> String {
        var seconds = time_t(wallNanoseconds / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func pad(_ value: Int, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(pad(Int(parts.tm_year) + 1900, 4))-\(pad(Int(parts.tm_mon) + 1, 2))-\(pad(Int(parts.tm_mday), 2))"
        let time = "\(pad(Int(parts.tm_hour), 2)):\(pad(Int(parts.tm_min), 2)):\(pad(Int(parts.tm_sec), 2))"
        return "\(date)T\(time).\(pad(Int(wallNanoseconds / 1_000_000 % 1000), 3))Z"
    }
}
