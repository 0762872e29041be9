import Testing

/// What the documentation lists is what the binary has.
@Suite struct DocumentationTests {
    private static let operations: String = {
        let here = #filePath
        return String(here.dropLast("Tests/EndToEnd/DocumentationTests.swift".count)) + "docs/operations.md"
    }()

    @Test func everyMetricIsDocumentedAndEveryDocumentedOneIsThere() throws {
        try Web.with([try HTTPInstance("web")]) { mesh in
            let types = try mesh.adminGet("/metrics").text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
            let rows = TextFile.read(Self.operations).split(separator: "\n").filter { $0.hasPrefix("| `meshd_") }
            let served = Set(types.compactMap { $0.split(separator: " ").dropFirst(2).first })
            let documented = Set(rows.compactMap { $0.split(separator: "`").dropFirst().first })
            try demand(served.count > 40, "metrics are served: \(served.count)")
            try demandEqual(served.subtracting(documented), [], "served and not documented")
            try demandEqual(documented.subtracting(served), [], "documented and not served")
        }
    }
}
