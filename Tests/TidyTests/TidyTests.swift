import Testing

/// The house rules that a compiler does not know.
@Suite struct TidyTests {
    /// Target → the targets it may import. A doer imports no other doer; what is pure imports nothing that is not.
    static let arrows: [String: Set<String>] = [
        "CLinux": [], "CYAML": [], "CNGHTTP2": [], "COpenSSL": [], "CSystemd": [],
        "NetAddress": [], "HTTPCodec": [], "JSONCodec": [],
        "MeshCore": ["NetAddress"],
        "Reactor": ["CLinux", "COpenSSL", "NetAddress"],
        "YAML": ["CYAML"],
        "Configuration": ["YAML", "NetAddress"],
        "HTTPClient": ["Reactor", "HTTPCodec", "NetAddress", "CNGHTTP2"],
        "AliasDNS": ["Reactor", "MeshCore", "NetAddress"],
        "HealthProber": ["Reactor", "MeshCore", "HTTPClient", "HTTPCodec", "NetAddress"],
        "L4Proxy": ["Reactor", "MeshCore", "NetAddress"],
        "L7Router": ["Reactor", "MeshCore", "HTTPCodec", "NetAddress", "CNGHTTP2"],
        "Registry": [
            "Reactor", "MeshCore", "HTTPClient", "HTTPCodec", "JSONCodec", "NetAddress", "YAML", "CYAML",
        ],
    ]

    /// Modules of the toolchain that any target may import.
    static let toolchain: Set<String> = ["Swift", "Synchronization", "Glibc"]

    @Test func theWalkFindsTheSources() {
        let targets = Set(SourceFile.all.filter { $0.root == "Sources" }.map(\.target))
        #expect(targets.isSuperset(of: ["NetAddress", "HTTPCodec", "MeshCore", "Reactor", "meshd"]))
        #expect(SourceFile.all.contains { $0.path == "Tests/TidyTests/TidyTests.swift" && $0.lines.count > 50 })
    }

    @Test func importsFollowTheArrows() {
        for file in SourceFile.all where file.root == "Sources" && file.target != "meshd" {
            guard let allowed = Self.arrows[file.target] else {
                Issue.record("\(file.path): its target has no place among the arrows")
                continue
            }
            for name in imports(file) where !allowed.union(Self.toolchain).contains(name) {
                Issue.record("\(file.path): imports \(name)")
            }
        }
    }

    @Test func pureTargetsMakeNoSystemCalls() {
        // Glibc is there for `memchr` alone.
        let allowed = Set(["Fields", "FieldLookup", "HeadScan"].map { "Sources/HTTPCodec/\($0).swift" })
        for file in SourceFile.all where file.root == "Sources" {
            guard ["NetAddress", "HTTPCodec", "JSONCodec", "MeshCore"].contains(file.target),
                !allowed.contains(file.path)
            else {
                continue
            }
            #expect(imports(file).isDisjoint(with: ["Glibc", "CLinux"]), "\(file.path)")
        }
    }

    private func imports(_ file: SourceFile) -> Set<String> {
        Set(
            file.code.compactMap { line in
                let words = line.split(separator: " ")
                guard let at = words.firstIndex(of: "import"), words[..<at].allSatisfy(isModifier), at + 1 < words.count
                else {
                    return nil
                }
                let kinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol", "var", "typealias"]
                let path = words[(at + 1)...].first { !kinds.contains($0) } ?? ""
                return path.split(separator: ".").first.map(String.init)
            })
    }

    private func isModifier(_ word: Substring) -> Bool {
        word.hasPrefix("@") || ["public", "package", "internal", "fileprivate", "private"].contains(word)
    }

    /// (what is banned, where it is allowed all the same, why it is banned)
    @Test(arguments: [
        ("import Foundation", ["Sources/meshd/"], "tens of megabytes for what the standard library has"),
        ("clock_gettime", ["Sources/Reactor/Time/"], "time comes in as a number"),
        ("gettimeofday", ["Sources/Reactor/Time/"], "time comes in as a number"),
        ("ContinuousClock", ["Sources/Reactor/Time/"], "time comes in as a number"),
        ("SuspendingClock", ["Sources/Reactor/Time/"], "time comes in as a number"),
        ("time(nil)", ["Sources/Reactor/Time/"], "time comes in as a number"),
        ("print(", ["Sources/meshd/"], "what is told goes through the log"),
        ("try!", [], "an error has a named outcome"), ("fatalError", [], "an error has a named outcome"),
        ("as!", [], "an error has a named outcome"), ("Thread.sleep", [], "nothing waits on a loop"),
        ("usleep(", ["Sources/meshd/"], "nothing waits on a loop"),
    ])
    func bannedCalls(text: String, places: [String], reason: String) {
        for file in SourceFile.all where file.root == "Sources" && !places.contains(where: file.path.hasPrefix) {
            for (number, line) in file.code.enumerated() where mentions(line, text) {
                Issue.record("\(file.path):\(number + 1): \(text): \(reason)")
            }
        }
    }

