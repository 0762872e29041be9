import Glibc
import Testing

/// Lines of the access log, end to end.
@Suite struct AccessLogTests {
    /// Runs a mesh with a log and hands over what reads it.
    private func withLog(
        _ instances: [HTTPInstance], _ flags: [String] = [], _ body: (MeshProcess, LogReader) throws -> Void
    ) throws {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/access.log"
        try Web.with(instances, ["--access-log", path] + flags) { try body($0, LogReader(path)) }
    }

    @Test func aRequestIsALine() throws {
        let instance = try HTTPInstance("web", Behave.echoBody)
        try withLog([instance], ["--trusted-proxies", "127.0.0.1"]) { mesh, log in
            let fields = [
                ("User-Agent", "a \"quoted\" agent"), ("Referer", "http://x/\u{e9}"), ("X-Request-ID", "given"),
                ("X-Forwarded-For", "192.0.2.9"),
                ("traceparent", "00-\(String(repeating: "ab", count: 16))-\(String(repeating: "c", count: 16))-00"),
            ]
            let client = try mesh.client()
            let response = try client.exchange("POST", "/a?b=c", host: Web.host, fields, body: Array("12345".utf8))
            let line = try log.line { $0["target"]?.text == "/a?b=c" }
            let texts = [
                ("client", "192.0.2.9"), ("method", "POST"), ("host", Web.host), ("protocol", "HTTP/1.1"),
                ("service", "web"), ("instance", instance.address), ("request_id", "given"), ("reason", "ok"),
                ("user_agent", "a \"quoted\" agent"), ("referer", "http://x/\u{e9}"),
                ("trace_id", String(repeating: "ab", count: 16)),
            ]
            for (name, value) in texts { try demandEqual(line[name]?.text, value, name) }
            try demandEqual(line.number("status"), 200, "status")
            try demandEqual(line.number("retries"), 0, "retries")
            let sent = HTTPTestClient.request("POST", "/a?b=c", host: Web.host, fields, body: Array("12345".utf8))
            try demandEqual(line.number("bytes_in"), sent.count, "bytes in")
            try demandEqual(line.number("bytes_out"), response.head.raw.count + 5, "bytes out")
            let total = try #require(line.number("total_us"))
            let stages = try ["head_us", "pick_us", "connect_us", "first_byte_us"].map { try #require(line.number($0)) }
            try demand(total > 0 && stages.reduce(0, +) <= total + 1_000_000, "times of \(line)")
        }
    }

    @Test func combinedLines() throws {
        try withLog([try HTTPInstance("web")], ["--access-log-format=combined"]) { mesh, log in
            _ = try mesh.get(Web.host, "/x", [("User-Agent", "me\"\\")])
            try eventually("a line") { log.text.hasSuffix("\n") }
            let text = log.text
            try demand(text.hasPrefix("127.0.0.1 - - ["), text)
            try demand(text.hasSuffix("] \"GET /x HTTP/1.1\" 200 3 \"-\" \"me\\x22\\x5c\"\n"), text)
        }
    }

    // MARK: - Reasons

    @Test func whatMeshdAnswersHasItsReason() throws {
        let port = FreePort.take()
        let catalogue = Catalogue([
            .init(
                name: "gone", labels: [("aliyun.routing.port_8080", "gone.example")], instances: ["127.0.0.1:\(port)"]),
            .init(name: "none", labels: [("aliyun.routing.port_8080", "none.example")]),
        ])
        let folder = try TemporaryDirectory()
        let log = LogReader(folder.path + "/log")
        try withMesh(catalogue, .init(["--access-log", log.path])) { mesh in
            for (host, status, reason) in [
                ("stranger.example", 404, "destination_not_found"), ("gone.example", 502, "connection_refused"),
                ("none.example", 503, "destination_unavailable"),
            ] {
                try demandEqual(try mesh.get(host).status, status, host)
                let line = try log.line { $0["host"]?.text == host }
                try demandEqual(line["reason"]?.text, reason, "reason of \(host)")
                try demandEqual(line.number("status"), status, "status of \(host)")
                try demandEqual(line["request_id"]?.text?.utf8.count, 36, "id of \(host)")
            }
            let client = try mesh.client()
            try client.connection.send("GET / HTTP/1.1\r\nbad\"field\r\n\r\n")
            try demandEqual(try client.readResponse().status, 400, "malformed")
            let line = try log.line { $0.number("status") == 400 }
            try demandEqual(line["reason"]?.text, "http_request_error", "reason")
            try demand(line["method"]?.text == nil, "a method in \(line)")
        }
    }

    @Test func aRetryIsCounted() throws {
        let isLate = Flagged()
        let behaviour: HTTPInstance.Behaviour = { exchange in
            guard isLate.isSet else {
                isLate.set()
                return .reset
            }
            return try Behave.named(exchange)
        }
        try withLog(try ["a", "b"].map { try HTTPInstance($0, behaviour) }) { mesh, log in
            try demandEqual(try mesh.get(Web.host).status, 200, "status")
            let line = try log.line { _ in true }
            try demandEqual(line.number("retries"), 1, "retries")
            try demandEqual(line["reason"]?.text, "ok", "reason")
        }
    }

    @Test func timeoutsOfInstancesAndClients() throws {
        let gate = Gate()
        defer { gate.open() }
        let flags = [Flag.responseTimeout, "0.5", Flag.bodyTimeout, "0.5"]
        try withLog([try HTTPInstance("web", Behave.held(gate))], flags) { mesh, log in
            try demandEqual(try mesh.get(Web.host, "/slow").status, 504, "status")
            let slow = try log.line { $0["target"]?.text == "/slow" }
            try demandEqual(slow["reason"]?.text, "http_response_timeout", "reason")
            try demand(slow.number("first_byte_us") == nil, "a first byte in \(slow)")
            let client = try mesh.client()
            try client.connection.send("POST /half HTTP/1.1\r\nHost: \(Web.host)\r\nContent-Length: 9\r\n\r\nhalf")
            try demandEqual(try client.readResponse().status, 408, "status")
            let half = try log.line { $0["target"]?.text == "/half" }
            try demandEqual(half["reason"]?.text, "client_timeout", "reason")
        }
    }

    @Test func clientsThatLeaveAndResponsesThatAreCut() throws {
        let gate = Gate()
        let arrived = Counter()
        try withLog([try HTTPInstance("web", Behave.held(gate, arrived))]) { mesh, log in
            let client = try mesh.client()
            try client.send("GET", "/left", host: Web.host)
            try eventually("the instance has it") { arrived.value == 1 }
            client.connection.prepareReset()
            client.close()
            let left = try log.line { $0["target"]?.text == "/left" }
            try demandEqual(left["reason"]?.text, "client_abort", "reason")
            try demandEqual(left.number("status"), 0, "status")
            gate.open()
        }
        let cut = Behave.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        try withLog([try HTTPInstance("web", cut)]) { mesh, log in
            let client = try mesh.client()
            try client.send("GET", "/cut", host: Web.host)
            _ = try client.connection.readToEndOrReset()
            let line = try log.line { $0["target"]?.text == "/cut" }
            try demandEqual(line["reason"]?.text, "http_response_incomplete", "reason")
            try demandEqual(line.number("status"), 200, "status")
        }
    }

    // MARK: - The file

    @Test func rotationUnderLoadLosesNothing() throws {
        try withLog([try HTTPInstance("web")]) { mesh, log in
            let load = LoadClient(.init(port: mesh.http, host: Web.host, threads: 4))
            var files: [String] = []
            for number in 0..<8 {
                try load.awaitSuccesses(200)
                let old = "\(log.path).\(number)"
                try demandEqual(rename(log.path, old), 0, "rename")
                files.append(old)
                kill(mesh.pid, SIGUSR1)
                try eventually("a new file") { access(log.path, F_OK) == 0 }
            }
            let outcome = try load.stop()
            try demandEqual(outcome.failures, [], "failures")
            let all = (files + [log.path]).map(LogReader.init)
            try eventually("every request is a line") {
                all.map(\.count).reduce(0, +) >= outcome.successes
            }
            let lines = try all.flatMap { try $0.lines() }
            try demandEqual(lines.count, outcome.successes, "lines")
            try demandEqual(Set(lines.compactMap { $0["request_id"]?.text }).count, lines.count, "different ids")
            try demandEqual(try mesh.metric("meshd_access_log_dropped_lines_total"), 0, "dropped")
            try demandEqual(try mesh.metric("meshd_access_log_lines_total"), Double(lines.count), "counted")
        }
    }

    @Test func aDiskThatTakesNothingHoldsNoRequestUp() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/fifo"
        try demandEqual(mkfifo(path, 0o600), 0, "mkfifo")
        let agent = [
            ("Referer", String(repeating: "\u{1f600}", count: 120)),
            ("User-Agent", String(repeating: "\t\"", count: 127)),
        ]
        let target = "/" + String(repeating: "x", count: 1_000)
        let instances = [try HTTPInstance("web")]
        try Web.with(instances, ["--access-log", path], workers: 1) { mesh in
            let client = try mesh.client()
            var requests = 0
            while try requests % 500 != 0 || mesh.metric("meshd_access_log_dropped_lines_total") == 0 {
                try demandEqual(try client.exchange("GET", target, host: Web.host, agent).status, 200, "status")
                requests += 1
                try demand(requests < 20_000, "lines are dropped")
            }
            try demandEqual(kill(mesh.pid, SIGTERM), 0, "SIGTERM")
            try demandEqual(try mesh.child.waitExit(within: 20), 0, "exit status")
        }
    }

