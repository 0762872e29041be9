import Glibc
import Testing

/// UDP through meshd.
@Suite struct DatagramTests {
    /// An echo that puts its name in front.
    private struct Instance {
        let name: String
        let child: ChildProcess
        let port: UInt16

        init(_ name: String, _ files: TemporaryDirectory, port: UInt16 = 0) throws {
            self.name = name
            child = try PythonProgram.start("udp_echo.py", [name, String(port)], files: files.path + "/\(name)")
            guard let port = UInt16(try child.firstLine()) else { throw Failure("no port") }
            self.port = port
        }
    }

    /// A mesh with the UDP service `echo` on container port 5300 and a published port.
    private func withEcho(
        _ count: Int = 2, address: String = "127.0.0.1", _ flags: [String] = [], workers: Int = 2,
        _ labels: [(String, String)] = [],
        _ body: (_ mesh: MeshProcess, _ port: UInt16, _ catalogue: Catalogue, [Instance]) throws -> Void
    ) throws {
        let files = try TemporaryDirectory()
        let instances = try (0..<count).map { try Instance("i\($0)", files) }
        let port = FreePort.take()
        let service = Catalogue.Service(
            name: "echo", labels: labels, ports: ["\(address):\(port):5300/udp"],
            instances: instances.map { "127.0.0.1:\($0.port)" })
        let catalogue = Catalogue([service])
        try withMesh(catalogue, .init(flags, workers: workers)) { try body($0, port, catalogue, instances) }
    }

    /// Sends until an answer comes, for datagrams may be lost; returns who answered.
    private func ask(_ client: Connection, _ text: String = "ping") throws -> String {
        for _ in 0..<20 {
            client.setDeadline(0.5)
            client.sendAsFarAsTaken(Array(text.utf8))
            guard let bytes = try? client.readSome() else { continue }
            let answer = String(decoding: bytes, as: UTF8.self)
            let parts = answer.split(separator: " ", maxSplits: 1)
            try demandEqual(parts.last.map(String.init), text, "echo in \(answer)")
            return String(parts[0])
        }
        throw Failure("no answer")
    }

    @Test func clientsKeepTheirInstanceOverVIPAndPublishedPort() throws {
        try withEcho { mesh, port, _, _ in
            for (address, port) in [("127.0.0.1", port), (try mesh.vip("echo"), 5300)] {
                var seen: Set<String> = []
                for number in 0..<20 {
                    let client = try Connection.openDatagrams(port, address)
                    let first = try ask(client, "hello \(number)")
                    for step in 0..<5 { try demandEqual(try ask(client, "step \(step)"), first, "the same instance") }
                    seen.insert(first)
                }
                try demandEqual(seen, ["i0", "i1"], "instances in use")
            }
            try demandEqual(try mesh.metric("meshd_udp_flows"), 40, "flows")
            try demand(try mesh.metric("meshd_udp_sent_datagrams_total") ?? 0 >= 240, "datagrams")
            let inFlight = try mesh.statusText()
            try demand(inFlight.contains("in flight 2"), "flows are in flight: \(inFlight)")
        }
    }

    @Test func sourceHashKeepsAHostOnOneInstance() throws {
        try withEcho(3, [], [("mesh.balance", "source_hash")]) { _, port, _, _ in
            for host in ["127.77.1.1", "127.77.1.2", "127.77.1.3"] {
                let names = try (0..<6).map { _ in try ask(try Connection.openDatagrams(port, from: host)) }
                try demandEqual(Set(names).count, 1, "instances of \(host)")
            }
        }
    }

    /// The client hears nobody but the address that it asked.
    @Test func answersComeFromTheAddressThatWasAsked() throws {
        try withEcho(1, address: "0.0.0.0") { _, port, _, _ in
            for address in ["127.0.0.1", "127.0.0.5", "127.1.2.3"] {
                try demandEqual(try ask(try Connection.openDatagrams(port, address)), "i0", "answer from \(address)")
            }
        }
        try withEcho(1, address: "[::]") { _, port, _, _ in
            for address in ["::1", "127.0.0.5"] {
                try demandEqual(try ask(try Connection.openDatagrams(port, address)), "i0", "answer from \(address)")
            }
        }
    }

    @Test func datagramsOfEverySize() throws {
        try withEcho(1) { mesh, port, _, _ in
            let client = try Connection.openDatagrams(port)
            for size in [1, 2, 511, 1_472, 1_473, 9_000, 60_000] {
                try demandEqual(try ask(client, String(repeating: "x", count: size)), "i0", "\(size) bytes")
            }
            // An empty datagram is one, too: a send of nothing, which the harness would not make.
            _ = Glibc.send(client.fd, "", 0, 0)
            try demandEqual(String(decoding: try client.readSome(), as: UTF8.self), "i0 ", "answer to nothing")
            // A burst goes through in batches.
            for number in 0..<100 { try client.send("n\(number)") }
            var seen: Set<String> = []
            client.setDeadline(5)
            while seen.count < 100, let bytes = try? client.readSome() {
                seen.insert(String(decoding: bytes, as: UTF8.self))
            }
            try demandEqual(seen.count, 100, "answers to the burst")
        }
    }

