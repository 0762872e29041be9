import JSONCodec
import TestSupport
import Testing

@testable import Registry

/// As etcd 3.4.23 answered, header numbers shortened.
private let header = #""header":{"cluster_id":"32","member_id":"33","revision":"3","raft_term":"2"}"#

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct EtcdMessagesTests {
    @Test func pages() throws {
        let empty = try EtcdAnswer.page(JSONValue.parse("{\(header)}"))
        #expect(empty == EtcdPage(cluster: "32", revision: 3, pairs: [], lastKey: [], hasMore: false))
        let text = """
            {\(header),"kvs":[{"key":"L21lc2gvc2VydmljZXMvYQ==","create_revision":"2","mod_revision":"3",\
            "version":"1","value":"e30="}],"more":true,"count":"2"}
            """
        let page = try EtcdAnswer.page(JSONValue.parse(text))
        #expect(page.hasMore)
        #expect(page.lastKey == bytes("/mesh/services/a"))
        #expect(
            page.pairs == [
                EtcdKeyValue(key: "/mesh/services/a", value: bytes("{}"), createRevision: 2, modRevision: 3)
            ])
    }

    @Test func watchAnswers() throws {
        let created = try EtcdAnswer.watch(bytes("{\"result\":{\(header),\"created\":true}}"))
        #expect(created == EtcdWatchAnswer(cluster: "32", revision: 3, isCreated: true))
        let events = """
            {"result":{\(header),"events":[{"kv":{"key":"YQ==","create_revision":"2","mod_revision":"2",\
            "version":"1","value":"e30="}},{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"3"}}]}}
            """
        let answer = try EtcdAnswer.watch(bytes(events))
        #expect(
            answer.changes == [
                .put(EtcdKeyValue(key: "a", value: bytes("{}"), createRevision: 2, modRevision: 2)),
                .delete(key: "a", modRevision: 3),
            ])
        let compacted = try EtcdAnswer.watch(
            bytes(#"{"result":{"header":{"cluster_id":"32"},"canceled":true,"compact_revision":"3"}}"#))
        #expect((compacted.isCancelled, compacted.compactRevision, compacted.revision) == (true, 3, 0))
    }

    @Test func refusals() {
        func failure(_ status: Int, _ body: String) -> EtcdFailure? {
            do throws(EtcdFailure) {
                _ = try EtcdAnswer.value(status: status, bytes(body))
                return nil
            } catch {
                return error
            }
        }
        let compacted = "etcdserver: mvcc: required revision has been compacted"
        #expect(
            failure(400, "{\"error\":\"\(compacted)\",\"message\":\"\(compacted)\",\"code\":11}")?.isCompacted == true)
        let lease = failure(404, #"{"error":"etcdserver: requested lease not found","code":5}"#)
        #expect(lease?.isLeaseGone == true)
        #expect(failure(401, #"{"error":"etcdserver: invalid auth token","code":16}"#)?.isUnauthenticated == true)
        #expect(failure(404, "Not Found\n")?.description.contains("3.4") == true)
        #expect(failure(200, "{") == .malformed("byte 1: ends where a name in quotes was expected"))
        #expect(failure(200, "{}") == nil)
        #expect(EtcdFailure.refused(code: 1, message: "a\u{1b}[31m").description == "a?[31m")
    }

    @Test func requests() throws {
        #expect(EtcdRequest.end("/mesh/") == bytes("/mesh0"))
        let range = try JSONValue.parse(
            EtcdRequest.range(from: bytes("/m/a\u{0}"), prefix: "/m/", revision: 7, limit: 9))
        #expect(range["key"]?.text.flatMap(Base64.decode) == bytes("/m/a\u{0}"))
        #expect(range["range_end"]?.text.flatMap(Base64.decode) == bytes("/m0"))
        #expect((range["revision"]?.integer, range["limit"]?.integer) == (7, 9))
        let watch = try JSONValue.parse(EtcdRequest.watch(first: bytes("/m/alive0"), prefix: "/m/", from: 8))[
            "create_request"]
        #expect(watch?["start_revision"]?.integer == 8)
        #expect((watch?["progress_notify"]?.bool, watch?["fragment"]?.bool) == (true, true))
        let login = try JSONValue.parse(EtcdRequest.authenticate("a\"b", "p\\w"))
        #expect((login["name"]?.text, login["password"]?.text) == ("a\"b", "p\\w"))
        let write = try JSONValue.parse(
            EtcdRequest.write(puts: [("/m/a", bytes("{}"))], lease: 77, deletes: ["/m/b"]))
        #expect(write["success"]?.items?.count == 2)
        #expect(write["success"]?.items?.first?["request_put"]?["lease"]?.integer == 77)
    }

    private static let seeds = [
        "{\(header),\"kvs\":[{\"key\":\"YQ==\",\"mod_revision\":\"2\",\"value\":\"e30=\"}],\"more\":true}",
        "{\"result\":{\(header),\"events\":[{\"type\":\"DELETE\",\"kv\":{\"key\":\"YQ==\",\"mod_revision\":\"3\"}}]}}",
        #"{"result":{"header":{"cluster_id":"32"},"canceled":true,"compact_revision":"3"}}"#,
    ]

    @Test(arguments: 0..<20)
    func survivesMutations(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<300 {
            let input = bytes(random.element(of: Self.seeds))
            let mutated = random.mutate(
                input, crossedWith: bytes(random.element(of: Self.seeds)), interesting: bytes("{}[]\",:0=-e"))
            _ = try? EtcdAnswer.watch(mutated)
            if let value = try? JSONValue.parse(mutated) { _ = try? EtcdAnswer.page(value) }
        }
    }
}

