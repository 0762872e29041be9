import Glibc

/// nginx as an instance: one that bears any number of connections, and bodies of any size.
enum Nginx {
    /// - Parameters:
    ///   - folder: made for it; also its root.
    ///   - more: what the server says beside where it listens.
    static func start(_ folder: String, isHTTP2: Bool = false, _ more: String) throws -> (ChildProcess, UInt16) {
        let port = FreePort.take()
        try demandEqual(mkdir(folder, 0o700), 0, "mkdir \(folder)")
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(folder)/\($0);" }
        let configuration = """
            daemon off;
            master_process off;
            user root;
            pid \(folder)/pid;
            error_log stderr;
            events { worker_connections 4096; }
            http {
                access_log off;
                client_max_body_size 0;
                \(paths.joined(separator: " "))
                server {
                    listen 127.0.0.1:\(port)\(isHTTP2 ? " http2" : "");
                    root \(folder);
                    \(more)
                }
            }
            """
        try TextFile.write(configuration, to: folder + "/conf")
        let server = try ChildProcess("/usr/sbin/nginx", ["-c", folder + "/conf"], files: folder + "/nginx")
        try eventually("nginx listens: \(server.errors)") { (try? Connection.open(port)) != nil }
        return (server, port)
    }
}
