import Testing

/// One mesh of one worker with a tunnel instance (`tunnel_instance.py`), and its clients (`tunnel_client.py`).
struct TunnelBench {
    /// What either side speaks: `h1`, `h2`, `h2s` over TLS.
    struct Mix: CustomTestStringConvertible {
        let client: String
        let instance: String
        var testDescription: String { "\(client) to \(instance)" }

        static func all(_ names: [String]) -> [Mix] {
            names.flatMap { client in names.map { Mix(client: client, instance: $0) } }
        }
    }

    let mix: Mix
    let mesh: MeshProcess
    let instance: ChildProcess
    let service: Catalogue.Service
    /// Where clients connect to.
    private let port: UInt16

    func start(_ name: String, _ argument: String = "") throws -> ChildProcess {
        try PythonProgram.start(
            "tunnel_client.py", [String(port), Web.host, mix.client, name, argument],
            files: "\(mesh.directory.path)/case-\(name)-\(argument.utf8.count)")
    }

    func finish(_ child: ChildProcess) throws {
        let status = try child.waitExit(within: 60)
        try demandEqual(status, 0, "exit of the case: \(child.errors)")
        try demandEqual(child.output.split(separator: "\n").last, "done", "last line")
    }

    func run(_ name: String, _ argument: String = "") throws { try finish(try start(name, argument)) }

    /// A file that makes the client go on.
    func file(_ name: String) -> String { "\(mesh.directory.path)/\(name)" }

    /// What the instance says of ended tunnels.
    var endings: [Substring] { instance.output.split(separator: "\n").dropFirst().map { $0 } }

    func nothingIsLeft() throws {
        try eventually("nothing is left") {
            try mesh.metric("meshd_http2_streams") == 0 && mesh.metric("meshd_worker_buffer_bytes") == 0
                && mesh.metric("meshd_http_connections") == 0
        }
    }

    // MARK: - Making one

    /// - Parameter instance: further options of `tunnel_instance.py`.
    static func with(
        _ mix: Mix, _ flags: [String] = [], instance options: [String] = [], _ body: (TunnelBench) throws -> Void
    ) throws {
        let files = try TemporaryDirectory()
        try OpenSSL.pair(files.path, "web", ["web", Web.host])
        let (certificate, key) = ("\(files.path)/web.crt", "\(files.path)/web.key")
        let instance = try PythonProgram.start(
            "tunnel_instance.py", [mix.instance, "certificate=\(certificate)", "key=\(key)"] + options,
            files: files.path + "/instance")
        let service = service(mix, "127.0.0.1:\(try instance.firstLine())", certificate)
        let secure = FreePort.take()
        let own = mix.client == "h2s" ? ["--https", "127.0.0.1:\(secure)", "--certificates", files.path] : []
        try withMesh(Catalogue([service]), .init(own + flags, workers: 1)) { mesh in
            let bench = TunnelBench(
                mix: mix, mesh: mesh, instance: instance, service: service,
                port: mix.client == "h2s" ? secure : mesh.http)
            do { try body(bench) } catch { throw Failure("\(error)\n\(instance.errors)\(instance.output)") }
            try demandEqual(instance.errors, "", "what the instance has to complain of")
        }
    }

    private static func service(_ mix: Mix, _ address: String, _ certificate: String) -> Catalogue.Service {
        let own: [(String, String)] =
            switch mix.instance {
            case "h1": []
            case "h2s": [("mesh.protocol", "h2"), ("mesh.tls.ca", certificate)]
            default: [("mesh.protocol", "h2c")]
            }
        return .init(name: "web", labels: [("aliyun.routing.port_8080", Web.host)] + own, instances: [address])
    }
}
