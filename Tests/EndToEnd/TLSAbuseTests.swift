import Testing

/// TLS clients that are slow, silent or hostile.
@Suite struct TLSAbuseTests {
    private static let numbers = 1 << 19

    /// The numbers below `numbers`, 16 hexadecimal digits each: 8 MiB, more than the sockets hold.
    private static let big: [UInt8] = {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(16 * numbers)
        for number in 0..<numbers {
            for place in (0..<16).reversed() { text.append(digits[number >> (4 * place) & 15]) }
        }
        return text
    }()

    private static let behaviour: HTTPInstance.Behaviour = { exchange in
        if exchange.target == "/big" {
            try exchange.answer(body: big)
        } else {
            try exchange.answer(text: "small")
        }
        return .keep
    }

    private func client(_ secure: SecureMesh, _ mode: String, _ arguments: [String]) throws -> String {
        let child = try PythonProgram.start(
            "tls_abuse.py", [mode, "\(secure.port)"] + arguments, files: "\(secure.scratch)/\(mode)")
        try demandEqual(try child.waitExit(within: 60), 0, "\(mode): \(child.errors)")
        return child.output.split(separator: "\n").last.map(String.init) ?? ""
    }

    private func isServing(_ secure: SecureMesh) throws {
        try demandEqual(try secure.curl("web.example").output, "small", "others are served")
        try eventually("nothing is left") { try secure.mesh.metric("meshd_tls_handshakes") == 0 }
    }

    /// The socket takes less than was gathered for it, again and again, and at places that are no record's end.
    @Test(arguments: ["1.2", "1.3"], ["1000", "70000"])
    func aSlowReaderGetsEveryByteOnce(version: String, piece: String) throws {
        try SecureMesh.with(workers: 1, behaviour: Self.behaviour) { secure in
            let told = try client(secure, "slow", [version, piece, "\(Self.numbers)"])
            try demandEqual(told, "whole small", "the answers")
            try eventually("no buffer is held") { try secure.mesh.metric("meshd_worker_buffer_bytes") == 0 }
        }
    }

    @Test func aSlowReaderOverHTTP2GetsEveryByteOnce() throws {
        try SecureMesh.with(workers: 1, behaviour: Self.behaviour) { secure in
            let file = secure.scratch + "/big"
            let options = ["--http2", "--limit-rate", "16M", "-o", file]
            let result = try secure.curl("web.example", "/big", options)
            try demandEqual(result.status, 0, result.errors)
            try demandEqual(TextFile.read(file), String(decoding: Self.big, as: UTF8.self), "the body")
            try eventually("no buffer is held") { try secure.mesh.metric("meshd_worker_buffer_bytes") == 0 }
        }
    }

    @Test(arguments: ["1.2", "1.3"])
    func whoLeavesInTheMiddleLeavesNothingBehind(version: String) throws {
        try SecureMesh.with(workers: 1, behaviour: Self.behaviour) { secure in
            for _ in 0..<3 { try demandEqual(try client(secure, "leave", [version]), "left", "the client") }
            try eventually("no buffer is held") { try secure.mesh.metric("meshd_worker_buffer_bytes") == 0 }
            try isServing(secure)
        }
    }

    /// (head of a record, octets behind it): longer than any record may be, of no known kind, that does not decrypt.
    @Test(
        arguments: ["1.2", "1.3"],
        [("170303ffff", 70_000), ("1703034841", 20_000), ("ff03030010", 16), ("1703030020", 32)])
    func aBrokenRecordEndsTheConnection(version: String, record: (head: String, octets: Int)) throws {
        try SecureMesh.with(behaviour: Self.behaviour) { secure in
            let told = try client(secure, "record", [version, record.head, "\(record.octets)"])
            try demandEqual(told, "closed", "the connection")
            try isServing(secure)
        }
    }

    @Test func whoFallsSilentInTheHandshakeIsClosed() throws {
        try SecureMesh.with(["--handshake-timeout-seconds", "0.5"], behaviour: Self.behaviour) { secure in
            let told = try client(secure, "silent", ["20"])
            try demandEqual(told.split(separator: " ").filter { $0 == "closed" }.count, 20, told)
            try demandEqual(
                try secure.mesh.metric("meshd_tls_handshake_failures_total{cause=\"timeout\"}"), 20, "counted")
            try isServing(secure)
        }
    }

    /// A client of TLS 1.2 could have the server compute handshake after handshake on one connection.
    @Test func renegotiationIsRefused() throws {
        try SecureMesh.with(behaviour: Self.behaviour) { secure in
            // The shell holds the pipe open: the client would leave at its end, before it hears an answer.
            let shell = """
                mkfifo pipe; exec 3<>pipe; echo R >&3
                exec openssl s_client -tls1_2 -connect 127.0.0.1:\(secure.port) -servername web.example <pipe
                """
            let result = try Tool.run(["/bin/sh", "-c", "cd \(secure.scratch)\n\(shell)"], in: secure.scratch)
            try demand(result.errors.contains("RENEGOTIATING"), result.errors)
            try demand(result.errors.contains("no renegotiation"), result.errors)
            try demandEqual(try secure.mesh.metric("meshd_tls_handshakes_total"), 1, "handshakes")
            try isServing(secure)
        }
    }
}
