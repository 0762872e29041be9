import Glibc
import Testing

/// WebSocket tunnels where HTTP/2 is spoken over TLS (RFC 8441), on either side or on both.
@Suite struct TunnelTLSTests {
    static let mixes = TunnelBench.Mix.all(["h1", "h2s"]).filter { $0.client == "h2s" || $0.instance == "h2s" }

    @Test(arguments: mixes) func bytesBothWays(mix: TunnelBench.Mix) throws {
        try TunnelBench.with(mix) { bench in
            for name in ["echo", "count", "bye", "early", "end_at_once"] { try bench.run(name) }
            try eventually("the instance has it all: \(bench.endings)") { bench.endings.contains("/bye end 30000") }
            try demandEqual(try bench.mesh.metric("meshd_http_upgrades_total"), 5, "tunnels")
            if mix.client == "h2s" {
                try demandEqual(try bench.mesh.metric("meshd_tls_handshakes_total"), 5, "handshakes of clients")
            }
            try bench.nothingIsLeft()
        }
    }

    @Test(arguments: mixes) func endsAndRefusalsGoThrough(mix: TunnelBench.Mix) throws {
        try TunnelBench.with(mix) { bench in
            try bench.run("refuse")
            try bench.run("status", "/fail 502 connection_terminated")
            try bench.run("broken")
            try bench.run("reset_open")
            try eventually("the instance hears of it: \(bench.endings)") {
                bench.endings.contains { $0.hasPrefix("/echo") }
            }
            try bench.nothingIsLeft()
        }
    }

    @Test(arguments: mixes) func slowSidesCostBoundedMemory(mix: TunnelBench.Mix) throws {
        try TunnelBench.with(mix) { bench in
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

    /// WebSocket messages go on while the catalogue changes, and meshd waits for their end when it is to end itself.
    @Test(arguments: mixes) func messagesOutliveChangesAndTheDrain(mix: TunnelBench.Mix) throws {
        try TunnelBench.with(mix) { bench in
            let stop = bench.file("stop")
            let client = try bench.start("chat", stop)
            try demandEqual(try client.firstLine(), "open", "the client's first line")
            var service = bench.service
            for change in 1...5 {
                service.labels[0].1 = "\(Web.host);web-\(change).example"
                try bench.mesh.write(Catalogue([service]))
                try eventually("change \(change) is in force") {
                    try bench.mesh.get("web-\(change).example").status == 200
                }
            }
            bench.mesh.child.signal(SIGTERM)
            try eventually("meshd takes no connection") { (try? bench.mesh.client()) == nil }
            try TextFile.write("", to: stop)
            try bench.finish(client)
            try demandEqual(try bench.mesh.child.waitExit(), 0, "exit of meshd")
        }
    }
}
