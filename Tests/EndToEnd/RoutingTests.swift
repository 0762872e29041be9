import Testing

/// Which service a request on the web listener reaches.
@Suite struct RoutingTests {
    /// Starts one instance a service and asks each (host, path) for the service that answers.
    private func expect(
        _ services: [(name: String, routes: String)], _ cases: [(host: String, path: String, service: String)]
    ) throws {
        let instances = try services.map { try HTTPInstance($0.name) }
        let catalogue = Catalogue(zip(services, instances).map { .web($0.name, $0.routes, [$1]) })
        try withMesh(catalogue) { mesh in
            for wanted in cases {
                let response = try mesh.get(wanted.host, wanted.path)
                let got = response.status == 200 ? response.text : String(response.status)
                try demandEqual(got, wanted.service, "\(wanted.host)\(wanted.path)")
            }
        }
    }

    @Test func exactHostReachesItsService() throws {
        try expect(
            [("shop", "shopping.company.com"), ("pay", "payment.company.com")],
            [
                ("shopping.company.com", "/", "shop"), ("payment.company.com", "/cart?x=1", "pay"),
                ("SHOPPING.Company.COM", "/", "shop"), ("payment.company.com:8080", "/", "pay"),
            ])
    }

    @Test func wildcardHostTakesNamesBelowItOnly() throws {
        try expect(
            [("wild", "*.company.com")],
            [
                ("a.company.com", "/", "wild"), ("a.b.company.com", "/", "wild"), ("company.com", "/", "404"),
                ("acompany.com", "/", "404"), ("a.company.com.evil.org", "/", "404"),
            ])
    }

    @Test func mostSpecificHostWins() throws {
        try expect(
            [
                ("any", "*"), ("short", "*.company.com"), ("long", "*.eu.company.com"), ("exact", "x.eu.company.com"),
            ],
            [
                ("x.eu.company.com", "/", "exact"), ("y.eu.company.com", "/", "long"), ("y.company.com", "/", "short"),
                ("other.org", "/", "any"), ("z.x.eu.company.com", "/", "long"),
            ])
    }

    @Test func pathPrefixesMatchWholeSegmentsAndTheLongestWins() throws {
        try expect(
            [("root", "shop.example"), ("cart", "shop.example/cart"), ("items", "shop.example/cart/items")],
            [
                ("shop.example", "/", "root"), ("shop.example", "/cart", "cart"), ("shop.example", "/cart/", "cart"),
                ("shop.example", "/cart/1", "cart"), ("shop.example", "/cartoon", "root"),
                ("shop.example", "/cart?a=/cart/items", "cart"), ("shop.example", "/cart/items", "items"),
                ("shop.example", "/cart/items/9", "items"), ("shop.example", "/cart/itemsnot", "cart"),
            ])
    }

    @Test func aPathWithoutARouteIsNotFound() throws {
        try expect(
            [("cart", "shop.example/cart")], [("shop.example", "/cart/1", "cart"), ("shop.example", "/other", "404")])
    }

    @Test func wildcardServesPathsTheExactHostHasNoRouteFor() throws {
        try expect(
            [("exact", "a.company.com/only"), ("wild", "*.company.com")],
            [("a.company.com", "/only/x", "exact"), ("b.company.com", "/only/x", "wild")])
    }

    @Test func unknownHostIsNotFoundWithAReason() throws {
        let instance = try HTTPInstance("shop")
        try withMesh(Catalogue([.web("shop", "shop.example", [instance])])) { mesh in
            let response = try mesh.get("nobody.example")
            try demandEqual(response.status, 404, "status")
            try demand(
                response.isMade(because: ProxyError.unknownHost), "Proxy-Status \(response.proxyStatus ?? "none")")
            try demandEqual(instance.requests.count, 0, "requests at the instance")
        }
    }

    @Test func domainPrefixIsCompletedByTheRoutingDomain() throws {
        let instance = try HTTPInstance("wordpress")
        let catalogue = Catalogue([.web("blog", "http://wordpress", [instance])])
        try withMesh(catalogue, .init(["--routing-domain", "cluster.example"])) { mesh in
            try demandEqual(try mesh.get("wordpress.cluster.example").text, "wordpress", "completed name")
        }
        try withMesh(catalogue) { mesh in
            try demandEqual(try mesh.get("wordpress").text, "wordpress", "bare name without a routing domain")
        }
    }

    @Test func localNamesAreNotServedOnThePublicListener() throws {
        let instance = try HTTPInstance("rest")
        try withMesh(Catalogue([.web("rest", "restserver.local", [instance])])) { mesh in
            try demandEqual(try mesh.get("restserver.local").status, 404, "status on the web listener")
            let inside = try HTTPTestClient.once(8080, try mesh.vip("rest"), host: "restserver.local")
            try demandEqual(inside.text, "rest", "over the VIP")
        }
    }

    @Test func aServiceWithoutInstancesIsUnavailable() throws {
        try withMesh(Catalogue([.web("empty", "empty.example", [])])) { mesh in
            let response = try mesh.get("empty.example")
            try demandEqual(response.status, 503, "status")
            try demand(
                response.isMade(because: ProxyError.unavailable), "Proxy-Status \(response.proxyStatus ?? "none")")
        }
    }

    @Test func requestsAreSharedByAllInstances() throws {
        let instances = try ["a", "b", "c"].map { try HTTPInstance($0) }
        try withMesh(Catalogue([.web("shop", "shop.example", instances)])) { mesh in
            let client = try mesh.client()
            for _ in 0..<30 { _ = try client.exchange(host: "shop.example") }
            for instance in instances {
                try demand(instance.requests.count >= 5, "\(instance.name) got \(instance.requests.count) of 30")
            }
        }
    }

    @Test func servicesOfOneRouteShareIt() throws {
        let blue = try HTTPInstance("blue")
        let green = try HTTPInstance("green")
        let catalogue = Catalogue([
            Catalogue.Service.web("blue", "app.example", [blue]), .web("green", "app.example", [green]),
        ])
        try withMesh(catalogue) { mesh in
            let client = try mesh.client()
            for _ in 0..<40 { try demandEqual(try client.exchange(host: "app.example").status, 200, "status") }
            try demand(blue.requests.count >= 5 && green.requests.count >= 5, "\(blue.requests.count) to blue of 40")
        }
    }
}
