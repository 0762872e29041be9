import Testing

/// PROXY headers, to instances and from trusted peers; haproxy is the other side.
@Suite struct ProxyProtocolTests {
    /// A running haproxy with this configuration behind the usual defaults.
    private static func haproxy(_ lines: [String], _ files: TemporaryDirectory, port: UInt16) throws -> ChildProcess {
        let defaults = [
            "defaults", "  timeout connect 5s", "  timeout client 30s", "  timeout server 30s", "  mode http",
        ]
        let path = files.path + "/haproxy.cfg"
        try TextFile.write((defaults + lines).joined(separator: "\n") + "\n", to: path)
        let child = try ChildProcess("/usr/sbin/haproxy", ["-db", "-f", path], files: files.path + "/haproxy")
        try eventually("haproxy listens: \(child.errors)") {
            if let status = child.poll() { throw Failure("haproxy ended with \(status): \(child.errors)") }
            return (try? Connection.open(port)) != nil
        }
        return child
    }

    /// A server that takes nothing but connections with a PROXY header and answers with what it says.
    private static func receiver(_ port: UInt16) -> [String] {
        [
            "frontend f", "  bind 127.0.0.1:\(port) accept-proxy",
            "  http-request return status 200 content-type text/plain lf-string "
                + "\"%[src]:%[src_port] %[dst]:%[dst_port]\"",
        ]
    }

    /// What the server saw of a client that asks for / on this connection.
    private static func seen(_ client: Connection) throws -> String {
        try client.send("GET / HTTP/1.1\r\nHost: \(Web.host)\r\nConnection: close\r\n\r\n")
        let answer = String(decoding: try client.readToEnd(), as: UTF8.self)
        try demand(answer.hasPrefix("HTTP/1.1 200"), answer)
        return answer.split(separator: "\r\n").last.map(String.init) ?? ""
    }

