import Testing

/// Clients' certificates that end while tickets of their sessions are about.
@Suite struct TLSCertificateEndTests {
    struct Case: CustomTestStringConvertible {
        /// What is short-lived: the client's certificate, or the one that vouches for it.
        let short: String
        let version: String
        let mode: String
        var testDescription: String { "\(short), TLS \(version), \(mode)" }
    }

    static let cases = [
        Case(short: "ann", version: "1_2", mode: "optional"), Case(short: "ann", version: "1_3", mode: "required"),
        Case(short: "middle", version: "1_2", mode: "required"),
        Case(short: "middle", version: "1_3", mode: "optional"),
    ]

    /// `root.pem`; `sign NAME AUTHORITY SECONDS KIND` makes `NAME.crt` and `NAME.key`.
    private static let script = """
        set -e
        key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        if ! [ -e root.pem ]; then
        openssl req -x509 $key -days 30 -subj /CN=root -keyout root.key -out root.pem
        : >index.txt
        cat >ca.cnf <<-END
        [d]
        database=index.txt
        new_certs_dir=.
        unique_subject=no
        rand_serial=yes
        policy=p
        [p]
        commonName=supplied
        [authority]
        basicConstraints=critical,CA:true
        [leaf]
        basicConstraints=CA:false
        END
        fi
        sign() {
        openssl req -new $key -subj /CN=$1 -keyout $1.key -out $1.csr
        openssl ca -batch -config ca.cnf -name d -md sha256 -notext -in $1.csr -out $1.crt -cert $2 \
        -keyfile ${2%.*}.key -extensions $4 -startdate 20200101000000Z \
        -enddate $(date -u -d "+$3 seconds" +%Y%m%d%H%M%SZ)
        }
        month=2592000
        [ $1 = middle ] && middle=$2 || middle=$month
        [ $1 = ann ] && ann=$2 || ann=$month
        sign lasting root.pem $month leaf
        sign middle root.pem $middle authority
        sign ann middle.crt $ann leaf
        """

    private struct Client {
        let secure: SecureMesh
        let folder: String
        let version: String

        /// The output of one exchange.
        func request(_ arguments: [String]) throws -> String {
            let shell = """
                printf 'GET / HTTP/1.1\\r\\nHost: web.example\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client \
                -tls\(version) -connect 127.0.0.1:\(secure.port) -servername web.example -ign_eof "$@"
                """
            let result = try Tool.run(["/bin/sh", "-c", shell, "sh"] + arguments, in: folder)
            try demand(result.output.contains("CONNECTED"), "openssl: \(result.errors)")
            return result.output
        }

        func shows(_ name: String, _ arguments: [String]) throws -> String {
            let chain = name == "ann" ? ["-cert_chain", "\(folder)/middle.crt"] : []
            return try request(["-cert", "\(folder)/\(name).crt", "-key", "\(folder)/\(name).key"] + chain + arguments)
        }
    }

    private func make(_ short: String, _ seconds: Int, _ folder: String) throws {
        let script = "cd \(folder)\n" + Self.script
        let result = try Tool.run(["/bin/sh", "-c", script, "sh", short, String(seconds)], in: folder)
        try demandEqual(result.status, 0, "certificates: \(result.errors)")
    }

    /// Sessions `first`, and `second` that was made when that was resumed, while the certificates were good. Where they
    /// end too soon for this machine they get more time.
    private func open(_ client: Client, _ short: String) throws {
        for seconds in [2, 4, 8, 16] {
            try make(short, seconds, client.folder)
            let first = try client.shows("ann", ["-sess_out", "\(client.folder)/first"])
            guard first.contains("CN=ann") else { continue }
            let again = ["-sess_in", "\(client.folder)/first", "-sess_out", "\(client.folder)/second"]
            if try client.request(again).contains("Reused, TLS") { return }
        }
        throw Failure("the certificates are never good, or a session is never resumed")
    }

    @Test(arguments: cases) func ticketsEndWithTheCertificates(_ example: Case) throws {
        let files = try TemporaryDirectory()
        try make(example.short, 60, files.path)
        let flags = ["--client-certificates", example.mode, "--client-ca", "\(files.path)/root.pem"]
        let told: HTTPInstance.Behaviour = { exchange in
            try exchange.answer(text: "subject (\(exchange.head["X-Client-Cert-Subject"] ?? ""))")
            return .keep
        }
        try SecureMesh.with(flags, behaviour: told) { secure in
            let client = Client(secure: secure, folder: files.path, version: example.version)
            try open(client, example.short)
            _ = try client.shows("lasting", ["-sess_out", "\(files.path)/lasting"])
            // TLS 1.2 makes a second ticket only for one of an older key.
            for session in example.version == "1_2" ? ["first"] : ["first", "second"] {
                let resumes = ["-sess_in", "\(files.path)/\(session)"]
                try eventually(within: 30, "\(session) is not resumed") {
                    try !client.request(resumes).contains("Reused, TLS")
                }
                let without = try client.request(resumes)
                let taken = example.mode == "optional" ? "subject ()" : nil
                try demandEqual(without.contains("HTTP/1.1 200"), taken != nil, "without a certificate: \(without)")
                if let taken { try demand(without.contains(taken), "nobody: \(without)") }
                let ended = try client.shows("ann", resumes)
                try demand(!ended.contains("HTTP/1.1 200"), "a certificate that has ended: \(ended)")
            }
            let lasting = try client.request(["-sess_in", "\(files.path)/lasting"])
            try demand(lasting.contains("Reused, TLS") && lasting.contains("(CN=lasting)"), "lasting: \(lasting)")
        }
    }
}
