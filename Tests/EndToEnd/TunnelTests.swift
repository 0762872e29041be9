import Glibc
import Testing

/// WebSocket tunnels over HTTP/1.1 and HTTP/2 (RFC 8441) in every mix of the two sides.
@Suite struct TunnelTests {
    static let mixes = TunnelBench.Mix.all(["h1", "h2"])

    private func with(_ mix: TunnelBench.Mix, _ flags: [String] = [], _ body: (TunnelBench) throws -> Void) throws {
        try TunnelBench.with(mix, flags, body)
    }

    @Test(arguments: mixes) func bytesBothWays(mix: TunnelBench.Mix) throws {
        try with(mix) { bench in
            try bench.run("echo")
            try bench.run("count")
            try bench.run("bye")
            try bench.run("early")
            try bench.run("end_at_once")
            try eventually("the instance has it all: \(bench.endings)") { bench.endings.contains("/bye end 30000") }
            try demandEqual(try bench.mesh.metric("meshd_http_upgrades_total"), 5, "tunnels")
            try bench.nothingIsLeft()
        }
    }

    @Test(arguments: mixes) func refusalsArePassedOn(mix: TunnelBench.Mix) throws {
        try with(mix) { bench in
            try bench.run("refuse")
            try bench.run("status", "/fail 502 connection_terminated")
            if mix.client == "h2", mix.instance == "h1" {
                // Any success would tell the client that the tunnel stands.
                try bench.run("status", "/plain 502 http_upgrade_failed")
                try bench.run("status", "/accept 502 http_upgrade_failed")
            }
            try demandEqual(try bench.mesh.metric("meshd_http_upgrades_total"), 0, "tunnels")
            try bench.nothingIsLeft()
        }
    }

    @Test(arguments: ["h1", "h2"]) func neverAPlainRequest(client: String) throws {
        try with(.init(client: client, instance: "h2-none")) { bench in
            try bench.run("status", "/echo 502 http_upgrade_failed")
            try demandEqual(try bench.mesh.get(Web.host).text, "web\n", "plain requests are served")
            // The handshake that meshd answers itself has to be one.
            let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "short")]
            try demandEqual(try bench.mesh.get(Web.host, "/echo", fields).status, 400, "a malformed key")
            try demandEqual(try bench.mesh.get(Web.host, "/echo", Array(fields.prefix(2))).status, 400, "no key")
            // What is no WebSocket may be answered without an upgrade (RFC 9110 section 7.8).
            let other = [("Connection", "Upgrade"), ("Upgrade", "other/1")]
            try demandEqual(try bench.mesh.get(Web.host, "/", other).text, "web\n", "another protocol")
            try bench.nothingIsLeft()
        }
    }

    @Test(arguments: mixes) func resetsGoThrough(mix: TunnelBench.Mix) throws {
        try with(mix) { bench in
            try bench.run("broken")
            try bench.run("reset_open")
            try eventually("the instance hears of it: \(bench.endings)") {
                bench.endings.contains { $0.hasPrefix("/echo") }
            }
            let go = bench.file("go")
            let waiting = try bench.start("reset_waiting", go)
            try demandEqual(try waiting.firstLine(), "sent", "first line")
            try TextFile.write("", to: go)
            try bench.finish(waiting)
            try eventually("the instance hears of it: \(bench.endings)") {
                bench.endings.contains { $0.hasPrefix("/silent") }
            }
            try bench.run("reset_half")
            if mix.client == "h2" { try bench.run("own_fields") }
            try bench.nothingIsLeft()
        }
    }

    @Test(arguments: mixes) func slowSidesCostBoundedMemory(mix: TunnelBench.Mix) throws {
        try with(mix) { bench in
            for (name, line) in [("flood", "stalled"), ("deaf", "stuffed")] {
                let go = bench.file("go-\(name)")
                let child = try bench.start(name, go)
                try demandEqual(try child.firstLine(within: 30), line, "first line")
                let buffers = try bench.mesh.metric("meshd_worker_buffer_bytes") ?? 0
                try demand(buffers < Double(2 << 20), "\(name): \(buffers) bytes in buffers")
                try demandEqual(try bench.mesh.get(Web.host).text, "web\n", "others are served")
                try TextFile.write("", to: go)
                try bench.finish(child)
            }
            try bench.nothingIsLeft()
        }
    }

    /// What came before is still the client's, and the rest is known to be missing.
    @Test(arguments: mixes) func anInstanceThatDiesBreaksItsTunnels(mix: TunnelBench.Mix) throws {
        try with(mix) { bench in
            let go = bench.file("go")
            let children = try (0..<3).map {
                try bench.start("killed", go + String(repeating: "o", count: $0) + " \(mix.instance)")
            }
            for child in children { try demandEqual(try child.firstLine(within: 30), "stalled", "first line") }
            bench.instance.signal(SIGKILL)
            _ = try bench.instance.waitExit()
            try eventually("meshd has noticed") { try bench.mesh.get(Web.host).status == 502 }
            for number in 0..<3 { try TextFile.write("", to: go + String(repeating: "o", count: number)) }
            for child in children { try bench.finish(child) }
            try bench.nothingIsLeft()
        }
    }

    @Test(arguments: ["h1", "h2"]) func whatAnInstanceOfHTTP2MaySay(client: String) throws {
        try with(.init(client: client, instance: "h2")) { bench in
            try bench.run("goaway")
            try bench.run("echo")
            try bench.run("fields")
            try demandEqual(try bench.mesh.get(Web.host).text, "web\n", "others are served")
            try bench.nothingIsLeft()
        }
    }

    @Test(arguments: mixes) func anIdleTunnelIsEnded(mix: TunnelBench.Mix) throws {
        try with(mix, ["--tunnel-idle-timeout-seconds", "0.4", "--idle-timeout-seconds", "0.1"]) { bench in
            try bench.run("idle")
            try demandEqual(try bench.mesh.metric("meshd_http_tunnel_idle_timeouts_total"), 1, "counted")
            try bench.nothingIsLeft()
        }
    }

    /// Messages go on through changes that keep the instance, its removal, and the drain of meshd.
    @Test(arguments: mixes) func aTunnelOutlivesChanges(mix: TunnelBench.Mix) throws {
        try with(mix) { bench in
            let stop = bench.file("stop")
            let client = try bench.start("chat", stop)
            try demandEqual(try client.firstLine(), "open", "the client's first line")
            let other = try HTTPInstance("other")
            for change in 1...20 {
                var service = bench.service
                service.labels[0].1 = "\(Web.host);web-\(change).example"
                if change % 2 == 0 { service.instances.append(other.address) }
                try bench.mesh.write(
                    Catalogue([service, .web("other", "other-\(change).example", [other])]))
                try eventually("change \(change) is in force") {
                    try bench.mesh.get("other-\(change).example").status == 200
                }
            }
            // The instance is no more; what it has begun goes on.
            try bench.mesh.write(Catalogue([.web("other", "other.example", [other])]))
            try eventually("it is gone") { try bench.mesh.get(Web.host).status == 404 }
            bench.mesh.child.signal(SIGTERM)
            try eventually("meshd takes no connection") { (try? bench.mesh.client()) == nil }
            try demandEqual(bench.mesh.child.poll(), nil, "it waits for the tunnel")
            try TextFile.write("", to: stop)
            let status = try client.waitExit(within: 30)
            try demandEqual(status, 0, "exit of the client: \(client.errors)")
            try demandEqual(try bench.mesh.child.waitExit(), 0, "exit of meshd")
        }
    }
}
