import Testing

/// Routes over TLS: redirects to it, Strict-Transport-Security, routes for TLS alone, cookies.
@Suite struct SecureRouteTests {
    private static let host = "bank.example"

    @Test func plainRequestsAreSentToTLSAndServedThere() throws {
        let bank = try HTTPInstance("bank")
        let (open, closed) = (try HTTPInstance("open"), try HTTPInstance("closed"))
        let secure = try SecureMesh(Catalogue([])) { try OpenSSL.pair($0, "bank", [Self.host, "both.example"]) }
        let option = "mesh.routing.port_8080."
        let catalogue = Catalogue([
            Catalogue.Service.web("bank", Self.host, [bank]).label(option + "redirect", "https:\(secure.port)")
                .label(option + "hsts", "31536000; includeSubDomains").label("mesh.routing.session_sticky", "true"),
            .web("open", "both.example", [open]), .web("closed", "https://both.example", [closed]),
        ])
        try secure.mesh.write(catalogue)
        // Both workers: one of them may be a little behind.
        try eventually("the routes are there") {
            try (0..<16).allSatisfy { _ in try secure.mesh.get(Self.host).status == 301 }
        }
        let plain = try secure.mesh.get(Self.host, "/in?x=1")
        try demandEqual(plain.head["Location"], "https://\(Self.host):\(secure.port)/in?x=1", "to where")
        try demandEqual(plain.head["Strict-Transport-Security"], nil, "not in clear (RFC 6797 section 7.2)")

        let followed = try Tool.curl(
            [
                "-kLi", "--resolve", "\(Self.host):\(secure.port):127.0.0.1", "--resolve",
                "\(Self.host):\(secure.mesh.http):127.0.0.1", "http://\(Self.host):\(secure.mesh.http)/in?x=1",
            ], in: secure.scratch
        ).output.lowercased()
        for part in ["301 ", "200 ", "strict-transport-security: max-age=31536000; includesubdomains", "; secure"] {
            try demand(followed.contains(part), "no '\(part)' in \(followed)")
        }
        try demandEqual(bank.requests.map(\.target), ["/in?x=1"], "what the instance saw")

        try demandEqual(try secure.mesh.get("both.example").text, "open", "in clear")
        try demandEqual(try secure.curl("both.example").output, "closed", "over TLS")
        let explained = try secure.mesh.run(["explain", "https://both.example/", "--admin", secure.mesh.admin]).output
        try demand(explained.contains("service   closed,"), explained)
    }
}