    @Test func aFlowLeavesWithItsInstance() throws {
        try withEcho { mesh, port, catalogue, instances in
            let clients = try (0..<10).map { _ in try Connection.openDatagrams(port) }
            let before = try clients.map { try ask($0) }
            try demandEqual(Set(before).count, 2, "instances in use")
            var smaller = catalogue
            smaller["echo"].instances = ["127.0.0.1:\(instances[0].port)"]
            try mesh.write(smaller)
            for (client, old) in zip(clients, before) {
                try eventually("the flow of \(old) is served by the one that is left") { try ask(client) == "i0" }
            }
            try demandEqual(
                try mesh.metric("meshd_udp_flows_moved_total"), Double(before.count { $0 == "i1" }), "moved flows")
        }
    }

    @Test func anUnreachablePortCountsAgainstItsInstance() throws {
        try withEcho(1) { mesh, port, catalogue, instances in
            let dead = "127.0.0.1:\(FreePort.take())"
            var larger = catalogue
            larger["echo"].instances = ["127.0.0.1:\(instances[0].port)", dead]
            try mesh.write(larger)
            try eventually("the dead one is ejected") {
                let client = try Connection.openDatagrams(port)
                try demandEqual(try ask(client), "i0", "asked again, every client is answered")
                return try mesh.state(of: dead) == "ejected"
            }
            try demand(try mesh.metric("meshd_udp_flow_failures_total") ?? 0 >= 3, "failures are counted")
        }
    }

    @Test func silentFlowsEnd() throws {
        try withEcho(1, ["--udp-idle-timeout-seconds", "0.3"]) { mesh, port, _, _ in
            let clients = try (0..<5).map { _ in try Connection.openDatagrams(port) }
            for client in clients { _ = try ask(client) }
            try demandEqual(try mesh.metric("meshd_udp_flows_total"), 5, "flows begun")
            try eventually("all flows have ended") { try mesh.metric("meshd_udp_flows") == 0 }
            _ = try ask(clients[0])
        }
    }

    @Test func atTheLimitSilentFlowsGiveWay() throws {
        try withEcho(1, ["--max-udp-flows", "2"], workers: 1) { mesh, port, _, _ in
            let clients = try (0..<3).map { _ in try Connection.openDatagrams(port) }
            for client in clients[..<2] { _ = try ask(client) }
            try clients[2].send("too many")
            try eventually("counted") { try mesh.metric("meshd_udp_dropped_datagrams_total") ?? 0 >= 1 }
            try demandEqual(try mesh.metric("meshd_udp_flows"), 2, "flows")
            try demandEqual(try ask(clients[2]), "i0", "served once a flow has been silent for a second")
            try demandEqual(try mesh.metric("meshd_udp_flows_evicted_total"), 1, "evicted")
        }
    }

    @Test func tcpAndUDPShareAPort() throws {
        let files = try TemporaryDirectory()
        let stream = try TCPInstance(serve: Relay.echo)
        let datagrams = try Instance("u", files, port: stream.port)
        let port = FreePort.take()
        let service = Catalogue.Service(
            name: "both", ports: ["127.0.0.1:\(port):53/udp", "127.0.0.1:\(port):53"],
            instances: ["127.0.0.1:\(datagrams.port)"])
        try withMesh(Catalogue([service])) { mesh in
            try demandEqual(try ask(try Connection.openDatagrams(port)), "u", "UDP")
            try Relay.checkEcho(try Connection.open(port))
            try demandEqual(try mesh.statusText().contains("problem"), false, "problems")
        }
    }

    @Test func aTakenPortIsNamedAndServedOnceFree() throws {
        let files = try TemporaryDirectory()
        let holder = try Instance("holder", files)
        let instance = try Instance("i", files)
        let service = Catalogue.Service(
            name: "echo", ports: ["127.0.0.1:\(holder.port):5300/udp"], instances: ["127.0.0.1:\(instance.port)"])
        try withMesh(Catalogue([service])) { mesh in
            let problem = "service echo, published port \(holder.port)/udp: cannot listen on"
            try eventually("named") { try mesh.statusText().contains(problem) }
            holder.child.signal(SIGKILL)
            let client = try Connection.openDatagrams(holder.port)
            try eventually("served") { (try? ask(client)) == "i" }
        }
    }

    @Test func stoppingWaitsForFlowsToFallSilent() throws {
        try withEcho(1) { mesh, port, _, _ in
            let client = try Connection.openDatagrams(port)
            _ = try ask(client)
            mesh.child.signal(SIGTERM)
            try eventually("the process drains") { mesh.log.contains("stopping") }
            _ = try ask(client)
            try demandEqual(try mesh.child.waitExit(within: 20), 0, "exit")
            try demand(mesh.log.contains("\"drained\":\"true\""), "drained")
        }
    }
}
