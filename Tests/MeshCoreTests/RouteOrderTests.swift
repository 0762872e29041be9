import MeshCore
import TestSupport
import Testing

/// A request as text.
private struct Asked {
    var host = "a.com"
    var path = "/"
    var method = "GET"
    var headers: [(String, String)] = []
    var port: UInt16 = 0
    var isSecure = false

    func rule(in table: HostTable) -> HostTable.Rule? {
        let values = headers.map { Array($0.1.utf8) }
        let lengths = values.map(\.count)
        return Array(host.utf8).withUnsafeBytes { host in
            Array(path.utf8).withUnsafeBytes { path in
                Array(method.utf8).withUnsafeBytes { method in
                    Array(values.joined()).withUnsafeBytes { all in
                        table.match(
                            RouteRequest(host: host, path: path, method: method, port: port, isSecure: isSecure)
                        ) { name, index in
                            let name = String(decoding: name, as: UTF8.self).lowercased()
                            while index < headers.count {
                                let found = index
                                index += 1
                                guard headers[found].0.lowercased() == name else { continue }
                                let start = lengths[..<found].reduce(0, +)
                                return UnsafeRawBufferPointer(rebasing: all[start..<start + lengths[found]])
                            }
                            return nil
                        }.map { table.rules[$0] }
                    }
                }
            }
        }
    }
}

/// What the rules say, in the plainest way: every rule is looked at, the most specific of those that match is taken.
private struct PlainRouter {
    let rules: [HostTable.Rule]

    func rule(_ asked: Asked) -> HostTable.Rule? {
        var best: HostTable.Rule?
        for rule in rules where matches(rule, asked) {
            if let present = best, !isBetter(rule, present) { continue }
            best = rule
        }
        return best
    }

    private func matches(_ rule: HostTable.Rule, _ asked: Asked) -> Bool {
        let path = String(asked.path.prefix { $0 != "?" })
        let pathFits =
            switch rule.key.pathKind {
            case .prefix: rule.path == "/" || path == rule.path || path.hasPrefix(rule.path + "/")
            case .exact: path == rule.path
            case .glob: Self.fits(rule.path, path)
            }
        return hostFits(rule.host, asked.host.lowercased()) && pathFits && (!rule.key.isSecureOnly || asked.isSecure)
            && rule.key.conditions.allSatisfy { holds($0, asked) }
    }

    private func hostFits(_ pattern: HostPattern, _ host: String) -> Bool {
        switch pattern {
        case .exact(let name): host == name
        case .wildcard(let suffix): host.hasSuffix(".\(suffix)") && host.count > suffix.count + 1
        case .glob(let text): Self.fits(text, host)
        case .any: true
        }
    }

    private func holds(_ condition: RouteCondition, _ asked: Asked) -> Bool {
        switch condition {
        case .method(let names): return names.contains(asked.method)
        case .port(let port): return asked.port == port
        case .header(let name, let match):
            return asked.headers.contains { $0.0.lowercased() == name && Self.fits(match, $0.1) }
        case .query(let name, let match):
            guard let query = asked.path.firstIndex(of: "?") else { return false }
            return asked.path[query...].dropFirst().split(separator: "&", omittingEmptySubsequences: false).contains {
                let parts = $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                return (parts.first ?? "") == name && Self.fits(match, parts.count > 1 ? parts[1] : "")
            }
        }
    }

    private static func fits(_ match: TextMatch, _ value: String) -> Bool {
        switch match {
        case .present: true
        case .exact(let wanted): value == wanted
        case .prefix(let wanted): value.hasPrefix(wanted)
        }
    }

