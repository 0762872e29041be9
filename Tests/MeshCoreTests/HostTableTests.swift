import MeshCore
import TestSupport
import Testing

/// A matcher that does what the rules say in the plainest way.
private struct NaiveMatcher {
    let rules: [HostTable.Rule]

    func match(_ host: String, _ path: String) -> HostTable.Rule? {
        var name = host.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        let path = String(path.prefix { $0 != "?" })
        var patterns: [HostPattern] = name.isEmpty ? [] : [.exact(name)]
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        for cut in labels.indices.dropFirst() where labels[0] != "" || cut > 1 {
            patterns.append(.wildcard(labels[cut...].joined(separator: ".")))
        }
        for pattern in patterns + [.any] {
            let found = rules.filter { $0.host == pattern && Self.isBelow($0.path, path) }
            if let best = found.max(by: { $0.path.count < $1.path.count }) { return best }
        }
        return nil
    }

    private static func isBelow(_ prefix: String, _ path: String) -> Bool {
        prefix == "/" || path == prefix || path.hasPrefix(prefix + "/")
    }
}

extension HostTable {
    func rule(_ host: String, _ path: String) -> Rule? {
        let (host, path) = (Array(host.utf8), Array(path.utf8))
        return host.withUnsafeBytes { host in path.withUnsafeBytes { match(RouteRequest(host: host, path: $0)) } }.map {
            rules[$0]
        }
    }
}

private func rule(_ text: String, pool: Int32 = 0) -> HostTable.Rule {
    let cut = text.firstIndex(of: "/") ?? text.endIndex
    let name = String(text[..<cut])
    let host: HostPattern =
        name == "*" ? .any : name.hasPrefix("*.") ? .wildcard(String(name.dropFirst(2))) : .exact(name)
    return HostTable.Rule(
        host: host, path: cut == text.endIndex ? "/" : String(text[cut...]), targets: [.init(pool: pool, weight: 100)])
}

@Suite struct HostTableTests {
    private static let table = HostTable(
        [
            "shop.company.com", "shop.company.com/cart", "shop.company.com/cart/old", "*.company.com",
            "*.company.com/img",
            "*.eu.company.com/api", "pay.company.com/v1", "*/any", "bare", "[::1]/six", "10.0.0.1/four",
        ].map { rule($0) })

    /// (host, path, the rule demanded; "" for none)
    @Test(arguments: [
        ("shop.company.com", "/", "shop.company.com/"), ("SHOP.Company.COM", "/", "shop.company.com/"),
        ("shop.company.com.", "/", "shop.company.com/"), ("shop.company.com..", "/", ""),
        ("shop.company.com", "", "shop.company.com/"), ("shop.company.com", "*", "shop.company.com/"),
        ("shop.company.com", "?a=/cart", "shop.company.com/"),
        ("shop.company.com", "/cart", "shop.company.com/cart"), ("shop.company.com", "/cart/", "shop.company.com/cart"),
        ("shop.company.com", "/cart?x=1", "shop.company.com/cart"),
        ("shop.company.com", "/cartoon", "shop.company.com/"),
        ("shop.company.com", "/Cart", "shop.company.com/"), ("shop.company.com", "/car", "shop.company.com/"),
        ("shop.company.com", "/cart/1", "shop.company.com/cart"),
        ("shop.company.com", "/cart/old", "shop.company.com/cart/old"),
        ("shop.company.com", "/cart/older", "shop.company.com/cart"),
        ("shop.company.com", "/cart/old/1?q", "shop.company.com/cart/old"),
        ("a.company.com", "/", "*.company.com/"), ("a.b.company.com", "/x", "*.company.com/"),
        ("a.company.com", "/img/1.png", "*.company.com/img"), ("company.com", "/", ""), (".company.com", "/", ""),
        ("xcompany.com", "/", ""), ("a.eu.company.com", "/api/1", "*.eu.company.com/api"),
        ("a.eu.company.com", "/", "*.company.com/"), ("a.eu.company.com", "/img", "*.company.com/img"),
        ("eu.company.com", "/api", "*.company.com/"), ("pay.company.com", "/v1", "pay.company.com/v1"),
        ("pay.company.com", "/", "*.company.com/"), ("pay.company.com", "/img", "*.company.com/img"),
        ("other.org", "/any", "*/any"), ("other.org", "/", ""), ("", "/any", "*/any"), ("", "/", ""),
        (".", "/any", "*/any"),
        ("shop.company.com", "/any", "shop.company.com/"), ("company.com", "/any/1", "*/any"),
        ("bare", "/x", "bare/"), ("x.bare", "/x", ""), ("[::1]", "/six", "[::1]/six"),
        ("10.0.0.1", "/four", "10.0.0.1/four"),
    ])
    func demanded(host: String, path: String, wanted: String) {
        let found = Self.table.rule(host, path)
        #expect(found.map { "\($0.host)\($0.path)" } ?? "" == wanted)
    }

