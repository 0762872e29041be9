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
