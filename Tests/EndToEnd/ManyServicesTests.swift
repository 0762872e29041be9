import Testing

/// More services than one process can listen for, and limits that must not count what they are not about.
@Suite struct ManyServicesTests {
    private func catalogue(_ count: Int, _ instance: HTTPInstance) -> Catalogue {
        Catalogue((0..<count).map { .web("s\($0)", "s\($0).example", [instance]) })
    }

    /// Each VIP needs a descriptor and worker: where they are too many, half of the descriptors stay for connections.
    @Test func listenersLeaveDescriptorsForConnections() throws {
        let instance = try HTTPInstance("web")
        try withMesh(catalogue(80, instance), .init(descriptorLimit: 128)) { mesh in
            for number in [0, 40, 79] {
                try demandEqual(try mesh.get("s\(number).example").text, "web", "service \(number) by its host")
            }
            try demandEqual(
                try HTTPTestClient.once(80_80, try mesh.vip("s0"), host: "s0.example").text, "web", "VIP of the first")
            try eventually("status names the surplus") { try mesh.statusText().contains("descriptor limit") }
            let start = monotonicSeconds()
            try eventually("several attempts pass") { monotonicSeconds() - start > 1.5 }
            let warnings = mesh.log.split(separator: "\n").count { $0.contains("cannot listen") }
            try demand((1...4).contains(warnings), "\(warnings) warnings; an attempt that fails again is no news")
        }
    }

    /// `max-connections` counts clients, not listeners.
    @Test func fewConnectionsAllowedWithManyListeners() throws {
        let instance = try HTTPInstance("web")
        try withMesh(catalogue(30, instance), .init(["--max-connections", "4"])) { mesh in
            for number in 0..<30 {
                try demandEqual(try mesh.get("s\(number).example").text, "web", "request \(number)")
            }
            var clients = try (0..<16).map { _ in try mesh.client() }
            try eventually("no more than allowed are open") { try mesh.metric("meshd_http_connections") == 4 }
            for client in clients { client.close() }
            clients = []
            try eventually("it serves again") { (try? mesh.get("s1.example").text) == "web" }
        }
    }
}
