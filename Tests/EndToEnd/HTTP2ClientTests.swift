import Testing

/// Whole clients: curl, nghttp, h2load.
@Suite struct HTTP2ClientTests {
    private func run(_ program: String, _ arguments: [String], _ mesh: MeshProcess) throws -> String {
        let child = try ChildProcess("/usr/bin/\(program)", arguments, files: "\(mesh.directory.path)/\(program)")
        let status = try child.waitExit(within: 40)
        try demandEqual(status, 0, "exit of \(program): \(child.errors)\(child.output.suffix(300))")
        return child.output
    }

    private func curl(_ mesh: MeshProcess, _ path: String, _ more: [String] = []) throws -> String {
        try run(
            "curl",
            [
                "-s", "--max-time", "30", "--http2-prior-knowledge", "--resolve",
                "\(Web.host):\(mesh.http):127.0.0.1", "http://\(Web.host):\(mesh.http)\(path)",
            ] + more, mesh)
    }

    @Test func curlGetsAndPosts() throws {
        try Web.with(Behave.echoBody) { mesh, instance in
            try demandEqual(try curl(mesh, "/", ["-d", "hello", "-w", "%{http_version}"]), "hello2", "echo")
            try demandEqual(instance.requests.last?.head["X-Forwarded-For"], "127.0.0.1", "X-Forwarded-For")
            // An upgrade from HTTP/1.1 is not offered; the request is served as it is.
            let plain = try run(
                "curl",
                [
                    "-s", "--http2", "-w", "%{http_version}", "-H", "Host: \(Web.host)", "-d", "plain",
                    "http://127.0.0.1:\(mesh.http)/",
                ], mesh)
            try demandEqual(plain, "plain1.1", "no h2c upgrade")
        }
    }

    /// 64 MiB each way at once, through bounded memory.
    @Test func largeBodiesBothWays() throws {
        let size = 64 << 20
        try Web.with({ exchange in
            if exchange.method == "GET" {
                try exchange.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                for offset in stride(from: 0, to: size, by: 1 << 20) {
                    try exchange.connection.send(Pattern.bytes(1 << 20, from: offset))
                }
            } else {
                let body = try exchange.readBody()
                try exchange.answer(text: Pattern.matches(body) ? "\(body.count)" : "damaged")
            }
            return .keep
        }) { mesh, _ in
            let (sent, got) = ("\(mesh.directory.path)/sent", "\(mesh.directory.path)/got")
            try TextFile.write(bytes: Pattern.bytes(size), to: sent)
            try demandEqual(try curl(mesh, "/", ["-T", sent]), String(size), "upload")
            _ = try curl(mesh, "/", ["-o", got])
            try demand(Pattern.matches(TextFile.bytes(got)), "download")
            try demand(try mesh.residentKiB() < 64 << 10, "resident: \(try mesh.residentKiB()) KiB")
        }
    }

    @Test func overTLSByALPN() throws {
        let instance = try HTTPInstance("web", Behave.echoBody)
        let secure = try SecureMesh(Catalogue([.web("web", Web.host, [instance])])) {
            try OpenSSL.pair($0, "web", [Web.host])
        }
        let body = Pattern.bytes(5_000_000)
        let file = "\(secure.mesh.directory.path)/body"
        try TextFile.write(bytes: body, to: file)
        let got = try secure.curl(
            Web.host, "/", ["--http2", "--data-binary", "@\(file)", "-o", "\(file).got", "-w", "%{http_version}"])
        try demandEqual(got.output, "2", "protocol")
        try demand(TextFile.bytes("\(file).got") == body, "echo")
        try demandEqual(instance.requests.last?.head["X-Forwarded-Proto"], "https", "X-Forwarded-Proto")
        let output = try run(
            "h2load",
            [
                "-n", "2000", "-c", "4", "-m", "16", "-H", ":authority: \(Web.host)",
                "https://127.0.0.1:\(secure.port)/",
            ], secure.mesh)
        try demand(output.contains("status codes: 2000 2xx"), output)
    }

    @Test func nghttpAndH2load() throws {
        try Web.with(Behave.named) { mesh, _ in
            let url = "http://127.0.0.1:\(mesh.http)/"
            try demandEqual(try run("nghttp", ["-H", ":authority: \(Web.host)", url], mesh), "web", "nghttp")
            let output = try run(
                "h2load", ["-n", "5000", "-c", "4", "-m", "32", "-H", ":authority: \(Web.host)", url], mesh)
            try demand(output.contains("5000 succeeded, 0 failed"), output)
            try demand(output.contains("status codes: 5000 2xx"), output)
        }
    }
}