    /// Whether `*` can stand for something that makes the pattern the text.
    static func fits(_ pattern: String, _ text: String) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = String(pattern.dropFirst())
        guard first == "*" else { return text.first == first && fits(rest, String(text.dropFirst())) }
        return (0...text.count).contains { fits(rest, String(text.dropFirst($0))) }
    }

    /// Exact host, suffix, letters of the host; path, kind, TLS, conditions; priority; service; the text.
    private func isBetter(_ a: HostTable.Rule, _ b: HostTable.Rule) -> Bool {
        let (x, y) = (Self.rank(a), Self.rank(b))
        for (left, right) in zip(x, y) where left != right { return left > right }
        if a.targets[0].service != b.targets[0].service { return a.targets[0].service < b.targets[0].service }
        return a.key.description < b.key.description
    }

    private static func rank(_ rule: HostTable.Rule) -> [Int] {
        var host: [Int]
        switch rule.host {
        case .exact: host = [1, 0, 0]
        case .wildcard(let suffix): host = [0, suffix.count + 1, suffix.count + 1]
        case .glob(let text): host = [0, text.split(separator: "*", omittingEmptySubsequences: false).last!.count, 0]
        case .any: host = [0, 0, -1]
        }
        if case .glob(let text) = rule.host { host[2] = text.filter { $0 != "*" }.count }
        let path = rule.path == "/" ? 0 : rule.path.filter { rule.key.pathKind != .glob || $0 != "*" }.count
        let kind = [PathKind.exact: 2, .prefix: 1, .glob: 0][rule.key.pathKind]!
        return host + [path, kind, rule.key.isSecureOnly ? 1 : 0, rule.key.conditions.count, rule.key.priority]
    }
}

/// Rules and requests from few letters, so that they meet.
private struct RandomRoutes {
    var random: SeededRandom

    mutating func name() -> String {
        (0...random.below(3)).map { _ in random.element(of: ["a", "b", "ab", "com"]) }.joined(separator: ".")
    }

    mutating func path() -> String {
        let segments = ["p", "q", "pq", "p.js"]
        return "/" + (0..<random.below(4)).map { _ in random.element(of: segments) }.joined(separator: "/")
    }

    /// With one to three `*` put in.
    mutating func starred(_ text: String) -> String {
        var result = Array(text)
        for _ in 0...random.below(2) { result.insert("*", at: random.below(result.count + 1)) }
        let joined = String(result)
        return joined.split(separator: "**", omittingEmptySubsequences: false).joined(separator: "*")
    }

    mutating func host() -> HostPattern {
        switch random.below(10) {
        case 0: return .any
        case 1...3: return .exact(name())
        case 4...5: return .wildcard(name())
        default:
            let pattern = starred(name())
            let isWildcard = pattern.hasPrefix("*.") && !pattern.dropFirst().contains("*")
            return isWildcard ? .wildcard(String(pattern.dropFirst(2))) : .glob(pattern)
        }
    }

    mutating func condition() -> RouteCondition {
        let match = random.element(of: [TextMatch.present, .exact("1"), .prefix("1")])
        switch random.below(4) {
        case 0: return .method(random.element(of: [["GET"], ["GET", "POST"], ["POST"]]))
        case 1: return .header(name: random.element(of: ["x-a", "x-b"]), match)
        case 2: return .query(name: random.element(of: ["a", "b"]), match)
        default: return .port(random.element(of: [80, 90]))
        }
    }

    mutating func key() -> RuleKey {
        var key = RuleKey(host: host(), path: path())
        switch random.below(4) {
        case 0: key.pathKind = .exact
        case 1:
            key.pathKind = .glob
            key.path = starred(key.path)
        default: break
        }
        key.isSecureOnly = random.once(in: 4)
        if random.once(in: 3) { key.conditions = (0...random.below(2)).map { _ in condition() } }
        if random.once(in: 4) { key.priority = random.below(3) }
        return key
    }

    mutating func request() -> Asked {
        var asked = Asked(host: name(), path: path(), isSecure: random.once(in: 2))
        if random.once(in: 4) { asked.host = asked.host.uppercased() }
        if random.once(in: 3) { asked.path += "/" }
        let queries = ["a", "a=1", "b=12&a=", "=1", "&&b=1", "a=2&a=1"]
        if random.once(in: 2) { asked.path += "?" + random.element(of: queries) }
        asked.method = random.element(of: ["GET", "POST", "PUT", "GE"])
        asked.port = random.element(of: [0, 80, 90])
        let headers = [[], [("X-A", "1")], [("x-a", "2"), ("X-A", "12")], [("X-B", ""), ("x-a", "1")]]
        asked.headers = random.element(of: headers)
        return asked
    }
}

