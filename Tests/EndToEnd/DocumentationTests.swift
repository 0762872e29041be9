import Testing

/// What the documentation lists is what the binary has.
@Suite struct DocumentationTests {
    private static let operations: String = {
        let here = #filePath
        return String(here.dropLast("Tests/EndToEnd/DocumentationTests.swift".count)) + "docs/operations.md"
    }()

    /// Blocks of YAML that are catalogues.
    @Test func everyCatalogueOfTheReferenceIsRead() throws {
        let here = #filePath
        let root = String(here.dropLast("Tests/EndToEnd/DocumentationTests.swift".count))
        let files = try TemporaryDirectory()
        var found = 0
        for block in TextFile.read(root + "docs/configuration.md").split(separator: "```yaml\n").dropFirst() {
            let text = block.split(separator: "\n```").first.map(String.init) ?? ""
            guard text.hasPrefix("services:") else { continue }
            found += 1
            try TextFile.write(text + "\n", to: files.path + "/services.yaml")
            let result = try CommandResult.run(
                ["check", files.path + "/services.yaml"], files: files.path + "/check-\(found)")
            try demandEqual(result.status, 0, "exit: \(result.errors)\n\(text)")
            try demandEqual(result.errors, "", "warnings\n\(text)")
        }
        try demand(found >= 3, "catalogues in the reference: \(found)")
    }

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