    /// Whether the text stands in the line, not as the end of a longer word.
    private func mentions(_ line: String, _ text: String) -> Bool {
        var rest = Substring(line)
        while let start = rest.firstRange(of: text) {
            let before = rest[..<start.lowerBound].last
            if before.map({ !$0.isLetter && !$0.isNumber && $0 != "_" }) ?? true { return true }
            rest = rest[start.upperBound...]
        }
        return false
    }

    @Test func noMarkersOfUnfinishedWork() {
        let markers = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]
        for file in SourceFile.all {
            for (number, line) in file.lines.enumerated() where markers.contains(where: line.contains) {
                Issue.record("\(file.path):\(number + 1): \(line)")
            }
        }
    }
}

/// Sizes. The numbers of exceptions only ever go down: lower them with the code.
@Suite struct SizeTests {
    private static let longLinesLeft = 2
    private static let longFunctionsLeft = 0

    @Test func filesAreShort() {
        for file in SourceFile.all {
            #expect(file.lines.count <= 501, "\(file.path) has \(file.lines.count - 1) lines")
        }
    }

    @Test func linesAreShort() {
        let long = SourceFile.all.flatMap { file in
            file.lines.indices.filter { file.lines[$0].count > 120 }.map { "\(file.path):\($0 + 1)" }
        }
        #expect(long.count <= Self.longLinesLeft, "\(long.joined(separator: "\n"))")
    }

    @Test func functionsAreShort() {
        let long = SourceFile.all.flatMap { file in
            functions(file).filter { $0.count > 70 }.map { "\(file.path):\($0.lowerBound + 1): \($0.count) lines" }
        }
        #expect(long.count <= Self.longFunctionsLeft, "\(long.joined(separator: "\n"))")
        #expect(SourceFile.all.map { functions($0).count }.reduce(0, +) > 500, "they are found at all")
    }

    /// Lines of each function, initialiser and subscript, from its first line to its closing brace.
    private func functions(_ file: SourceFile) -> [Range<Int>] {
        file.code.indices.compactMap { start in
            guard isFunctionStart(file.code[start]) else { return nil }
            var depth = 0
            var hasBody = false
            for index in start..<file.code.count {
                for character in file.code[index] where character == "{" || character == "}" {
                    depth += character == "{" ? 1 : -1
                    hasBody = true
                }
                // A requirement of a protocol has no body; the next declaration or brace ends it.
                if depth < 0 || !hasBody && index > start + 20 { return nil }
                if hasBody, depth == 0 { return start..<index + 1 }
            }
            return nil
        }
    }

    private func isFunctionStart(_ line: String) -> Bool {
        let words = line.split(separator: " ")
        guard let at = words.firstIndex(where: isDeclaration) else { return false }
        return words[..<at].allSatisfy { $0.hasPrefix("@") || $0.allSatisfy { $0.isLetter || $0 == "(" || $0 == ")" } }
    }

    private func isDeclaration(_ word: Substring) -> Bool {
        word == "func" || word == "deinit"
            || ["init(", "init?(", "init<", "subscript("].contains { word.hasPrefix($0) }
    }
}

@Suite struct CodeStripperTests {
    @Test(arguments: [
        ("let a = 1 // b", "let a = 1 "), ("f(\"// no\") // yes", "f() "), ("\"a\\\"{\" + x", " + x"),
        ("g(\"a\\(b(\"{\", \")\"))c\") { d", "g() { d"),
        ("a /* { */ b", "a  b"), ("/// doc", ""),
    ])
    func strips(line: String, code: String) {
        var stripper = CodeStripper()
        #expect(stripper.strip(line) == code)
    }

    @Test func longLiterals() {
        var stripper = CodeStripper()
        #expect(
            ["x(\"\"\"", "print( {", "\"\"\") y", "/* a", "b { */ z"].map { stripper.strip($0) } == [
                "x(", "", ") y", "", " z",
            ])
    }
}
