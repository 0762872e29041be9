import Testing

/// HTTP/2 as few clients and instances speak it.
@Suite struct HTTP2OddTests {
    private func run(_ name: String, _ port: UInt16, _ folder: String) throws {
        let child = try PythonProgram.start(
            "http2_odd.py", ["\(port)", Web.host, name], files: "\(folder)/odd-\(name)")
        let status = try child.waitExit(within: 40)
        try demandEqual(status, 0, "exit of \(name): \(child.errors)")
    }

    @Test(arguments: ["legal", "shut_window"]) func cases(name: String) throws {
        try Web.with(HTTP2Tests.behaviour()) { mesh, instance in
            try run(name, mesh.http, mesh.directory.path)
            try demandEqual(instance.malformed, [], "what the instance could not read")
            try demandEqual(try mesh.metric("meshd_http_timeouts_total"), 0, "timeouts")
            try eventually("nothing is left") {
                try mesh.metric("meshd_http2_streams") == 0 && mesh.metric("meshd_worker_buffer_bytes") == 0
            }
        }
    }

    /// A client that agrees on `h2` and sends no preface is idle like any other.
    @Test func whoSaysNothingIsEndedInOrder() throws {
        try SecureMesh.with(["--idle-timeout-seconds", "0.3"]) { secure in
            try run("speechless", secure.port, secure.scratch)
            try eventually("nothing is left") { try secure.mesh.metric("meshd_http2_connections") == 0 }
        }
    }

    /// Draining an instance ends the connection that its streams share, behind the last of them.
    @Test func aDrainedInstanceFinishesItsStreams() throws {
        let files = try TemporaryDirectory()
        let instance = try PythonProgram.start("http2_instance.py", files: files.path + "/instance")
        let address = "127.0.0.1:\(try instance.firstLine())"
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2c")],
            instances: [address])
        try withMesh(Catalogue([service]), .init(workers: 1)) { mesh in
            let client = try mesh.client()
            try client.connection.send(
                "POST /bidi HTTP/1.1\r\nHost: \(Web.host)\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            try eventually("the request is there") { try mesh.metric("meshd_http2_upstream_streams_total") == 1 }
            let held = try mesh.run(
                ["drain", "web/\(address)", "--wait", "--timeout", "1s", "--admin", mesh.admin])
            try demandEqual(held.status, 1, "exit while in flight: \(held.output)\(held.errors)")
            try demandEqual(try mesh.get(Web.host).status, 503, "no new stream")
            try client.connection.send("3\r\ndef\r\n0\r\n\r\n")
            try demandEqual(try client.readResponse().text, "abcdef", "what was in flight")
            let done = try mesh.run(["drain", "web/\(address)", "--wait", "--admin", mesh.admin])
            try demandEqual(done.status, 0, "exit: \(done.errors)")
            try eventually("its connection is gone") { try mesh.metric("meshd_upstream_connections") == 0 }
        }
    }

    /// A head that is none and ends its stream at once is known to be none at once, and is asked for once.
    @Test(arguments: ["GET", "POST"]) func anInstancesHeadThatIsNone(method: String) throws {
        let files = try TemporaryDirectory()
        let instance = try PythonProgram.start("http2_instance.py", files: files.path + "/instance")
        let service = Catalogue.Service(
            name: "web", labels: [("aliyun.routing.port_8080", Web.host), ("mesh.protocol", "h2c")],
            instances: ["127.0.0.1:\(try instance.firstLine())"])
        try withMesh(Catalogue([service])) { mesh in
            let answer = try mesh.client().exchange(method, "/status", host: Web.host, body: [])
            try demandEqual(answer.status, 502, "status")
            try demand(answer.proxyStatus?.contains("http_protocol_error") == true, "\(answer.head)")
            try demandEqual(try mesh.metric("meshd_http_malformed_responses_total"), 1, "malformed")
            try demandEqual(try mesh.metric("meshd_http_retries_total"), 0, "retries")
            try demandEqual(try mesh.metric("meshd_http_timeouts_total"), 0, "timeouts")
        }
    }
}
