import Testing

/// Resumption by tickets.
@Suite struct TLSTicketTests {
    /// Whether a session from the one port is resumed at the other.
    private func resumes(
        _ version: String, from first: UInt16, at second: UInt16, in folder: String
    ) throws -> Bool {
        // In TLS 1.3 the ticket comes behind the handshake: a whole exchange waits for it.
        let shell = """
            printf 'GET / HTTP/1.1\\r\\nHost: web.example\\r\\nConnection: close\\r\\n\\r\\n' | \
            openssl s_client -connect 127.0.0.1:\(first) -servername web.example \(version) \
            -sess_out \(folder)/session -ign_eof
            """
        let made = try Tool.run(["/bin/sh", "-c", shell], in: folder)
        try demand(made.output.contains("New, TLS"), "the first handshake: \(made.output)")
        let arguments = ["-servername", "web.example", version, "-sess_in", "\(folder)/session"]
        let output = try OpenSSL.client(second, arguments, in: folder).output
        return output.contains("Reused, TLS")
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func ticketsShortenHandshakesOnEveryWorker(version: String) throws {
        try SecureMesh.with { secure in
            for _ in 0..<6 {
                try demand(
                    try resumes(version, from: secure.port, at: secure.port, in: secure.scratch), "resumed")
            }
            try demandEqual(try secure.mesh.metric("meshd_tls_resumed_total"), 6, "resumed")
        }
    }

    @Test func ticketsOutliveOneRotationAndNotThree() throws {
        try SecureMesh.with(["--ticket-rotation-seconds", "1"]) { secure in
            try demand(try resumes("-tls1_2", from: secure.port, at: secure.port, in: secure.scratch), "fresh")
            let arguments = ["-tls1_2", "-servername", "web.example", "-sess_in", "\(secure.scratch)/session"]
            try eventually("the key is gone") { try secure.client(arguments).output.contains("New, TLS") }
        }
    }

    @Test func nodesWithOneKeyFileTakeEachOthersTickets() throws {
        let keys = try TemporaryDirectory()
        let path = keys.path + "/keys"
        _ = try Tool.run(["/bin/sh", "-c", "openssl rand -base64 80 | tr -d '\\n' > \(path)"], in: keys.path)
        try SecureMesh.with(["--ticket-keys", path]) { first in
            try SecureMesh.with(["--ticket-keys", path]) { second in
                try demand(try resumes("-tls1_3", from: first.port, at: second.port, in: keys.path), "resumed")
                try SecureMesh.with { third in
                    try demand(
                        try !resumes("-tls1_3", from: first.port, at: third.port, in: keys.path), "keys of its own")
                }
            }
        }
    }

    @Test func aBrokenKeyFileEndsTheStart() throws {
        let keys = try TemporaryDirectory()
        try TextFile.write("not a key\n", to: keys.path + "/keys")
        let flags = ["--https", "127.0.0.1:\(FreePort.take())", "--ticket-keys", keys.path + "/keys"]
        let mesh = try MeshProcess(text: Catalogue([]).text, .init(flags))
        try demandEqual(try mesh.child.waitExit(), 1, "exit status")
        try demand(mesh.log.contains("not one to three lines of 80 octets in base64"), mesh.log)
    }
}