@Suite struct RouteOrderTests {
    @Test(arguments: 0..<200)
    func agreesWithThePlainRouter(seed: Int) {
        var routes = RandomRoutes(random: SeededRandom(seed: UInt64(seed)))
        var keys: Set<RuleKey> = []
        for _ in 0..<routes.random.below(40) { keys.insert(routes.key()) }
        let sorted = keys.sorted { $0.description < $1.description }
        var rules = sorted.enumerated().map { index, key in
            let service = routes.random.element(of: ["a", "b", "c"])
            return RouteRule(key, targets: [RuleTarget(pool: Int32(index), weight: 1, service: service)])
        }
        rules.shuffle(using: &routes.random)
        let table = HostTable(rules)
        let plain = PlainRouter(rules: rules)
        for _ in 0..<200 {
            let asked = routes.request()
            #expect(asked.rule(in: table) == plain.rule(asked), "\(asked)")
        }
    }

    @Test(arguments: 0..<50)
    func patternsAgreeWithTheirMeaning(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        func text(_ letters: [String]) -> String {
            (0..<random.below(9)).map { _ in random.element(of: letters) }.joined()
        }
        for _ in 0..<200 {
            let (pattern, name) = ("x" + text(["a", "b", "*"]), "x" + text(["a", "b"]))
            let table = HostTable([RouteRule(RuleKey(host: .glob(pattern), path: "/"), targets: [])])
            let found = Asked(host: name).rule(in: table) != nil
            #expect(found == PlainRouter.fits(pattern, name), "\(pattern) \(name)")
        }
    }

    /// The worst that a name can do to the worst pattern is bounded by their lengths.
    @Test func hostileNamesEnd() {
        let pattern = (0..<4).map { _ in "*" + String(repeating: "a", count: 20) + "b" }.joined()
        let table = HostTable([RouteRule(RuleKey(host: .glob(pattern), path: "/"), targets: [])])
        #expect(Asked(host: String(repeating: "a", count: 255)).rule(in: table) == nil)
    }

    @Test func patternsBeyondTheLimitAreNamed() {
        let rules = (0..<HostTable.globLimit + 3).map {
            RouteRule(RuleKey(host: .glob("a*\(1000 + $0).com"), path: "/"), targets: [])
        }
        let table = HostTable(rules)
        #expect(table.leftOut.count == 3)
        #expect(table.rules.count == HostTable.globLimit)
    }

    @Test(arguments: [
        ("/?beta=1", true), ("/?x&b%65ta=%31", true), ("/?beta=1%20", false), ("/?beta=+1", false), ("/beta=1", false),
        ("/?beta=1&beta=2", true), ("/?beta", false), ("/?", false), ("/?beta=%3", false), ("/?BETA=1", false),
    ])
    func queriesAreDecoded(path: String, holds: Bool) {
        let key = RuleKey(host: .any, path: "/", conditions: [.query(name: "beta", .exact("1"))])
        let table = HostTable([RouteRule(key, targets: [])])
        #expect((Asked(path: path).rule(in: table) != nil) == holds)
    }
}

@Suite struct RouteActionTests {
    private func action(_ transform: RouteTransform) throws -> (HostTable, HostTable.Choice) {
        let table = HostTable([
            RouteRule(host: .any, path: "/", targets: [RuleTarget(pool: 7, weight: 1, transform: transform)])
        ])
        return (table, try #require(table.choose(rule: 0, turn: 0)))
    }

    @Test(arguments: [
        ("/cart", "/cart", 5), ("/cart", "/cart/1", 5), ("/cart", "/cart?x", 5), ("/cart", "/cartoon", 0),
        ("/cart", "/ca", 0), ("/cart", "", 0), ("/cart", "/CART", 0),
    ])
    func wholeSegmentsAreTakenOff(prefix: String, path: String, count: Int) throws {
        let (table, choice) = try action(RouteTransform(stripPrefix: prefix))
        let action = try #require(table.action(choice))
        #expect(action.rewritesPath)
        #expect(Array(path.utf8).withUnsafeBytes { action.stripped($0) } == count)
    }

    @Test func aPlainRouteHasNoAction() throws {
        let (table, choice) = try action(RouteTransform())
        #expect(table.action(choice) == nil)
        #expect(choice.pool == 7)
    }
}
