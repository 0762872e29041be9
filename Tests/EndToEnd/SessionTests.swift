import Testing

/// Sticky sessions and shares of routes, on the built binary.
@Suite struct SessionTests {
    private static let host = "app.example"
    private static let secret = ["--session-secret", "a secret of all nodes"]

    private func sticky(_ name: String, _ instances: [HTTPInstance], weight: Int = 100) -> Catalogue.Service {
        Catalogue.Service.web(name, Self.host, instances).label("aliyun.routing.session_sticky", "true")
            .label("aliyun.routing.weight", "\(weight)")
    }

    /// The `NAME=VALUE` of the answer's cookie.
    private func cookie(_ response: HTTPResponse) throws -> String {
        let field = try #require(response.head["Set-Cookie"], "no Set-Cookie")
        return String(field.prefix { $0 != ";" })
    }

    private func get(_ mesh: MeshProcess, _ cookies: String...) throws -> HTTPResponse {
        let response = try mesh.get(Self.host, "/", cookies.map { ("Cookie", $0) })
        try demandEqual(response.status, 200, "status")
        return response
    }

    @Test func aClientMeetsItsInstanceAgainOnEveryWorkerAndNode() throws {
        let instances = try (1...4).map { try HTTPInstance("i\($0)") }
        let catalogue = Catalogue([sticky("web", instances)])
        try withMesh(catalogue, .init(Self.secret)) { mesh in
            try withMesh(catalogue, .init(Self.secret, workers: 1)) { other in
                let first = try get(mesh)
                let field = try #require(first.head["Set-Cookie"])
                for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Max-Age=1800"] {
                    try demand(field.contains(part), "no \(part) in \(field)")
                }
                try demand(!field.contains("Secure"), "not over TLS: \(field)")
                try demand(!field.contains("web") && !field.contains("127.0.0.1"), "opaque: \(field)")
                let cookie = try cookie(first)
                for _ in 0..<20 {
                    let again = try get(mesh, "theme=dark; \(cookie)")
                    try demandEqual(again.text, first.text, "the instance")
                    try demandEqual(again.head["Set-Cookie"], nil, "a young cookie is not written again")
                    try demandEqual(try get(other, "a=b", cookie).text, first.text, "the instance at the other node")
                }
            }
            try withMesh(catalogue, .init(["--session-secret", "another"])) { stranger in
                let seen = Set(try (0..<12).map { _ in try get(stranger, try cookie(try get(mesh))).text })
                try demand(seen.count > 1, "a cookie of another secret counts for nothing")
            }
        }
    }

    @Test func aDeadInstanceIsReplacedAndTheCookieRewritten() throws {
        let instances = try (1...3).map { try HTTPInstance("i\($0)") }
        try withMesh(Catalogue([sticky("web", instances)])) { mesh in
            let first = try get(mesh)
            let old = try cookie(first)
            let dead = try #require(instances.first { $0.name == first.text })
            dead.stop()
            let second = try get(mesh, old)
            try demand(second.text != first.text, "another instance answers")
            let new = try cookie(second)
            try demand(new != old, "the cookie is rewritten")
            for _ in 0..<10 { try demandEqual(try get(mesh, new).text, second.text, "and followed") }
            try dead.start()
            for _ in 0..<5 { try demandEqual(try get(mesh, new).text, second.text, "also when the first is back") }
        }
    }

    @Test func noInstanceSeesTheCookie() throws {
        let told: HTTPInstance.Behaviour = { exchange in
            try exchange.answer(text: exchange.head.values("Cookie").joined(separator: "|"))
            return .keep
        }
        let instance = try HTTPInstance("i1", told)
        let plain = Catalogue.Service.web("plain", "\(Self.host)/plain", [instance])
        try withMesh(Catalogue([sticky("web", [instance]), plain])) { mesh in
            let session = try cookie(try get(mesh))
            try demandEqual(try get(mesh, "theme=dark; \(session); a=b").text, "theme=dark; a=b", "among others")
            try demandEqual(try get(mesh, session).text, "", "alone")
            let other = try mesh.get(Self.host, "/plain", [("Cookie", "\(session); a=b")])
            try demandEqual(other.text, "a=b", "another service of the host")
            let http2 = try Tool.curl(
                [
                    "--http2-prior-knowledge", "-H", "Host: \(Self.host)", "-H", "Cookie: a=b; \(session)",
                    "http://127.0.0.1:\(mesh.http)/",
                ], in: mesh.directory.path)
            try demandEqual(http2.output, "a=b", "over HTTP/2")
        }
    }

    /// A request that a redirect was thought of for, but that is passed on, is told in full.
    @Test func otherCookiesArriveWhereThereAreRedirects() throws {
        let instance = try HTTPInstance("i1") { exchange in
            try exchange.answer(text: exchange.head.values("Cookie").joined(separator: "|"))
            return .keep
        }
        let flags = ["--redirect-https", "8443", "--access-log", "stdout"]
        try withMesh(Catalogue([sticky("web", [instance])]), .init(flags)) { mesh in
            let vip = try mesh.vip("web")
            let session = try cookie(try HTTPTestClient.once(8080, vip, host: Self.host))
            let cookies = [("Cookie", "theme=dark; \(session); a=b")]
            let answer = try HTTPTestClient.once(8080, vip, host: Self.host, cookies)
            try demandEqual(answer.text, "theme=dark; a=b", "cookies at the instance")
        }
    }

    @Test func forgedCookiesCountForNothing() throws {
        let instances = try (1...3).map { try HTTPInstance("i\($0)") }
        try withMesh(Catalogue([sticky("web", instances)]), .init(Self.secret)) { mesh in
            let good = try cookie(try get(mesh))
            let forged = [
                String(good.dropLast()) + (good.last == "0" ? "1" : "0"), good + "0", String(good.dropLast()),
                good.uppercased(), "mesh-00000000=", "mesh-", "=;=;;",
                String(repeating: "\(good.dropLast())x; ", count: 40),
            ]
            for cookie in forged {
                let new = try get(mesh, cookie).head["Set-Cookie"]
                try demand(new != nil, "a new cookie instead of \(cookie.prefix(80))")
            }
            let many = String(repeating: "a=b; ", count: 100) + good
            try demandEqual(try get(mesh, many).head["Set-Cookie"], nil, "found behind others")
        }
    }

    @Test func aStickyClientStaysWithItsServiceWhileThatHasAWeight() throws {
        let blue = try (1...2).map { try HTTPInstance("blue\($0)") }
        let green = try (1...2).map { try HTTPInstance("green\($0)") }
        var catalogue = Catalogue([sticky("blue", blue), sticky("green", green)])
        try withMesh(catalogue) { mesh in
            let first = try awaited("an answer of green") {
                let response = try get(mesh)
                return response.text.hasPrefix("green") ? response : nil
            }
            let old = try cookie(first)
            catalogue["green"] = sticky("green", green, weight: 1)
            try mesh.write(catalogue)
            try eventually("the weight is in force") { try mesh.adminGet("/weights").text.contains("green 1 2") }
            for _ in 0..<20 { try demandEqual(try get(mesh, old).text, first.text, "with a small weight") }
            catalogue["green"] = sticky("green", green, weight: 0)
            try mesh.write(catalogue)
            try eventually("weight 0 takes nothing") { try get(mesh, old).text.hasPrefix("blue") }
            try demand(try cookie(try get(mesh, old)) != old, "the client gets a new session")
        }
    }

    @Test func sessionsAreKeptOnAVIP() throws {
        let instances = try (1...3).map { try HTTPInstance("i\($0)") }
        try withMesh(Catalogue([sticky("web", instances)])) { mesh in
            let vip = try mesh.vip("web")
            let first = try HTTPTestClient.once(8080, vip, host: "web")
            let cookie = try cookie(first)
            for _ in 0..<10 {
                let again = try HTTPTestClient.once(8080, vip, host: "web", [("Cookie", cookie)])
                try demandEqual(again.text, first.text, "the instance")
            }
        }
    }
}