    @Test(arguments: ["v1", "v2"]) func instancesLearnWhoseConnectionItIs(version: String) throws {
        let files = try TemporaryDirectory()
        let instance = FreePort.take()
        let published = FreePort.take()
        let server = try Self.haproxy(Self.receiver(instance), files, port: instance)
        // Probes speak the protocol, too, or the instance would never be healthy.
        let web = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host)], instances: ["127.0.0.1:\(instance)"]
        )
        .publishing(published, to: 8080).label("mesh.proxy_protocol", version).probed()
        try withMesh(Catalogue([web]), .init(["--access-log", "stdout"])) { mesh in
            // Healthy for the control loop is not yet healthy for every worker.
            try eventually("served") { try mesh.get(Web.host).status == 200 }
            for port in [mesh.http, published] {
                for source in ["127.77.0.1", "127.77.0.2"] {
                    let client = try Connection.open(port, from: source)
                    let words = try Self.seen(client).split(separator: " ")
                    try demandEqual(words.first?.split(separator: ":").first, Substring(source), "source")
                    try demandEqual(words.last, "127.0.0.1:\(port)", "destination")
                }
            }
            // Exchanges of two clients on the same worker never share a connection: each has its own source port.
            let client = try mesh.client()
            let first = try client.exchange(host: Web.host).text
            try demandEqual(try client.exchange(host: Web.host).text, first, "one client, one address")
        }
        _ = server
    }

    /// haproxy in front, trusted by its address; it names the clients.
    @Test(arguments: ["send-proxy", "send-proxy-v2"]) func trustedPeersSayWhoseConnectionItIs(option: String) throws {
        let files = try TemporaryDirectory()
        let instance = try HTTPInstance("web")
        let front = FreePort.take()
        let log = files.path + "/access.log"
        try withMesh(
            Catalogue([.web("web", Web.host, [instance])]),
            .init(["--proxy-protocol-from", "127.0.0.7/32", "--access-log", log])
        ) { mesh in
            let proxy = try Self.haproxy(
                [
                    "listen l", "  bind 127.0.0.1:\(front)",
                    "  server s 127.0.0.1:\(mesh.http) source 127.0.0.7 \(option)",
                ], files, port: front)
            _ = try Self.seen(try Connection.open(front, from: "127.77.0.5"))
            try demandEqual(
                instance.requests.last?.head.values("X-Forwarded-For"), ["127.77.0.5"], "X-Forwarded-For")
            try eventually("the access log names the client") {
                TextFile.read(log).contains("127.77.0.5")
            }
            try demandEqual(try mesh.get(Web.host).status, 200, "others need no header")
            try demand(try mesh.metric("meshd_proxy_headers_total") ?? 0 >= 1, "counted")
            _ = proxy
        }
    }

    @Test func theAddressSurvivesTwoMeshes() throws {
        let files = try TemporaryDirectory()
        let instance = FreePort.take()
        let server = try Self.haproxy(Self.receiver(instance), files, port: instance)
        let published = FreePort.take()
        let inner = Catalogue.Service(name: "in", ports: ["\(published):80"], instances: ["127.0.0.1:\(instance)"])
            .label("mesh.proxy_protocol", "v1")
        try withMesh(Catalogue([inner]), .init(["--proxy-protocol-from", "127.0.0.0/8"])) { _ in
            let outer = Catalogue.Service(
                name: "out", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.proxy_protocol", "v2")],
                instances: ["127.0.0.1:\(published)"])
            try withMesh(Catalogue([outer])) { mesh in
                let client = try Connection.open(mesh.http, from: "127.77.0.8")
                let words = try Self.seen(client).split(separator: " ")
                try demandEqual(words.first?.split(separator: ":").first, "127.77.0.8", "source")
                try demandEqual(words.last, "127.0.0.1:\(mesh.http)", "where the client connected to")
            }
        }
        _ = server
    }

    // MARK: - Bytes from a trusted peer

    private static let header = Array("PROXY TCP4 203.0.113.9 203.0.113.1 4000 80\r\n".utf8)

    private func withTrust(
        _ flags: [String] = [], _ body: (MeshProcess, HTTPInstance, UInt16) throws -> Void
    ) throws {
        let instance = try HTTPInstance("web")
        let echo = try TCPInstance(serve: Relay.echo)
        let port = FreePort.take()
        let catalogue = Catalogue([
            .web("web", Web.host, [instance]), Catalogue.Service.tcp("relay", [echo]).publishing(port, to: 7000),
        ])
        let flags = ["--proxy-protocol-from", "127.0.0.7/32"] + flags
        try withMesh(catalogue, .init(flags)) { try body($0, instance, port) }
    }

    @Test func aHeaderMayArriveByteByByte() throws {
        try withTrust { mesh, instance, _ in
            let client = try Connection.open(mesh.http, from: "127.0.0.7")
            for byte in Self.header { try client.send([byte]) }
            _ = try Self.seen(client)
            try demandEqual(
                instance.requests.last?.head.values("X-Forwarded-For"), ["203.0.113.9"], "X-Forwarded-For")
        }
    }

    @Test func relaysGetTheBytesBehindTheHeader() throws {
        try withTrust { _, _, port in
            let client = try Connection.open(port, from: "127.0.0.7")
            try client.send(Self.header + Array("first".utf8))
            try demandEqual(String(decoding: try client.readExactly(5), as: UTF8.self), "first", "echo")
            try Relay.checkEcho(client)
        }
    }

    @Test func localHeadersSpeakForThePeerItself() throws {
        try withTrust { mesh, instance, _ in
            let client = try Connection.open(mesh.http, from: "127.0.0.7")
            try client.send([13, 10, 13, 10, 0, 13, 10] + Array("QUIT\n".utf8) + [0x20, 0, 0, 0])
            _ = try Self.seen(client)
            try demandEqual(instance.requests.last?.head.values("X-Forwarded-For"), ["127.0.0.7"], "X-Forwarded-For")
        }
    }

    @Test func whatIsNoHeaderIsClosedAndCounted() throws {
        try withTrust { mesh, instance, port in
            for port in [mesh.http, port] {
                let client = try Connection.open(port, from: "127.0.0.7")
                try client.send("GET / HTTP/1.1\r\nHost: \(Web.host)\r\n\r\n")
                try demand(client.isClosedByPeer(), "closed")
            }
            let half = try Connection.open(mesh.http, from: "127.0.0.7")
            try half.send(Array(Self.header.prefix(20)))
            half.closeWrite()
            try demand(half.isClosedByPeer(), "closed")
            try demandEqual(try mesh.metric("meshd_proxy_headers_refused_total"), 3, "refused")
            // Whoever only looks whether the port is open is no fault.
            let look = try Connection.open(mesh.http, from: "127.0.0.7")
            look.closeWrite()
            try demand(look.isClosedByPeer(), "closed")
            try demandEqual(try mesh.metric("meshd_proxy_headers_refused_total"), 3, "refused")
            try demandEqual(instance.requests.count, 0, "requests that reached the instance")
        }
    }

    @Test func aHeaderThatDoesNotComeIsNotAwaitedForEver() throws {
        try withTrust(["--head-timeout-seconds", "0.3"]) { mesh, _, _ in
            let client = try Connection.open(mesh.http, from: "127.0.0.7")
            try client.send("PROXY ")
            try demand(client.isClosedByPeer(within: 10), "closed")
            try demandEqual(try mesh.metric("meshd_proxy_headers_refused_total"), 1, "refused")
        }
    }

    @Test func aHeaderOfAnybodyElseIsPartOfTheBytes() throws {
        try withTrust { mesh, instance, port in
            let client = try Connection.open(mesh.http, from: "127.0.0.8")
            try client.send(Self.header + Array("GET / HTTP/1.1\r\nHost: \(Web.host)\r\n\r\n".utf8))
            let answer = String(decoding: try client.readToEnd(), as: UTF8.self)
            try demand(answer.hasPrefix("HTTP/1.1 400"), answer)
            let relayed = try Connection.open(port, from: "127.0.0.8")
            try relayed.send(Self.header)
            try demandEqual(try relayed.readExactly(Self.header.count), Self.header, "echo")
            try demandEqual(instance.requests.count, 0, "requests that reached the instance")
            // Only the listeners named: VIPs are not among them unless asked for.
            let vip = try Connection.open(7000, try mesh.vip("relay"), from: "127.0.0.7")
            try vip.send(Self.header)
            try demandEqual(try vip.readExactly(Self.header.count), Self.header, "echo")
        }
    }
}
