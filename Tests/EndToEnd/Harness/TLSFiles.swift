import Glibc

/// Certificates made with the `openssl` command, and that command as a client.
enum OpenSSL {
    private static let program = "/usr/bin/openssl"

    enum Kind {
        case ec, rsa

        var options: [String] {
            switch self {
            case .ec: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            case .rsa: ["-newkey", "rsa:2048"]
            }
        }
    }

    /// Writes `NAME.crt` and `NAME.key`; the subject's CN is `name`.
    static func pair(_ folder: String, _ name: String, _ names: [String], _ kind: Kind = .ec) throws {
        // The key first, under another name: the certificate is there when the pair is whole.
        try run(
            ["req", "-x509"] + kind.options + [
                "-nodes", "-keyout", "\(folder)/.\(name).key", "-out", "\(folder)/.\(name).crt", "-days", "30",
                "-subj", "/CN=\(name)",
            ] + (names.isEmpty ? [] : ["-addext", "subjectAltName=\(alternatives(names))"]), in: folder)
        try replace("\(folder)/.\(name).key", "\(folder)/\(name).key")
        try replace("\(folder)/.\(name).crt", "\(folder)/\(name).crt")
    }

    static func alternatives(_ names: [String]) -> String { names.map { "DNS:\($0)" }.joined(separator: ",") }

    static func replace(_ old: String, _ new: String) throws {
        guard rename(old, new) == 0 else { throw Failure("rename \(old): errno \(errno)") }
    }

    /// Runs the command and demands that it goes well.
    static func run(_ arguments: [String], in folder: String) throws {
        let result = try Tool.run([program] + arguments, in: folder)
        try demandEqual(result.status, 0, "openssl \(arguments): \(result.errors)")
    }

    /// What `openssl s_client` says of a connection that ends at once.
    static func client(_ port: UInt16, _ arguments: [String], in folder: String) throws -> CommandResult {
        try Tool.run([program, "s_client", "-connect", "127.0.0.1:\(port)"] + arguments, in: folder)
    }
}

/// A certificate authority and what it has signed, in a folder of its own: `ca.crt`, `NAME.crt` with `NAME.key`.
final class CertificateAuthority {
    private let folder: TemporaryDirectory
    private static let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    init() throws {
        folder = try TemporaryDirectory()
        let subject = ["-subj", "/CN=authority", "-days", "30"]
        try OpenSSL.run(
            ["req", "-x509"] + Self.key + subject + ["-keyout", path("ca.key"), "-out", path("ca.crt")],
            in: folder.path)
    }

    func path(_ file: String) -> String { "\(folder.path)/\(file)" }

    /// Signs a pair for servers and clients.
    ///
    /// - Parameters:
    ///   - names: as in a subject alternative name: `IP:127.0.0.1`.
    ///   - isExpired: it has ended.
    func sign(_ name: String, _ names: String, isExpired: Bool = false) throws {
        let text = "subjectAltName=\(names)\nextendedKeyUsage=serverAuth,clientAuth\n"
        try TextFile.write(text, to: path("\(name).ext"))
        try OpenSSL.run(
            ["req", "-new"] + Self.key + [
                "-subj", "/O=\(name)", "-keyout", path("\(name).key"), "-out", path("\(name).csr"),
            ], in: folder.path)
        try OpenSSL.run(
            [
                "x509", "-req", "-in", path("\(name).csr"), "-CA", path("ca.crt"), "-CAkey", path("ca.key"),
                "-CAcreateserial", "-days", isExpired ? "-1" : "30", "-extfile", path("\(name).ext"), "-out",
                path("\(name).crt"),
            ], in: folder.path)
    }
}

/// Short commands.
enum Tool {
    static func run(_ words: [String], in folder: String, within seconds: Double = 30) throws -> CommandResult {
        // Names of its own, so that commands can run beside each other.
        var template = Array("\(folder)/tool-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("mkdtemp: errno \(errno)") }
        let place = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let child = try ChildProcess(words[0], Array(words.dropFirst()), files: place + "/run")
        let status = try child.waitExit(within: seconds)
        return CommandResult(status: status, output: child.output, errors: child.errors)
    }

    static func curl(_ arguments: [String], in folder: String) throws -> CommandResult {
        try run(["/usr/bin/curl", "-sS", "-m", "20"] + arguments, in: folder)
    }

    /// The lines that a mode of `tls_client.py` says.
    static func tlsClient(_ mode: String, _ port: UInt16, _ arguments: [String], in folder: String) throws -> [String] {
        let child = try PythonProgram.start(
            "tls_client.py", [mode, "\(port)"] + arguments, files: "\(folder)/tls-\(mode)-\(port)")
        let status = try child.waitExit(within: 60)
        try demandEqual(status, 0, "tls_client.py \(mode): \(child.errors)")
        return child.output.split(separator: "\n").map(String.init)
    }
}

/// A mesh with a TLS listener and a folder of certificates.
final class SecureMesh {
    let folder: TemporaryDirectory
    let mesh: MeshProcess
    let port: UInt16

    var certificates: String { folder.path }
    var scratch: String { mesh.directory.path }

    /// - Parameter prepare: fills the folder of certificates.
    init(
        _ catalogue: Catalogue, _ flags: [String] = [], workers: Int = 2, _ prepare: (String) throws -> Void
    ) throws {
        folder = try TemporaryDirectory()
        try prepare(folder.path)
        port = FreePort.take()
        let own = ["--https", "127.0.0.1:\(port)", "--certificates", folder.path]
        mesh = try MeshProcess.started(text: catalogue.text, .init(own + flags, workers: workers))
    }

    /// The usual one: `web.example` with one certificate.
    static func with(
        _ flags: [String] = [], workers: Int = 2, behaviour: @escaping HTTPInstance.Behaviour = Behave.named,
        _ body: (SecureMesh) throws -> Void
    ) throws {
        let instance = try HTTPInstance("web", behaviour)
        let secure = try SecureMesh(Catalogue([.web("web", Web.host, [instance])]), flags, workers: workers) {
            try OpenSSL.pair($0, "web", ["web.example"])
        }
        do {
            try body(secure)
        } catch {
            throw Failure("\(error)\n\(secure.mesh.tail)")
        }
    }

    /// One request with curl, which does not look at the certificate; its standard output.
    func curl(_ host: String, _ path: String = "/", _ arguments: [String] = []) throws -> CommandResult {
        try Tool.curl(
            ["-k", "--resolve", "\(host):\(port):127.0.0.1", "https://\(host):\(port)\(path)"] + arguments, in: scratch)
    }

    func client(_ arguments: [String]) throws -> CommandResult {
        try OpenSSL.client(port, arguments, in: scratch)
    }

    func python(_ mode: String, _ arguments: [String]) throws -> String {
        try Tool.tlsClient(mode, port, arguments, in: scratch).last ?? ""
    }
}
