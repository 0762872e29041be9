import Glibc
import Testing

/// HTTP/2 of clients, in clear with prior knowledge: single frames from python3-h2, whole clients beside it.
@Suite struct HTTP2Tests {
    /// Instances' answers by path.
    static func behaviour(_ held: Gate = Gate(), _ arrived: Counter = Counter()) -> HTTPInstance.Behaviour {
        { exchange in
            switch exchange.target {
            case "/trailers":
                try exchange.readBody()
                try exchange.connection.send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nans\r\n3\r\nwer\r\n0\r\n"
                        + "grpc-status: 0\r\nConnection: x\r\n\r\n")
            case "/interim":
                try exchange.connection.send("HTTP/1.1 100 Continue\r\n\r\n")
                try exchange.readBody()
                try exchange.answer()
            case "/cut":
                try exchange.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
                return .close
            case "/early":
                try exchange.answer(text: "no")
                return .close
            case "/held":
                arrived.add()
                held.wait()
                try exchange.answer(text: exchange.instance)
            case "/exact":
                try exchange.connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                try exchange.connection.send("ffff\r\n" + String(repeating: "x", count: 65_535) + "\r\n0\r\n\r\n")
            case "/large": try exchange.answer(body: Pattern.bytes(4 << 20))
            case "/empty": try exchange.connection.send("HTTP/1.1 204 No Content\r\n\r\n")
            case "/unread":
                held.wait()
                return .close
            default:
                try exchange.readBody()
                try exchange.answer(text: exchange.instance)
            }
            return .keep
        }
    }

    private func start(_ name: String, _ mesh: MeshProcess, _ argument: String = "") throws -> ChildProcess {
        try PythonProgram.start(
            "http2_cases.py", [String(mesh.http), Web.host, name, argument],
            files: "\(mesh.directory.path)/case-\(name)")
    }

    private func finish(_ child: ChildProcess) throws {
        let status = try child.waitExit(within: 40)
        try demandEqual(status, 0, "exit of the case: \(child.errors)")
        try demandEqual(child.output.split(separator: "\n").last, "done", "last line")
    }

    @Test(arguments: [
        "bytewise", "almost_preface", "many_streams", "trailers", "interim", "refused_fields", "refused_requests",
        "refused_tunnels", "refused_together", "exact_window", "cut_body", "early_answer", "slow_reader",
    ])
    func frames(name: String) throws {
        try Web.with(Self.behaviour()) { mesh, instance in
            try finish(try start(name, mesh))
            try demandEqual(instance.malformed, [], "what the instance could not read")
            switch name {
            case "trailers":
                let request = try #require(instance.requests.first)
                try demandEqual(String(decoding: request.body, as: UTF8.self), "body", "request body")
                try demandEqual(request.trailers.map(\.name), ["x-sum", "x-more"], "request trailers")
                try demandEqual(request.head["TE"], "trailers", "TE")
            case "refused_fields": try demandEqual(instance.requests.count, 0, "requests at the instance")
            case "many_streams":
                let agent = instance.requests.first?.head["Host"]
                try demandEqual(agent, Web.host, "Host")
                try demandEqual(try mesh.metric("meshd_http_connections_total"), 1, "one connection")
                try demandEqual(try mesh.metric("meshd_http2_streams_total"), 100, "streams")
            default: break
            }
            try eventually("no stream is left") { try mesh.metric("meshd_http2_streams") == 0 }
            try eventually("no buffer is left") { try mesh.metric("meshd_worker_buffer_bytes") == 0 }
        }
    }

    /// What one client may not do, and what it is told: `ENHANCE_YOUR_CALM`, or the protocol's own error.
    @Test(arguments: [
        ("rapid_reset", "rapid_reset"), ("provoked_resets", ""), ("ping_flood", "frame_flood"),
        ("settings_flood", "frame_flood"), ("priority_flood", "frame_flood"),
        ("empty_data_flood", "frame_flood"), ("window_flood", "frame_flood"), ("window_overflow", ""),
        ("continuation_flood", "head_flood"),
        ("padding_flood", "frame_flood"), ("head_bomb", "head_flood"), ("garbage", ""), ("head_stall", "timeout"),
    ])
    func abuse(name: String, cause: String) throws {
        let flags = ["--head-timeout-seconds", "0.5"]
        try Web.with(Self.behaviour(), flags) { mesh, _ in
            try finish(try start(name, mesh))
            if !cause.isEmpty {
                try eventually("\(cause) is counted") {
                    try mesh.adminGet("/metrics").text.contains(
                        "meshd_http2_connections_ended_total{cause=\"\(cause)\"} 1")
                }
            }
            try demandEqual(try mesh.get(Web.host).text, "web", "others are served")
            try eventually("nothing is left") {
                try mesh.metric("meshd_http2_connections") == 0 && mesh.metric("meshd_worker_buffer_bytes") == 0
            }
        }
    }

    @Test func resetsStarveNobody() throws {
        let instance = try HTTPInstance("web", Self.behaviour())
        try Web.with([instance], workers: 1) { mesh in
            let stop = mesh.directory.path + "/stop"
            let flood = try start("reset_flood", mesh, stop)
            try eventually("the flood has begun") { try mesh.metric("meshd_http2_resets_total") ?? 0 > 1_000 }
            let before = try mesh.residentKiB()
            for _ in 0..<200 { try demandEqual(try mesh.get(Web.host).text, "web", "another client") }
            try eventually("tens of thousands") { try mesh.metric("meshd_http2_resets_total") ?? 0 > 20_000 }
            let grown = try mesh.residentKiB() - before
            try demand(grown < 8 << 10, "memory grew by \(grown) KiB")
            try TextFile.write("", to: stop)
            try finish(flood)
        }
    }

    struct Storm: CustomTestStringConvertible {
        /// Whether streams are reset in the packet they came in, or when they have begun.
        let pattern: String
        /// `http2-resets-per-second`: ended again and again by it, or on one connection without it.
        let limit: String
        let instance: String
        let count: Int
        var testDescription: String { "\(count) \(pattern), limit \(limit), \(instance) instance" }
    }

    /// A stream that has begun costs an instance of HTTP/1.1 its connection.
    static let storms = [
        Storm(pattern: "together", limit: "100", instance: "h1", count: 60_000),
        Storm(pattern: "together", limit: "0", instance: "h1", count: 60_000),
        Storm(pattern: "begun", limit: "100", instance: "h1", count: 60_000),
        Storm(pattern: "begun", limit: "0", instance: "h1", count: 20_000),
        Storm(pattern: "begun", limit: "0", instance: "h2c", count: 60_000),
    ]

    private func startWeb(_ instance: String, _ folder: String) throws -> (ChildProcess, UInt16) {
        if instance == "h1" { return try Nginx.start(folder + "/nginx", "location / { return 200 web; }") }
        try TextFile.write("web", to: folder + "/index.html")
        let port = FreePort.take()
        let server = try ChildProcess(
            "/usr/sbin/nghttpd", ["--no-tls", "-a", "127.0.0.1", "-d", folder, String(port)], files: folder + "/nghttpd"
        )
        try eventually("nghttpd listens") { (try? Connection.open(port)) != nil }
        return (server, port)
    }

    /// As many as a client can send. For every 10,000 of them another client gets at least 3 answers, however fast or
    /// slow the machine is.
    @Test(arguments: storms) func stormsOfResetsStarveNobody(_ example: Storm) throws {
        let (count, limit) = (example.count, example.limit)
        let files = try TemporaryDirectory()
        let (server, port) = try startWeb(example.instance, files.path)
        let own = example.instance == "h2c" ? [("mesh.protocol", "h2c")] : []
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host)] + own, instances: ["127.0.0.1:\(port)"])
        try withMesh(Catalogue([service]), .init(["--http2-resets-per-second", limit])) { mesh in
            let before = try mesh.residentKiB()
            let storm = try start("reset_storm", mesh, "\(count) \(example.pattern) \(limit == "0" ? count : 1000)")
            var answers = 0
            while storm.poll() == nil {
                try demandEqual(try mesh.get(Web.host).text, "web", "another client")
                answers += 1
            }
            try finish(storm)
            try demand(answers >= count * 3 / 10_000, "\(answers) answers meanwhile")
            let grown = try mesh.residentKiB() - before
            try demand(grown < 16 << 10, "memory grew by \(grown) KiB")
            try demandEqual(server.poll(), nil, "the instance still runs")
            if limit == "0" {
                try eventually("all are heard of") {
                    try mesh.metric("meshd_http2_resets_total", "by=\"client\"") == Double(count)
                }
            } else {
                let ended = try mesh.metric("meshd_http2_connections_ended_total", "rapid_reset") ?? 0
                try demand(ended > 10, "\(ended) connections were ended")
            }
            try eventually("nothing is left") {
                try mesh.metric("meshd_http2_streams") == 0 && mesh.metric("meshd_worker_buffer_bytes") == 0
            }
        }
    }

    @Test func aCancelledStreamEndsItsExchange() throws {
        let gate = Gate()
        defer { gate.open() }
        let arrived = Counter()
        try Web.with(Self.behaviour(gate, arrived)) { mesh, _ in
            let go = mesh.directory.path + "/go"
            let child = try start("cancel", mesh, go)
            try eventually("the request is at the instance") { arrived.value == 1 }
            try TextFile.write("", to: go)
            try finish(child)
            try eventually("counted") { try mesh.metric("meshd_http_client_aborts_total") == 1 }
        }
    }

    @Test func aRefusedHeadIsNoHeadUnderWay() throws {
        let gate = Gate()
        defer { gate.open() }
        let arrived = Counter()
        try Web.with(Self.behaviour(gate, arrived), ["--head-timeout-seconds", "0.2"]) { mesh, _ in
            let child = try start("after_refusal", mesh)
            try demandEqual(try child.firstLine(), "refused", "first line")
            // A head that another client begins later takes its time meanwhile.
            let slow = try mesh.client()
            try slow.connection.send("GET / HTTP/1.1\r\n")
            try demandEqual(try slow.readResponse().status, 408, "the slow head")
            gate.open()
            try finish(child)
            try demandEqual(try mesh.metric("meshd_http2_connections_ended_total", "timeout"), 0, "ended")
        }
    }

    @Test func whatHTTP2RefusesIsLogged() throws {
        let folder = try TemporaryDirectory()
        let log = LogReader(folder.path + "/log")
        let gate = Gate()
        defer { gate.open() }
        let flags = ["--access-log", log.path, "--head-timeout-seconds", "0.5", "--http2-concurrent-streams", "10"]
        try Web.with(Self.behaviour(gate), flags) { mesh, _ in
            try finish(try start("logged", mesh))
            for (target, status, reason) in [
                ("/upper", 0, "http_request_error"), ("/length", 0, "http_request_error"),
                ("/short", 0, "http_request_error"), ("/trailers", 0, "http_request_error"),
                ("/left", 0, "client_abort"), ("/fine", 200, "ok"),
            ] {
                let line = try log.line { $0["target"]?.text == target }
                try demandEqual(line["reason"]?.text, reason, "reason of \(target)")
                try demandEqual(line.number("status"), status, "status of \(target)")
                try demandEqual(line["host"]?.text, Web.host, "host of \(target)")
                try demandEqual(line["protocol"]?.text, "HTTP/2.0", "protocol of \(target)")
            }
            for status in [400, 414] {
                let line = try log.line { $0.number("status") == status }
                try demandEqual(line["method"]?.text, "GET", "method of \(status)")
                try demandEqual(line["reason"]?.text, "http_request_error", "reason of \(status)")
            }
            try eventually("each is a line: \(log.text)") { log.count == 18 }
            let together = try log.lines().filter { $0["target"]?.text == "/together" }
            try demandEqual(
                together.map { $0["reason"]?.text }, Array(repeating: "http_request_error", count: 5), "reasons")
            try finish(try start("head_stall", mesh))
            let stall = try log.line { $0["target"]?.text == "/stall" }
            try demandEqual(stall["reason"]?.text, "client_timeout", "reason")
            try finish(try start("head_bomb", mesh))
            _ = try log.line { $0.number("status") == 0 && $0["target"]?.text == "/" }
            try finish(try start("too_many", mesh, "10"))
            try eventually("the refused ones are lines") {
                try log.lines().filter { $0["method"]?.text == nil && $0.number("status") == 0 }.count == 5
            }
        }
    }

    @Test func bodiesThatNobodyTakesStopNoOther() throws {
        let gate = Gate()
        defer { gate.open() }
        try Web.with(Self.behaviour(gate)) { mesh, _ in
            try finish(try start("slow_writer", mesh))
            let buffers = try mesh.metric("meshd_worker_buffer_bytes") ?? 0
            try demand(Int(buffers) < 4 << 20, "\(buffers) bytes in buffers")
        }
    }

    @Test func aWindowThatStaysShutIsATimeout() throws {
        try Web.with(Self.behaviour(), ["--body-timeout-seconds", "0.5"]) { mesh, _ in
            try finish(try start("zero_window", mesh))
            try demandEqual(try mesh.metric("meshd_http_timeouts_total"), 1, "timeouts")
        }
    }

    @Test func streamsBeyondTheLimitAreRefused() throws {
        let gate = Gate()
        defer { gate.open() }
        try Web.with(Self.behaviour(gate), ["--http2-concurrent-streams", "10"]) { mesh, _ in
            try finish(try start("too_many", mesh, "10"))
        }
    }

    @Test func idleConnectionsEndInOrder() throws {
        try Web.with(Self.behaviour(), ["--idle-timeout-seconds", "0.3"]) { mesh, _ in
            try finish(try start("idle", mesh))
        }
    }

    @Test func aDrainTellsTwiceAndFinishesWhatIsInFlight() throws {
        let gate = Gate()
        defer { gate.open() }
        let arrived = Counter()
        try Web.with(Self.behaviour(gate, arrived)) { mesh, _ in
            let child = try start("drained", mesh)
            try eventually("the request is at the instance") { arrived.value == 1 }
            mesh.child.signal(SIGTERM)
            try eventually("the client has heard both") { child.output.contains("told") }
            gate.open()
            try finish(child)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
    }
}
