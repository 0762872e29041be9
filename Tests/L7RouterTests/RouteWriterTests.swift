import HTTPCodec
import MeshCore
import NetAddress
import Testing

@testable import L7Router

/// What routes make of heads: rewritten paths, redirects, cookies.
@Suite struct RouteWriterTests {
    private static let origin = RequestOrigin(peer: .loopbackV4, port: 80)

    private static func written(_ write: (inout HeadWriter) -> Void) -> String {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { space in
            var writer = HeadWriter(space.baseAddress!, capacity: space.count)
            write(&writer)
            #expect(!writer.hasOverflowed)
            return String(decoding: space[..<writer.count], as: UTF8.self)
        }
    }

    /// Calls `body` with the parsed request for `target` and the action of a route with this transform.
    private func with<R>(
        _ target: String, _ transform: RouteTransform, method: String = "GET",
        _ body: (RequestHead, inout FieldTable, UnsafeRawPointer, RouteAction) -> R
    ) throws -> R {
        let table = HostTable([
            RouteRule(host: .any, path: "/", targets: [RuleTarget(pool: 0, weight: 1, transform: transform)])
        ])
        let choice = try #require(table.choose(rule: 0, turn: 0))
        let action = try #require(table.action(choice))
        var fields = FieldTable()
        defer { fields.deallocate() }
        var head = RequestHead()
        return Array("\(method) \(target) HTTP/1.1\r\nHost: shop.com:81\r\n\r\n".utf8).withUnsafeBytes { raw in
            #expect(head.parse(raw, limits: MessageLimits(), fields: &fields) == .complete(raw.count))
            return body(head, &fields, raw.baseAddress!, action)
        }
    }

    @Test(arguments: [
        ("/cart/1?x=/cart", "/1?x=/cart"), ("/cart", "/"), ("/cart/", "/"), ("/cart?x", "/?x"),
        ("/cartoon", "/cartoon"), ("http://shop.com/cart/1", "/1"), ("http://shop.com", "/"), ("/", "/"),
        ("/cart//evil.com", "//evil.com"),
    ])
    func aPrefixIsTakenOff(target: String, expected: String) throws {
        try check(target, RouteTransform(stripPrefix: "/cart"), expected)
    }

    @Test(arguments: [
        ("/cart/1?x", "/v2/1?x"), ("/cart", "/v2"), ("/cart?x", "/v2?x"), ("/other", "/v2/other"),
    ])
    func aPrefixIsReplaced(target: String, expected: String) throws {
        try check(target, RouteTransform(stripPrefix: "/cart", insertPrefix: "/v2"), expected)
    }

    private func check(_ target: String, _ transform: RouteTransform, _ expected: String) throws {
        let text = try with(target, transform) { head, fields, base, action in
            var random = RandomBits(seed: (1, 2, 3, 4))
            return Self.written { _ = $0.appendRequest(head, &fields, from: base, Self.origin, &random, action) }
        }
        #expect(text.hasPrefix("GET \(expected) HTTP/1.1\r\n"), "\(text)")
    }

    @Test func whatIsAboutTheServerIsNotRewritten() throws {
        let text = try with("*", RouteTransform(insertPrefix: "/v2"), method: "OPTIONS") { head, fields, base, action in
            var random = RandomBits(seed: (1, 2, 3, 4))
            return Self.written { _ = $0.appendRequest(head, &fields, from: base, Self.origin, &random, action) }
        }
        #expect(text.hasPrefix("OPTIONS * HTTP/1.1\r\n"))
    }

    @Test(arguments: [
        (RouteRedirect(.https(port: 443)), "/a?b", "https://shop.com/a?b"),
        (RouteRedirect(.https(port: 8443)), "/", "https://shop.com:8443/"),
        (RouteRedirect(.https(port: 443)), "http://other.com", "https://other.com/"),
        (RouteRedirect(.location("https://new.com/")), "/a?b", "https://new.com/"),
        (RouteRedirect(.locationWithTarget("https://new.com/x/")), "/a?b", "https://new.com/x/a?b"),
        (RouteRedirect(.locationWithTarget("/new/")), "//evil.com/", "/new//evil.com/"),
    ])
    func redirects(redirect: RouteRedirect, target: String, location: String) throws {
        let text = try with(target, RouteTransform(redirect: redirect)) { head, _, base, action in
            Self.written {
                guard let redirect = action.redirect else { return }
                $0.appendRedirect(redirect, status: 308, head, from: base, closes: true, policy: nil)
            }
        }
        #expect(
            text == "HTTP/1.1 308 Permanent Redirect\r\nLocation: \(location)\r\nContent-Length: 0\r\n"
                + "Connection: close\r\n\r\n")
    }

    @Test func transportSecurityIsTold() throws {
        let policy = TransportSecurity(maxAge: 600, includesSubdomains: true, isPreloaded: true)
        let line = "Strict-Transport-Security: max-age=600; includeSubDomains; preload\r\n"
        #expect(Self.written { $0.append(policy) } == line)
        let transform = RouteTransform(redirect: RouteRedirect(.location("/x"), status: 301))
        let text = try with("/", transform) { head, _, base, action in
            #expect(action.redirectStatus == 301)
            return Self.written {
                guard let redirect = action.redirect else { return }
                $0.appendRedirect(redirect, status: 301, head, from: base, closes: false, policy: policy)
            }
        }
        #expect(text.hasSuffix("\r\n\(line)\r\n"), "\(text)")
    }

    @Test func aCookieIsOpaqueAndTheClientsOwn() {
        let ticket = SessionTicket(service: 0xab, instance: 0x12, issued: 1_800_000_000, seen: 1_800_000_000)
        let plain = Self.written { $0.append(ticket, .none, isSecure: false) }
        #expect(plain.hasPrefix("Set-Cookie: mesh-000000ab=6b49d2006b49d2000000000000000012"))
        #expect(plain.hasSuffix("; Path=/; Max-Age=1800; HttpOnly; SameSite=Lax\r\n"))
        let secure = Self.written { $0.append(ticket, .none, isSecure: true) }
        #expect(secure.hasSuffix("; HttpOnly; SameSite=Lax; Secure\r\n"))
    }
}
