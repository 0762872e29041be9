import Glibc
import Testing

/// gRPC with grpcio on both sides.
@Suite struct GRPCTests {
    private static let host = "greeter.example"

    private func with(_ flags: [String] = [], _ body: (MeshProcess, Catalogue) throws -> Void) throws {
        let files = try TemporaryDirectory()
        let server = try PythonProgram.start("grpc_server.py", files: files.path + "/server")
        let service = Catalogue.Service(
            name: "greeter", labels: [("aliyun.routing.port_8080", Self.host), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(try server.firstLine())"])
        let catalogue = Catalogue([service])
        try withMesh(catalogue, .init(flags)) { try body($0, catalogue) }
    }

    private func start(
        _ name: String, _ mesh: MeshProcess, host: String = GRPCTests.host, _ argument: String = ""
    ) throws -> ChildProcess {
        try PythonProgram.start(
            "grpc_client.py", [String(mesh.http), host, name, argument], files: "\(mesh.directory.path)/client-\(name)")
    }

    private func finish(_ child: ChildProcess) throws -> String {
        let status = try child.waitExit(within: 40)
        try demandEqual(status, 0, "exit of the client: \(child.errors)")
        return child.output
    }

    @Test func everyKindOfCall() throws {
        try with { mesh, _ in
            _ = try finish(try start("kinds", mesh))
            try demandEqual(try mesh.metric("meshd_http_retries_total"), 0, "retries")
            try demandEqual(try mesh.metric("meshd_http_cut_responses_total"), 0, "cut responses")
        }
    }

    /// TLS on the client's side, HTTP/2 chosen by ALPN.
    @Test func everyKindOfCallOverTLS() throws {
        let files = try TemporaryDirectory()
        let server = try PythonProgram.start("grpc_server.py", files: files.path + "/server")
        let service = Catalogue.Service(
            name: "greeter", labels: [("aliyun.routing.port_8080", Self.host), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(try server.firstLine())"])
        let secure = try SecureMesh(Catalogue([service])) { try OpenSSL.pair($0, "greeter", [Self.host]) }
        let client = try PythonProgram.start(
            "grpc_client.py", ["\(secure.port)", Self.host, "secure_kinds", secure.certificates + "/greeter.crt"],
            files: secure.scratch + "/client")
        _ = try finish(client)
        try demandEqual(try secure.mesh.metric("meshd_http_cut_responses_total"), 0, "cut responses")
    }

    @Test func aStreamOutlivesAHundredCatalogueChanges() throws {
        try with { mesh, first in
            var catalogue = first
            let stop = mesh.directory.path + "/stop"
            let client = try start("stream", mesh, stop)
            try demandEqual(try client.firstLine(), "open", "the client's first line")
            let web = try HTTPInstance("web", Behave.named)
            for change in 1...100 {
                catalogue["web"] = .web("web", "web-\(change).example", [web])
                try mesh.write(catalogue)
                try eventually("change \(change) is in force") {
                    try mesh.get("web-\(change).example").status == 200
                }
            }
            try TextFile.write("", to: stop)
            let output = try finish(client).split(separator: "\n")
            let messages = output.dropLast().last.flatMap { Int($0) } ?? 0
            try demand(messages > 100, "\(messages) messages came back")
        }
    }

    /// What meshd answers itself is a gRPC status.
    @Test func ownFailuresAreStatuses() throws {
        let gone = Catalogue.Service(
            name: "gone", labels: [("aliyun.routing.port_8080", "gone.example"), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(FreePort.take())"])
        let none = Catalogue.Service(
            name: "none", labels: [("aliyun.routing.port_8080", "none.example"), ("mesh.protocol", "h2c")])
        try withMesh(Catalogue([gone, none])) { mesh in
            for (host, line) in [
                ("gone.example", "UNAVAILABLE no instance could be reached"),
                ("none.example", "UNAVAILABLE no healthy instance"),
                ("nobody.example", "UNIMPLEMENTED no route for this host and path"),
            ] {
                let output = try finish(try start("status", mesh, host: host))
                try demandEqual(output.split(separator: "\n").first.map(String.init), line, host)
            }
        }
    }

    @Test func theCallersDeadlineHolds() throws {
        try with { mesh, _ in
            _ = try finish(try start("deadline", mesh))
        }
        // meshd's own clock, as a caller sees it who does not look at his.
        let gate = Gate()
        defer { gate.open() }
        try Web.with(Behave.held(gate)) { mesh, _ in
            let client = try mesh.client()
            let answer = try client.exchange(
                "POST", "/mesh.Test/Sleep", host: Web.host,
                [("Content-Type", "application/grpc+proto"), ("grpc-timeout", "300m"), ("TE", "trailers")], body: [])
            try demandEqual(answer.status, 200, "HTTP status")
            try demandEqual(answer.head["grpc-status"], "4", "DEADLINE_EXCEEDED")
            try demandEqual(answer.head["Content-Type"], "application/grpc", "content type")
            try demandEqual(answer.body.count, 0, "body")
        }
    }

    /// Where messages have gone out, the status comes in trailers: a reset would tell of HTTP/2, not of the call.
    @Test func callsUnderWayEndWithAStatus() throws {
        let gate = Gate()
        defer { gate.open() }
        try Web.with({ exchange in
            if exchange.target == "/connect" { return .close }
            try exchange.connection.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "6\r\n\0\0\0\0\u{1}a\r\n" + (exchange.target == "/broken" ? "what\r\n" : ""))
            if !["/broken", "/closed"].contains(exchange.target) { gate.wait() }
            return .close
        }) { mesh, _ in
            for (argument, line) in [
                ("/held 300m", "ended a 4 the caller's deadline has passed"),
                ("/open 300m", "0 a 4 the caller's deadline has passed"),
                ("/closed ", "ended a 14 the instance closed within its response"),
                ("/broken ", "ended a 14 the response is malformed"),
            ] {
                let child = try PythonProgram.start(
                    "http2_odd.py", [String(mesh.http), Web.host, "call", argument],
                    files: "\(mesh.directory.path)/call-\(argument.dropFirst())")
                let output = try finish(child)
                try demandEqual(output.split(separator: "\n").first.map(String.init), line, argument)
            }
            try demandEqual(try mesh.metric("meshd_http_cut_responses_total"), 4, "cut responses")
        }
    }

    /// An instance that takes no connection: the caller's time is shorter than ours, and says nothing against it.
    @Test func theCallersDeadlineHoldsForConnecting() throws {
        let full = try FullBacklog()
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host)],
            instances: ["127.0.0.1:\(full.port)"])
        try withMesh(Catalogue([service]), .init(["--connect-timeout-seconds", "15"])) { mesh in
            let answer = try mesh.client().exchange(
                "POST", "/mesh.Test/Any", host: Web.host,
                [("Content-Type", "application/grpc"), ("grpc-timeout", "300m"), ("TE", "trailers")], body: [])
            try demandEqual(answer.head["grpc-status"], "4", "DEADLINE_EXCEEDED")
            try demandEqual(try mesh.metric("meshd_upstream_dial_failures_total"), 0, "failed dials")
        }
    }
}