    @Test func namesAtTheLengthLimit() {
        let long = String(repeating: "a.", count: 120) + "company.com"
        #expect(long.utf8.count == 251)
        #expect(Self.table.rule(long, "/")?.host == .wildcard("company.com"))
        let tooLong = String(repeating: "a", count: 256) + ".company.com"
        #expect(Self.table.rule(tooLong, "/") == nil)
        #expect(Self.table.rule(tooLong, "/any")?.host == .any)
        #expect(Self.table.rule(String(repeating: ".", count: 255), "/any")?.host == .any)
        #expect(Self.table.rule(String(repeating: ".", count: 4_000), "/any")?.host == .any)
    }

    @Test func anEmptyTableMatchesNothing() { #expect(HostTable().rule("a", "/") == nil) }

    @Test(arguments: 0..<200)
    func agreesWithTheNaiveMatcher(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let labels = ["a", "b", "com", "x1"]
        let segments = ["p", "q", "pq", "r-"]
        func name() -> String { (0...random.below(4)).map { _ in random.element(of: labels) }.joined(separator: ".") }
        func path() -> String {
            "/" + (0..<random.below(4)).map { _ in random.element(of: segments) }.joined(separator: "/")
        }
        var rules: [String: HostTable.Rule] = [:]
        for pool in 0..<Int32(random.below(40)) {
            let host = random.once(in: 10) ? "*" : random.once(in: 2) ? "*.\(name())" : name()
            rules[host + path()] = rule(host + path(), pool: pool)
        }
        let unique = Dictionary(rules.values.map { ("\($0.host)\($0.path)", $0) }) { first, _ in first }.values
        let table = HostTable(unique.shuffled(using: &random))
        let naive = NaiveMatcher(rules: Array(unique))
        #expect(Set(table.rules) == Set(unique))
        for _ in 0..<200 {
            var host = name()
            if random.once(in: 5) { host = host.uppercased() }
            if random.once(in: 8) { host += "." }
            if random.once(in: 20) { host = "." + host }
            var path = path()
            if random.once(in: 4) { path += "/" }
            if random.once(in: 4) { path += "?/p/q" }
            #expect(table.rule(host, path) == naive.match(host, path), "\(host) \(path)")
        }
    }

    @Test func tenThousandHosts() {
        let rules =
            (0..<10_000).map { rule("host-\($0).company.com", pool: Int32($0)) } + [rule("*.company.com", pool: -2)]
        let table = HostTable(rules)
        for index in 0..<10_000 where table.rule("host-\(index).company.com", "/x")?.targets[0].pool != Int32(index) {
            Issue.record("host \(index)")
        }
        #expect(table.rule("host-10000.company.com", "/")?.targets[0].pool == -2)
        #expect(table.rule("host-1.company.org", "/") == nil)
    }
}

extension HostTable {
    fileprivate func pool(rule: Int, random: UInt64) -> Int32 { choose(rule: rule, turn: random)?.pool ?? -1 }
}

@Suite struct RouteWeightTests {
    private func pools(_ weights: [Int32], draws: Int = 20_000) -> [Int32: Int] {
        let targets = weights.enumerated().map { HostTable.Target(pool: Int32($0), weight: $1) }
        let table = HostTable([HostTable.Rule(host: .any, path: "/", targets: targets)])
        var random = SeededRandom(seed: 4)
        var counts: [Int32: Int] = [:]
        for _ in 0..<draws { counts[table.pool(rule: 0, random: random.next()), default: 0] += 1 }
        return counts
    }

    @Test func sharesFollowTheWeights() {
        let counts = pools([75, 25])
        #expect(abs(counts[0]! - 15_000) < 600 && abs(counts[1]! - 5_000) < 600)
        #expect(Set(pools([100, 0, 100]).keys) == [0, 2])
        #expect(pools([1]) == [0: 20_000])
    }

    @Test func weightZeroTakesNothing() {
        #expect(pools([0, 0]) == [-1: 20_000])
        #expect(pools([0]) == [-1: 20_000], "alone as well as among others")
        #expect(pools([]) == [-1: 20_000])
    }

    @Test func hugeAndNegativeWeightsDoNotTrap() {
        #expect(Set(pools([.max, .max, .max]).keys) == [0, 1, 2])
        #expect(Set(pools([.min, 5, -5]).keys) == [1])
    }

    @Test func everyRandomNumberChooses() {
        let targets = [HostTable.Target(pool: 1, weight: 1), HostTable.Target(pool: 2, weight: 2)]
        let table = HostTable([HostTable.Rule(host: .any, path: "/", targets: targets)])
        for random in [0, 1, .max, .max - 1, 1 << 63, 1 << 33, (1 << 33) - 1] as [UInt64] {
            #expect((1...2).contains(table.pool(rule: 0, random: random)))
        }
    }
}