@Suite struct EtcdURLTests {
    private func url(_ text: String) throws -> EtcdURL {
        guard case .etcd(let url) = try RegistryURL(text) else { throw RegistryURL.Problem(message: "not etcd") }
        return url
    }

    @Test(arguments: [
        ("etcd://127.0.0.1:2379/mesh", "etcd://127.0.0.1:2379/mesh"), ("etcd://h", "etcd://h:2379/mesh"),
        ("etcd://a:1,B:2,[::1]:3/x/y/", "etcd://a:1,b:2,[::1]:3/x/y"), ("ETCD://[::1]", "etcd://[::1]:2379/mesh"),
        ("etcd://me:s%3A%40cret@h:1/m", "etcd://me@h:1/m"), ("etcds://h", "etcds://h:2379/mesh"),
        ("etcds://me@a:1,[::1]:2/m?ca=/a.pem&cert=c&key=k&password-env=P", "etcds://me@a:1,[::1]:2/m"),
    ])
    func taken(text: String, shown: String) throws { #expect(try url(text).description == shown) }

    @Test func parts() throws {
        let url = try url("etcd://me:s%3A%40cr:et@h:1/m")
        #expect((url.user, url.prefix) == ("me", "/m"))
        #expect(url.password == .text("s:@cr:et"))
        #expect(url.endpoints.map(\.port) == [1])
        #expect(url.tls == nil)
        #expect(try self.url("etcd://me@h").password == nil)
        #expect(try self.url("etcd://me@h?password-file=/run/p%20w").password == .file(path: "/run/p w"))
    }

    @Test func parametersOfTLS() throws {
        let url = try url("etcds://h/m?ca=a%26b&cert=c&key=k&server-name=Etcd.Internal")
        #expect((url.prefix, url.tls?.authorities, url.tls?.certificate) == ("/m", "a&b", "c"))
        #expect((url.tls?.key, url.tls?.serverName) == ("k", "etcd.internal"))
        let bare = try self.url("etcds://h?")
        #expect((bare.tls?.authorities, bare.tls?.certificate, bare.tls?.serverName) == (nil, nil, nil))
    }

    @Test func passwordsAreRead() throws {
        #expect(try RegistryPassword.text("a").read() == "a")
        #expect(throws: TextFault("password-env MESHD_TEST_NONE is not set")) {
            try RegistryPassword.environment(name: "MESHD_TEST_NONE").read()
        }
        #expect(throws: TextFault("password-file /nowhere/p: No such file or directory")) {
            try RegistryPassword.file(path: "/nowhere/p").read()
        }
    }

    @Test(arguments: [
        "etcd:", "etcd:h", "etcd:/h", "etcd://", "etcd:///mesh", "etcd://a,,b", "etcd://h:0", "etcd://h:99999",
        "etcd://h:x",
        "etcd://@h", "etcd://a%2@h", "etcd://a%zz@h", "etcd://a%0a@h", "etcd://h/a b", "etcd://h/a//b", "etcd://h!/m",
        "etcd://" + Array(repeating: "h", count: 17).joined(separator: ","), "etcd://h?ca=x", "etcds://h?key=k",
        "etcds://h?ca", "etcds://h?ca=", "etcds://h?ca=a&ca=b", "etcds://h?nonsense=1", "etcds://h?server-name=a/b",
        "etcds://h?ca=%0a", "etcd://h?password-env=P", "etcd://me:p@h?password-env=P",
        "etcd://me@h?password-env=P&password-file=F",
    ])
    func refused(text: String) { #expect(throws: RegistryURL.Problem.self) { try RegistryURL(text) } }
}
