import Testing
import YAML

@Suite struct YAMLNodeTests {
    private func parse(_ text: String, _ limits: YAMLLimits = YAMLLimits()) throws(YAMLProblem) -> YAMLNode {
        try YAMLNode.parse(Array(text.utf8), limits: limits)
    }

    private func problem(_ text: String, _ limits: YAMLLimits = YAMLLimits()) -> YAMLProblem? {
        do throws(YAMLProblem) {
            _ = try parse(text, limits)
            return nil
        } catch {
            return error
        }
    }

    @Test func scalarsKnowWhetherTheyAreQuoted() throws {
        let root = try parse("a: 80\nb: \"80\"\nc: '~'\nd: ~\ne:\nf: null\ng: |\n  x\n")
        #expect(root["a"]?.content == .scalar(text: "80", isPlain: true))
        #expect(root["b"]?.content == .scalar(text: "80", isPlain: false))
        #expect(root["c"]?.isNull == false)
        for key in ["d", "e", "f"] { #expect(root[key]?.isNull == true, "\(key)") }
        #expect(root["g"]?.text == "x\n")
    }

    @Test func placesCountFromOne() throws {
        let root = try parse("a:\n  - x\n  - é: y\n")
        let second = try #require(root["a"]?.items?[1])
        #expect((root.line, root.column) == (1, 1))
        #expect((second.line, second.column) == (3, 5))
        let pair = try #require(second.pairs?.first)
        #expect((pair.line, pair.column) == (3, 5))
        #expect((pair.value.line, pair.value.column) == (3, 8))
    }

    @Test func mappingsKeepTheirOrder() throws {
        #expect(try parse("z: 1\na: 2\nm: 3\n").pairs?.map(\.key) == ["z", "a", "m"])
    }

    @Test(arguments: ["", "\n", "# only a comment\n", "---\n", "~"]) func nothingIsNull(_ text: String) throws {
        #expect(try parse(text).isNull)
    }

    @Test func aliasesAndMergeKeys() throws {
        let root = try parse(
            """
            base: &base {a: 1, b: 2}
            more: &more {b: 3, c: 4}
            one: {<<: *base, b: own}
            two:
              <<: [*base, *more]
              d: 5
            quoted: {"<<": text}
            same: *base
            """)
        #expect(root["one"]?.pairs?.map { "\($0.key)=\($0.value.text ?? "")" } == ["b=own", "a=1"])
        #expect(root["two"]?.pairs?.map { "\($0.key)=\($0.value.text ?? "")" } == ["d=5", "a=1", "b=2", "c=4"])
        #expect(root["quoted"]?["<<"]?.text == "text")
        #expect(root["same"] == root["base"])
    }

    @Test(arguments: [
        ("a: 1\nb: 2\na: 3\n", 3, 1, ["a"], "already"),
        ("x:\n  y: {k: 1, k: 2}\n", 2, 13, ["x", "y", "k"], "already"),
        ("a: *none\n", 1, 4, ["a"], "no anchor"),
        ("a: &a [*a]\n", 1, 8, ["a", "0"], "no anchor"),
        ("? [1, 2]\n: x\n", 1, 3, [], "plain text"),
        ("a: {<<: 1}\n", 1, 9, ["a", "<<"], "takes a mapping"),
        ("a: {<<: [1]}\n", 1, 9, ["a", "<<"], "takes a mapping"),
        ("a: 1\n---\nb: 2\n", 2, 1, [], "second document"),
    ])
    func ownRules(_ text: String, _ line: Int, _ column: Int, _ path: [String], _ message: String) throws {
        let found = try #require(problem(text))
        #expect((found.line, found.column) == (line, column), "\(found)")
        #expect(found.path == path)
        #expect(found.message.contains(message), "\(found)")
    }

    @Test(arguments: [
        "a: [1, 2\n", "a: 'x\n", "a:\n\t- b\n", "a: b: c\n", "- a\nb: c\n", "}", "%YAML 9.9.9\n", "a: @x",
    ])
    func brokenTextNamesItsLine(_ text: String) throws {
        let found = try #require(problem(text))
        #expect(found.line >= 1 && found.column >= 1 && !found.message.isEmpty)
    }

    @Test func brokenTextNamesTheKeysReadSoFar() throws {
        let found = try #require(problem("services:\n  web:\n    labels: [a\n  db: {}\n"))
        #expect(found.path.starts(with: ["services", "web", "labels"]), "\(found.path)")
    }

    @Test func bytesThatAreNotUTF8() throws {
        let error = #expect(throws: YAMLProblem.self) { try YAMLNode.parse(Array("a: é\nbé: ".utf8) + [0xff, 0x0a]) }
        #expect(error?.line == 2)
        #expect(error?.column == 5)
    }

    @Test func aliasBombsStopAtTheNodeLimit() throws {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...8 {
            let uses = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(uses)]\n"
        }
        #expect(problem(text)?.message.contains("more than 1000000 values") == true)
    }

    @Test func depthIsLimited() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(problem(nested(64)) == nil)
        #expect(problem(nested(65))?.message.contains("64 values within") == true)
        #expect(problem(nested(5_000))?.message.contains("64 values within") == true)
        // Keys within keys and anchors within anchors count, too.
        #expect(problem(String(repeating: "? ", count: 5_000) + "x")?.message.contains("64 values within") == true)
        let half = "a: &a \(nested(40))\nb: \(String(repeating: "[", count: 30))*a\(String(repeating: "]", count: 30))"
        #expect(problem(half)?.message.contains("64 values within") == true)
    }

    @Test func sizeIsLimited() {
        #expect(problem("aaaa", YAMLLimits(bytes: 4)) == nil)
        #expect(problem("aaaaa", YAMLLimits(bytes: 4))?.message == "larger than 4 bytes")
        #expect(problem("[a, b, c]", YAMLLimits(nodes: 4)) == nil)
        #expect(problem("[a, b, c, d]", YAMLLimits(nodes: 4)) != nil)
    }
}
