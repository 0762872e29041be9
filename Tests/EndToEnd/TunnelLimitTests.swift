import Testing

/// Tunnels to instances that speak HTTP/2 have connections of their own.
@Suite struct TunnelLimitTests {
    /// More tunnels at once than all connections of requests have streams.
    @Test(arguments: ["h1", "h2"]) func requestsDoNotWaitForTunnels(client: String) throws {
        try TunnelBench.with(.init(client: client, instance: "h2"), instance: ["streams=4"]) { bench in
            let go = bench.file("go")
            let many = try bench.start("many", "40 \(go)")
            try demandEqual(try many.firstLine(within: 30), "open", "first line")
            for _ in 0..<10 { try demandEqual(try bench.mesh.get(Web.host).text, "web\n", "a request") }
            try demandEqual(try bench.mesh.metric("meshd_upstream_connections"), 11, "connections")
            try TextFile.write("", to: go)
            try bench.finish(many)
            try demandEqual(try bench.mesh.metric("meshd_http2_tunnels_refused_total"), 0, "refused")
            try bench.nothingIsLeft()
        }
    }

    @Test func aTunnelBeyondTheLimitIsRefused() throws {
        try TunnelBench.with(.init(client: "h1", instance: "h2"), instance: ["streams=1"]) { bench in
            // The instance's limit becomes known: where it is not, a burst would use up its dials.
            try bench.run("echo")
            let go = bench.file("go")
            let many = try bench.start("many", "64 \(go)")
            try demandEqual(try many.firstLine(within: 30), "open", "first line")
            try bench.run("status", "/echo 503 connection_limit_reached")
            try demandEqual(try bench.mesh.metric("meshd_http2_tunnels_refused_total"), 1, "refused")
            try demandEqual(try bench.mesh.get(Web.host).text, "web\n", "a request")
            try TextFile.write("", to: go)
            try bench.finish(many)
            try bench.run("count")
            try bench.nothingIsLeft()
        }
    }
}
