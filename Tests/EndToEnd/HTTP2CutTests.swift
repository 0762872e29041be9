import Glibc
import Testing

/// Connections to instances of HTTP/2 that end at every state, with several streams open (`http2_cuts.py`).
@Suite struct HTTP2CutTests {
    struct Case: CustomTestStringConvertible {
        let mode: String
        /// Of GET `/first`, the first stream; GET, PUT and POST, which have come whole; and an upload under way.
        let outcomes: [String]
        /// Requests that are sent again.
        let retries: Double
        var testDescription: String { mode }
    }

    /// What may be repeated, or was refused before it was begun, goes out again. The rest is told.
    static let cases = [
        Case(mode: "fin", outcomes: ["200", "200", "200", "502", "502"], retries: 3),
        Case(mode: "rst", outcomes: ["200", "200", "200", "502", "502"], retries: 3),
        Case(mode: "partial", outcomes: ["200", "200", "200", "502", "502"], retries: 3),
        Case(mode: "garbage", outcomes: ["200", "200", "200", "502", "502"], retries: 3),
        Case(mode: "head", outcomes: ["cut", "200", "200", "502", "502"], retries: 2),
        Case(mode: "body", outcomes: ["cut", "200", "200", "502", "502"], retries: 2),
        Case(mode: "full", outcomes: ["200", "200", "200", "200", "200"], retries: 0),
        Case(mode: "goaway", outcomes: ["200", "200", "200", "200", "502"], retries: 3),
        Case(mode: "goaway_fin", outcomes: ["200", "200", "200", "200", "502"], retries: 4),
        Case(mode: "calm", outcomes: ["200", "200", "200", "200", "502"], retries: 4),
    ]

    static let requests = [
        ("GET", "/first"), ("GET", "/get"), ("PUT", "/put"), ("POST", "/post"), ("POST", "/upload"),
    ]

    private func with(_ mode: String, _ file: String = "", _ body: (MeshProcess, ChildProcess) throws -> Void) throws {
        let files = try TemporaryDirectory()
        let instance = try PythonProgram.start(
            "http2_cuts.py", [mode, String(Self.requests.count), file], files: files.path + "/instance")
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(try instance.firstLine())"])
        try withMesh(Catalogue([service]), .init(workers: 1)) { mesh in
            do { try body(mesh, instance) } catch { throw Failure("\(error)\n\(instance.errors)\(instance.output)") }
            try demandEqual(instance.errors, "", "what the instance has to complain of")
        }
    }

    private func nothingHangs(_ example: Case, _ mesh: MeshProcess) throws {
        try demandEqual(try mesh.metric("meshd_http_retries_total"), example.retries, "retries")
        try demandEqual(try mesh.get(Web.host, "/after").text, "GET /after", "the next request")
        try eventually("nothing is left") {
            try mesh.metric("meshd_http2_streams") == 0 && mesh.metric("meshd_worker_buffer_bytes") == 0
                && mesh.metric("meshd_http_connections") == 0 && mesh.metric("meshd_upstream_connections") == 1
        }
    }

    /// Each stream is another client's.
    @Test(arguments: cases) func clientsOfHTTP1(example: Case) throws {
        try with(example.mode) { mesh, instance in
            try demandEqual(try mesh.get(Web.host, "/warm").text, "GET /warm", "the first request")
            var clients: [HTTPTestClient] = []
            for (index, (method, path)) in Self.requests.enumerated() {
                clients.append(try mesh.client())
                let length = method == "GET" ? "" : "Content-Length: \(path == "/upload" ? 100 : 4)\r\n"
                let body = method == "GET" ? "" : "body"
                try clients[index].connection.send(
                    "\(method) \(path) HTTP/1.1\r\nHost: \(Web.host)\r\n\(length)\r\n\(body)")
                try eventually("\(path) has come") { instance.output.contains("\(path)\n") }
            }
            for (index, (method, path)) in Self.requests.enumerated() {
                let answer = try? clients[index].readResponse(to: method)
                try demandEqual(answer.map { String($0.status) } ?? "cut", example.outcomes[index], path)
                if answer?.status == 200 { try demandEqual(answer?.text, "\(method) \(path)", path) }
                if answer?.status == 502 {
                    let details = answer?.head["Proxy-Status"] ?? ""
                    try demand(details.contains("error=connection_terminated"), "\(path): \(details)")
                }
            }
            clients = []
            try nothingHangs(example, mesh)
        }
    }

    /// All streams are one client's, whose connection goes on.
    @Test(arguments: cases) func aClientOfHTTP2(example: Case) throws {
        try with(example.mode) { mesh, _ in
            _ = try mesh.get(Web.host, "/warm")
            let client = try PythonProgram.start(
                "http2_cases.py", [String(mesh.http), Web.host, "cut_upstream"], files: mesh.directory.path + "/client")
            try demandEqual(try client.waitExit(within: 40), 0, "exit of the client: \(client.errors)")
            let lines = client.output.split(separator: "\n")
            try demandEqual(lines.dropLast().map(String.init), example.outcomes, "outcomes")
            try nothingHangs(example, mesh)
        }
    }

    /// A fresh connection that breaks speaks against its instance: where there is no other, the client hears of it.
    @Test func aConnectionThatEndsAtOnce() throws {
        try with("accept") { mesh, _ in
            let answer = try mesh.get(Web.host)
            try demandEqual(answer.status, 502, "status")
            let details = answer.head["Proxy-Status"] ?? ""
            // It depends on whether the end comes together with the beginning.
            try demand(details.contains("_terminated") || details.contains("_refused"), details)
            try demandEqual(try mesh.get(Web.host, "/next").text, "GET /next", "the next request")
        }
    }

    /// What must not be repeated is not sent into a connection that the instance has just closed.
    @Test func aClosedConnectionIsNotTakenForAPost() throws {
        let files = try TemporaryDirectory()
        let close = files.path + "/close"
        try with("idle", close) { mesh, instance in
            let client = try mesh.client()
            try demandEqual(try client.exchange("GET", "/warm", host: Web.host).text, "GET /warm", "the first request")
            // What comes first is heard of first: the request, then the instance's end.
            mesh.child.signal(SIGSTOP)
            try eventually("every thread sleeps") {
                let shell = "! grep -L ') T ' /proc/\(mesh.pid)/task/*/stat | grep -q ."
                return try Tool.run(["/bin/sh", "-c", shell], in: files.path).status == 0
            }
            try client.send("POST", "/post", host: Web.host, body: Array("body".utf8))
            try TextFile.write("", to: close)
            try eventually("the instance has closed") { instance.output.contains("closed") }
            mesh.child.signal(SIGCONT)
            try demandEqual(try client.readResponse().text, "POST /post", "the answer")
            try demandEqual(try mesh.metric("meshd_upstream_connections_total"), 2, "connections")
        }
    }
}