    @Test func linesAreFlushedAtTheEnd() throws {
        try withLog([try HTTPInstance("web")]) { mesh, log in
            let client = try mesh.client()
            for _ in 0..<50 { _ = try client.exchange(host: Web.host) }
            kill(mesh.pid, SIGTERM)
            try demandEqual(try mesh.child.waitExit(within: 20), 0, "exit status")
            try demandEqual(try log.lines().count, 50, "lines")
        }
    }

    @Test func standardOutput() throws {
        try Web.with([try HTTPInstance("web")], ["--access-log", "stdout"]) { mesh in
            _ = try mesh.get(Web.host)
            kill(mesh.pid, SIGUSR1)
            _ = try mesh.get(Web.host)
            try eventually("two lines") { mesh.child.output.split(separator: "\n").count == 2 }
            for line in mesh.child.output.split(separator: "\n") { _ = try JSONValue(parsing: String(line)) }
        }
    }

    @Test func aLogThatCannotBeOpenedEndsTheStart() throws {
        let mesh = try MeshProcess(text: Catalogue([]).text, .init(["--access-log", "/nowhere/at/all"]))
        try demandEqual(try mesh.child.waitExit(within: 20), 1, "exit status")
        try demand(mesh.log.contains("--access-log /nowhere/at/all: open: No such file"), mesh.log)
    }
}

/// Lines of a log file as they come.
struct LogReader {
    let path: String

    init(_ path: String) { self.path = path }

    var text: String { TextFile.read(path) }

    /// Whole lines so far.
    var count: Int { text.utf8.reduce(0) { $0 + ($1 == 10 ? 1 : 0) } }

    func lines() throws -> [JSONValue] {
        try text.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    }

    /// The only line that is meant, once it is there.
    func line(_ isMeant: (JSONValue) -> Bool) throws -> JSONValue {
        try awaited("a line in the access log") {
            let text = text
            guard text.hasSuffix("\n") else { return nil }
            return try lines().first(where: isMeant)
        }
    }
}

extension JSONValue {
    func number(_ name: String) -> Int? {
        if case .number(let value)? = self[name] { Int(value) } else { nil }
    }
}