/// Semantics 1.3 under load.
@Suite struct ReleaseTests {
    private static let host = "app.example"

    private func service(_ name: String, _ instance: HTTPInstance, _ weight: Int) -> Catalogue.Service {
        Catalogue.Service.web(name, Self.host, [instance]).label("aliyun.routing.weight", "\(weight)")
    }

    @Test func weightsMoveTogetherUnderLoadWithoutALostRequest() throws {
        let (blue, green) = (try HTTPInstance("blue"), try HTTPInstance("green"))
        func catalogue(_ first: Int, _ second: Int) -> Catalogue {
            Catalogue([service("blue", blue, first), service("green", green, second)])
        }
        try withMesh(catalogue(100, 0)) { mesh in
            let load = LoadClient(.init(port: mesh.http, host: Self.host))
            try load.awaitSuccesses(50)
            try demandEqual(green.requests.count, 0, "weight 0 takes nothing")
            for (first, second) in [(0, 100), (100, 0), (0, 100), (100, 0), (50, 50), (0, 100)] {
                try mesh.write(catalogue(first, second))
                for (name, weight, instance) in [("blue", first, blue), ("green", second, green)] {
                    try eventually("\(name) \(weight)") {
                        try mesh.adminGet("/weights").text.contains("\(name) \(weight) 1")
                    }
                    try eventually("\(name) has its share, \(weight)") {
                        instance.forgetRequests()
                        try load.awaitSuccesses(30)
                        return instance.requests.isEmpty == (weight == 0)
                    }
                }
            }
            let outcome = try load.stop()
            try demand(outcome.failures.isEmpty, "\(outcome.failures.count) failed: \(outcome.failures.prefix(5))")
        }
    }

