import Testing

/// The configuration reference and its examples.
enum ReferencePage {
    struct Example: CustomTestStringConvertible, Sendable {
        /// From 0, in the order of the page.
        let number: Int
        let text: String

        var isCatalogue: Bool { text.hasPrefix("services:") }
        var isConfiguration: Bool { text.hasPrefix("# meshd.yaml") }
        /// It says so itself.
        var warns: Bool { text.contains("get a warning") }
        var lines: [Substring] { text.split(separator: "\n") }
        var testDescription: String { "\(number): \(lines.prefix(2).joined(separator: " ").prefix(60))" }

        /// The settings of a `meshd.yaml`: names at the beginning of a line.
        var settings: Set<String> {
            guard isConfiguration else { return [] }
            return Set(lines.compactMap { $0.firstMatch(of: /^([a-z0-9-]+):/).map { String($0.1) } })
        }
    }

    static let root = String(#filePath.dropLast("Tests/EndToEnd/Harness/ReferencePage.swift".count))

    static let examples = TextFile.read(root + "docs/configuration.md").split(separator: "```yaml\n").dropFirst()
        .enumerated().map { number, part in
            let end = part.firstRange(of: "\n```")?.lowerBound ?? part.endIndex
            return Example(number: number, text: String(part.prefix(upTo: end)) + "\n")
        }
}
