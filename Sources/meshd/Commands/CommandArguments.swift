import Configuration

/// The arguments of a command other than `run`: flags are taken out one by one, what is left is its operands.
struct CommandArguments {
    private(set) var rest: [String]
    /// What is wrong with a flag, on one line.
    private(set) var problem: String?

    init(_ arguments: [String]) { rest = arguments }

    mutating func take(_ flag: String) -> Bool {
        guard let index = rest.firstIndex(of: flag) else { return false }
        rest.remove(at: index)
        return true
    }

    /// The value of `--flag VALUE` or `--flag=VALUE`.
    mutating func takeValue(_ flag: String) -> String? {
        if let index = rest.firstIndex(where: { $0.hasPrefix(flag + "=") }) {
            return String(rest.remove(at: index).dropFirst(flag.count + 1))
        }
        guard let index = rest.firstIndex(of: flag) else { return nil }
        guard index + 1 < rest.count else {
            problem = "\(flag): the value is missing"
            return nil
        }
        rest.remove(at: index)
        return rest.remove(at: index)
    }

    /// Where the running meshd is asked: `--admin`, or the usual place.
    mutating func takeAdmin() -> AdminEndpoint? {
        guard let text = takeValue("--admin") else { return .usual }
        let endpoint = AdminEndpoint(text)
        if endpoint == nil { problem = "--admin: '\(text)' is neither ADDRESS:PORT nor unix:PATH" }
        return endpoint
    }
}
