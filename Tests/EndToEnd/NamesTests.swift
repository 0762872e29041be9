import Testing

/// The resolver.
@Suite struct NamesTests {
    private func withNames(_ body: (MeshProcess, DNSTestClient, [HTTPInstance]) throws -> Void) throws {
        let instances = try ["a", "b"].map { try HTTPInstance($0) }
        let catalogue = Catalogue([.web("rest", "restserver.local", instances)])
        try withMesh(catalogue) { mesh in try body(mesh, DNSTestClient(port: mesh.dns), instances) }
    }

    @Test func aliasResolvesToTheVIPOverUDPAndTCP() throws {
        try withNames { mesh, dns, _ in
            let vip = try mesh.vip("rest")
            for transport in [DNSTestClient.Transport.udp, .tcp] {
                let answer = try dns.query("restserver.local", DNSTestClient.a, transport)
                try demandEqual(answer.code, DNSTestClient.noError, "code over \(transport)")
                try demandEqual(answer.addresses, [vip], "address over \(transport)")
                try demand(answer.ttls.allSatisfy { $0 <= 60 }, "a short TTL: \(answer.ttls)")
            }
            try demandEqual(try dns.query("RestServer.LOCAL").addresses, [vip], "names have no case")
        }
    }

    @Test func clientReachesTheServiceByItsAliasAlone() throws {
        try withNames { _, dns, instances in
            let address = try #require(try dns.query("restserver.local").addresses.first)
            let response = try HTTPTestClient.once(8080, address, host: "restserver.local:8080")
            try demand(instances.contains { $0.name == response.text }, response.text)
        }
    }

    @Test func serviceNameResolvesToTheVIP() throws {
        try withNames { mesh, dns, _ in
            try demandEqual(try dns.query("rest").addresses, [try mesh.vip("rest")], "address")
        }
    }

    @Test func tasksNameResolvesToHealthyInstances() throws {
        let instances = try ["a", "b"].map { try HTTPInstance($0) }
        let service = Catalogue.Service(
            name: "rest", labels: [("aliyun.routing.port_8080", "restserver.local")],
            instances: [
                "{address: 127.0.0.1, ports: {8080: \(instances[0].port)}}",
                "{address: 127.0.0.2, ports: {8080: \(instances[1].port)}}",
            ])
        try withMesh(Catalogue([service])) { mesh in
            let answer = try DNSTestClient(port: mesh.dns).query("tasks.rest")
            try demandEqual(answer.addresses.sorted(), ["127.0.0.1", "127.0.0.2"], "addresses")
        }
    }

    @Test func unknownLocalNameDoesNotExist() throws {
        try withNames { _, dns, _ in
            let answer = try dns.query("nobody.local")
            try demandEqual(answer.code, DNSTestClient.nameError, "code")
            try demand(answer.authorityTypes.contains(DNSTestClient.soa), "SOA in \(answer.authorityTypes)")
        }
    }

    @Test func knownNameWithoutSuchARecordHasNoData() throws {
        try withNames { _, dns, _ in
            let answer = try dns.query("restserver.local", DNSTestClient.aaaa)
            try demandEqual(answer.code, DNSTestClient.noError, "code")
            try demandEqual(answer.answerCount, 0, "answers")
            try demand(answer.authorityTypes.contains(DNSTestClient.soa), "SOA in \(answer.authorityTypes)")
        }
    }

    @Test func foreignNameIsRefusedWithoutUpstreams() throws {
        try withNames { _, dns, _ in
            try demandEqual(try dns.query("www.example.org").code, DNSTestClient.refused, "code")
        }
    }

    @Test func removedServiceLosesItsName() throws {
        try withNames { mesh, dns, _ in
            try mesh.write(Catalogue([]))
            try eventually("the name is gone") {
                try dns.query("restserver.local").code == DNSTestClient.nameError
            }
        }
    }

    @Test func unspecifiedIPv6AddressServesBothFamiliesFromTheAddressAsked() throws {
        let instance = try HTTPInstance("a")
        var options = MeshProcess.Options()
        options.dnsAddress = "[::]"
        try withMesh(Catalogue([.web("rest", "restserver.local", [instance])]), options) { mesh in
            let vip = try mesh.vip("rest")
            // A connected socket hears only the address it asked, so 127.0.0.5 shows where the answer comes from.
            for address in ["127.0.0.1", "127.0.0.5", "::1"] {
                for transport in [DNSTestClient.Transport.udp, .tcp] {
                    let client = DNSTestClient(port: mesh.dns, address: address)
                    let answer = try client.query("restserver.local", DNSTestClient.a, transport)
                    try demandEqual(answer.addresses, [vip], "\(transport) at \(address)")
                }
            }
        }
    }

    @Test func refusedEDNSVersionsAreCounted() throws {
        try withNames { mesh, dns, _ in
            try demand(try dns.hasAnswer(toEDNSVersion: 1), "an answer")
            try demandEqual(try mesh.metric("meshd_dns_answers_total", "code=\"BADVERS\""), 1, "BADVERS")
            for name in ["forward_failures", "foreign_replies", "clients_closed"] {
                try demandEqual(try mesh.metric("meshd_dns_\(name)_total"), 0, name)
            }
        }
    }
}
