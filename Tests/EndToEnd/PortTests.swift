import Glibc
import Testing

/// VIPs, published ports, translated ports and external services.
@Suite struct PortTests {
    private static func echo() throws -> TCPInstance { try TCPInstance(serve: Relay.echo) }

    @Test func httpVIPServesItsServiceWhateverTheHost() throws {
        let shop = try HTTPInstance("shop")
        let other = try HTTPInstance("other")
        let catalogue = Catalogue([.web("shop", "shop.example", [shop]), .web("other", "other.example", [other])])
        try withMesh(catalogue) { mesh in
            let vip = try mesh.vip("shop")
            for host in ["shop.example", "other.example", "nobody", vip] {
                let response = try HTTPTestClient.once(8080, vip, "GET", "/any/path", host: host)
                try demandEqual(response.text, "shop", "over the VIP with Host \(host)")
            }
        }
    }

    @Test func httpVIPSpreadsOneConnectionOverInstances() throws {
        let instances = try ["a", "b"].map { try HTTPInstance($0) }
        try withMesh(Catalogue([.web("shop", "shop.example", instances)])) { mesh in
            let client = try HTTPTestClient(8080, try mesh.vip("shop"))
            for _ in 0..<20 { _ = try client.exchange(host: "x") }
            for instance in instances { try demand(instance.requests.count >= 4, "\(instance.requests.count) of 20") }
        }
    }

    @Test func tcpVIPRelays() throws {
        let instance = try Self.echo()
        try withMesh(Catalogue([.tcp("echo", [instance])])) { mesh in
            try Relay.checkEcho(try Connection.open(7000, try mesh.vip("echo")))
        }
    }

    @Test func vipProtocolLabelTurnsAnHTTPRouteIntoARelay() throws {
        let instance = try HTTPInstance("shop")
        let service = Catalogue.Service.web("shop", "shop.example", [instance]).label("mesh.vip.8080.protocol", "tcp")
        try withMesh(Catalogue([service])) { mesh in
            _ = try HTTPTestClient.once(8080, try mesh.vip("shop"), host: "shop.example")
            let head = try #require(instance.requests.first?.head)
            try demand(head["X-Forwarded-For"] == nil, "a relay adds nothing: \(head.fields)")
        }
    }

    @Test func publishedPortIsRelayed() throws {
        let instance = try HTTPInstance("shop")
        let port = FreePort.take()
        let service = Catalogue.Service.web("shop", "shop.example", [instance]).publishing(port, to: 8080)
        try withMesh(Catalogue([service])) { mesh in
            let response = try HTTPTestClient.once(port, host: "whatever")
            try demandEqual(response.text, "shop", "answer")
            let head = try #require(instance.requests.first?.head)
            try demand(head["X-Forwarded-For"] == nil, "a relay adds nothing: \(head.fields)")
        }
    }

    @Test func publishedPortWithHTTPProtocolIsServedAsHTTP() throws {
        let instance = try HTTPInstance("shop")
        let port = FreePort.take()
        let service = Catalogue.Service.web("shop", "shop.example", [instance]).publishing(port, to: 8080)
            .label("mesh.publish.\(port).protocol", "http")
        try withMesh(Catalogue([service])) { mesh in
            let response = try HTTPTestClient.once(port, host: "whatever")
            try demandEqual(response.text, "shop", "answer")
            let head = try #require(instance.requests.first?.head)
            try demandEqual(head["X-Forwarded-For"], "127.0.0.1", "X-Forwarded-For")
        }
    }

    @Test func containerPortsAreTranslatedPerInstance() throws {
        let web = try HTTPInstance("web")
        let admin = try HTTPInstance("admin")
        let service = Catalogue.Service(
            name: "app",
            labels: [
                ("aliyun.routing.port_8080", "web.example"), ("aliyun.routing.port_9090", "admin.example"),
            ],
            instances: ["{address: 127.0.0.1, ports: {8080: \(web.port), 9090: \(admin.port)}}"])
        try withMesh(Catalogue([service])) { mesh in
            try demandEqual(try mesh.get("web.example").text, "web", "port 8080")
            try demandEqual(try mesh.get("admin.example").text, "admin", "port 9090")
            let vip = try mesh.vip("app")
            try demandEqual(try HTTPTestClient.once(9090, vip, host: "x").text, "admin", "VIP port 9090")
        }
    }

    @Test func instanceWithoutAPortIsReachedOnTheContainerPort() throws {
        let instance = try HTTPInstance("plain")
        let service = Catalogue.Service(
            name: "plain", labels: [("aliyun.routing.port_\(instance.port)", "plain.example")],
            instances: ["127.0.0.1"])
        try withMesh(Catalogue([service])) { mesh in
            try demandEqual(try mesh.get("plain.example").text, "plain", "answer")
        }
    }

    @Test func externalServiceIsReachedOverItsVIP() throws {
        let database = try Self.echo()
        let service = Catalogue.Service(name: "mysql", external: (host: "127.0.0.1", ports: [database.port]))
        try withMesh(Catalogue([service])) { mesh in
            try Relay.checkEcho(try Connection.open(database.port, try mesh.vip("mysql")))
        }
    }

    @Test func publishedPortInUseIsNamedAndHarmsNobodyElse() throws {
        let squatter = try Self.echo()
        let instance = try HTTPInstance("shop")
        let free = FreePort.take()
        let service = Catalogue.Service.web("shop", "shop.example", [instance])
            .publishing(squatter.port, to: 8080).publishing(free, to: 8080)
        try withMesh(Catalogue([service])) { mesh in
            try demandEqual(try mesh.get("shop.example").text, "shop", "web route")
            try demandEqual(try HTTPTestClient.once(free, host: "x").text, "shop", "the other published port")
            let status = try mesh.statusText()
            try demand(
                status.split(separator: "\n").contains { $0.contains("\(squatter.port)") && $0.contains("in use") },
                "status names the clash: \(status)")
        }
    }

    @Test func twoMeshesGiveTheSameVIPsWhateverTheOrder() throws {
        let services = (0..<12).map { Catalogue.Service(name: "service-\($0)", expose: ["7000"]) }
        func vips(_ services: [Catalogue.Service], _ octet: Int?) throws -> (octet: Int, vips: [String]) {
            var options = MeshProcess.Options()
            options.vipOctet = octet
            let mesh = try MeshProcess.started(text: Catalogue(services).text, options)
            let all = try (0..<12).map { try mesh.vip("service-\($0)") }
            mesh.child.signal(SIGTERM)
            _ = try mesh.child.waitExit()
            return (mesh.vipOctet, all)
        }
        let first = try vips(services, nil)
        let second = try vips(services.reversed(), first.octet)
        try demandEqual(second.vips, first.vips, "VIPs")
        try demandEqual(Set(first.vips).count, 12, "distinct VIPs")
    }
}