    @Test func sharesFollowTheWeights() throws {
        let (blue, green) = (try HTTPInstance("blue"), try HTTPInstance("green"))
        try withMesh(
            Catalogue([service("blue", blue, 75), service("green", green, 25)]), .init(workers: 1)
        ) { mesh in
            let client = try mesh.client()
            for _ in 0..<100 { _ = try client.exchange(host: Self.host) }
            try demand((73...77).contains(blue.requests.count), "\(blue.requests.count) of 100 to blue")
        }
    }

    @Test func aServiceWithoutAHealthyInstanceDoesNotTakeOver() throws {
        let (blue, green) = (try HTTPInstance("blue"), try HTTPInstance("green"))
        green.setProbeStatus(500)
        func catalogue(_ first: Int, _ second: Int) -> Catalogue {
            Catalogue([service("blue", blue, first), service("green", green, second).probed()])
        }
        try withMesh(catalogue(100, 0)) { mesh in
            try eventually("green is out") { InstanceState.isOut(try mesh.state(of: green.address)) }
            let path = mesh.directory.path + "/next.yaml"
            try TextFile.write(catalogue(0, 100).text, to: path)
            let refused = try mesh.run(["check", path, "--admin", mesh.admin])
            try demand(refused.status != 0, "check takes it: \(refused.output)")
            try demand(refused.errors.contains("services.green: weight 0 would become 100"), refused.errors)
            let load = LoadClient(.init(port: mesh.http, host: Self.host))
            try load.awaitSuccesses(20)
            try mesh.write(catalogue(0, 100))
            try eventually("status says why") {
                try mesh.statusText().contains("service green: weight 0 stays and does not become 100")
            }
            try demand(mesh.log.contains("does not become 100"), "the log says why")
            let explained = try mesh.run(["explain", "http://\(Self.host)/", "--admin", mesh.admin]).output
            try demand(explained.contains("waits for a healthy instance"), explained)
            try load.awaitSuccesses(20)
            try demandEqual(green.requests.count, 0, "requests to green")
            green.setProbeStatus(200)
            try eventually("green takes over") { try mesh.adminGet("/weights").text.contains("green 100 1") }
            try eventually("all goes to green") {
                blue.forgetRequests()
                try load.awaitSuccesses(20)
                return blue.requests.isEmpty
            }
            try demandEqual(try mesh.run(["check", path, "--admin", mesh.admin]).status, 0, "check takes it now")
            let outcome = try load.stop()
            try demand(outcome.failures.isEmpty, "\(outcome.failures.count) failed: \(outcome.failures.prefix(5))")
        }
    }

    @Test func checkRefusesAShareWithoutAnyInstance() throws {
        let blue = try HTTPInstance("blue")
        let directory = try TemporaryDirectory()
        var green = service("green", blue, 100)
        green.instances = []
        let path = directory.path + "/services.yaml"
        try TextFile.write(Catalogue([service("blue", blue, 0), green]).text, to: path)
        let result = try CommandResult.run(["check", path], files: directory.path + "/check")
        try demand(result.status != 0 && result.errors.contains("services.green: weight 100"), "\(result.lines)")
    }
}
