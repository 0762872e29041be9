/// Bytes through a relay.
enum Relay {
    /// Sends back what comes until the peer closes its side.
    static let echo: TCPInstance.Serve = { connection in
        while let bytes = try? connection.readSome() {
            guard connection.sendAsFarAsTaken(bytes) == bytes.count else { return }
        }
    }

    static func checkEcho(_ connection: Connection, _ text: String = "ping") throws {
        try connection.send(text)
        let answer = try connection.readExactly(text.utf8.count)
        try demandEqual(String(decoding: answer, as: UTF8.self), text, "echo")
    }
}
