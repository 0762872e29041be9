import Glibc
import Testing

/// `grpc://` probes against a real gRPC server (grpc.health.v1).
@Suite struct GRPCProbeTests {
    private func catalogue(_ port: String, _ url: String) -> Catalogue {
        Catalogue([
            Catalogue.Service(
                name: "greeter", labels: [("aliyun.routing.port_8080", "greeter.example")],
                instances: ["127.0.0.1:\(port)"]
            )
            .label("aliyun.probe.url", url).label("mesh.probe.interval_seconds", "0.2").label("mesh.probe.rise", "1")
        ])
    }

    @Test func theVerdictFollowsTheServer() throws {
        let files = try TemporaryDirectory()
        let flag = files.path + "/sick"
        let server = try PythonProgram.start(
            "health_server.py", [flag, "greeter.Greeter"], files: files.path + "/server")
        let port = try server.firstLine()
        try withMesh(catalogue(port, "grpc://container:8080/greeter.Greeter")) { mesh in
            func wait(for state: String) throws {
                try eventually("the instance is \(state)") { try mesh.state(of: "127.0.0.1:\(port)") == state }
            }
            try wait(for: "healthy")
            try TextFile.write("", to: flag)
            try wait(for: "unhealthy")
            try demand(mesh.log.contains("NOT_SERVING"), "the log names the answer")
            unlink(flag)
            try wait(for: "healthy")
        }
    }

    @Test func anUnknownServiceIsNotHealthy() throws {
        let files = try TemporaryDirectory()
        let server = try PythonProgram.start("health_server.py", [files.path + "/sick"], files: files.path + "/server")
        let port = try server.firstLine()
        try withMesh(catalogue(port, "grpc://container:8080/another.Service")) { mesh in
            try eventually("the refusal is logged") { mesh.log.contains("grpc-status 5") }
        }
        try withMesh(catalogue(port, "grpc://container:8080")) { mesh in
            try eventually("the server as a whole") { try mesh.state(of: "127.0.0.1:\(port)") == "healthy" }
        }
    }

    @Test func aServerOfAnotherProtocolIsNotHealthy() throws {
        let web = try HTTPInstance("web", Behave.named)
        let port = try #require(web.address.split(separator: ":").last.map(String.init))
        try withMesh(catalogue(port, "grpc://container:8080")) { mesh in
            try eventually("it fails") { try mesh.state(of: web.address) == "unhealthy" }
        }
    }
}
