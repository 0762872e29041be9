import Testing

/// Large bodies, back pressure, truncation.
@Suite struct BodyTests {
    private static let size = 16 << 20

    @Test(arguments: [false, true])
    func largeBodiesPassBothWays(isChunked: Bool) throws {
        let size = Self.size
        let isRight = Flagged()
        try Web.with({ exchange in
            let body = try exchange.readBody()
            if body.count == size, Pattern.matches(body) { isRight.set() }
            guard isChunked else {
                try exchange.answer(body: Pattern.bytes(size))
                return .keep
            }
            try exchange.connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try Self.sendChunks(size, to: exchange.connection)
            return .keep
        }) { mesh, _ in
            let client = try mesh.client()
            let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(size)"
            try client.connection.send("POST / HTTP/1.1\r\nHost: \(Web.host)\r\n\(framing)\r\n\r\n")
            if isChunked {
                try Self.sendChunks(size, to: client.connection)
            } else {
                try client.connection.send(Pattern.bytes(size))
            }
            let response = try client.readResponse(to: "POST")
            try demandEqual(response.body.count, size, "size of the answer")
            try demand(Pattern.matches(response.body), "bytes of the answer")
            try demand(isRight.isSet, "bytes at the instance")
            try demandEqual(try client.exchange("POST", "/", host: Web.host, body: []).status, 200, "next request")
        }
    }

    private static func sendChunks(_ size: Int, to connection: Connection) throws {
        // Odd sizes, so that chunk edges fall everywhere in the proxy's buffers.
        var at = 0
        while at < size {
            let count = min(100_003, size - at)
            try connection.send(Array((String(count, radix: 16) + "\r\n").utf8))
            try connection.send(Pattern.bytes(count, from: at) + [13, 10])
            at += count
        }
        try connection.send("0\r\n\r\n")
    }

    @Test func aSlowReaderDoesNotGrowMemory() throws {
        let size = 64 << 20
        let sent = Counter()
        try Web.with({ exchange in
            try exchange.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            for at in stride(from: 0, to: size, by: 1 << 20) {
                try exchange.connection.send(Pattern.bytes(1 << 20, from: at))
                sent.add(1 << 20)
            }
            return .keep
        }) { mesh, _ in
            let before = try mesh.residentKiB()
            let connection = try Connection.open(mesh.http, deadline: 30, receiveBuffer: 65_536)
            try connection.send(HTTPTestClient.request(host: Web.host))
            try Stall.wait(for: sent)
            try demand(sent.value < 48 << 20, "back pressure reached the instance, which sent \(sent.value)")
            try demand(try mesh.residentKiB() < before + 16_384, "grew from \(before) to \(try mesh.residentKiB()) KiB")
            _ = try connection.readHead()
            var got = 0
            while got < size {
                let bytes = try connection.readSome(size - got)
                try demand(Pattern.matches(bytes, at: got), "wrong bytes after \(got)")
                got += bytes.count
            }
        }
    }

    @Test func aSlowInstanceDoesNotGrowMemory() throws {
        let gate = Gate()
        let sent = Counter()
        try Web.with({ exchange in
            gate.wait()
            try exchange.answer(text: "\(try exchange.readBody().count)")
            return .keep
        }) { mesh, _ in
            let before = try mesh.residentKiB()
            let size = 64 << 20
            let answer = Counter()
            let port = mesh.http
            startThread {
                guard let client = try? HTTPTestClient(port, deadline: 60) else { return }
                let head = "POST / HTTP/1.1\r\nHost: \(Web.host)\r\nContent-Length: \(size)\r\n\r\n"
                try? client.connection.send(head)
                let piece = Pattern.bytes(1 << 20)
                for _ in 0..<64 { sent.add(client.connection.sendAsFarAsTaken(piece)) }
                answer.add((try? client.readResponse(to: "POST")).flatMap { Int($0.text) } ?? -1)
            }
            try Stall.wait(for: sent)
            let grown = try mesh.residentKiB()
            gate.open()
            try demand(grown < before + 16_384, "grew from \(before) to \(grown) KiB")
            try eventually(within: 40, "the answer counts the whole body: \(answer.value)") { answer.value == size }
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ])
    func truncatedAnswerNeverLooksComplete(answer: String) throws {
        for ending in [HTTPInstance.Ending.close, .reset] {
            try Web.with(Behave.raw(answer, then: ending)) { mesh, _ in
                let client = try mesh.client()
                try client.send(host: Web.host)
                do {
                    let response = try client.readResponse()
                    // A reset may overtake the head; then nothing had been sent and meshd may say so.
                    try demand(response.status == 502 && response.isMade(), "a complete answer: \(response)")
                } catch let error as ReadError {
                    try demand(error == .end || error == .reset, "the connection is cut, not \(error)")
                }
            }
        }
    }

    @Test func clientLeavingMidUploadIsNotACompleteRequest() throws {
        try Web.with(Behave.named) { mesh, instance in
            let connection = try Connection.open(mesh.http)
            try connection.send(
                "POST / HTTP/1.1\r\nHost: \(Web.host)\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            try eventually("the head is there") { instance.requests.count == 1 }
            connection.close()
            try eventually("the upstream connection ends") { instance.openConnections == 0 }
            try demand(instance.requests.allSatisfy { !$0.isComplete }, "the instance took it as complete")
        }
    }

    @Test func clientLeavingMidDownloadFreesTheInstance() throws {
        let ended = Flagged()
        try Web.with({ exchange in
            defer { ended.set() }
            try exchange.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            let piece = Pattern.bytes(1 << 20)
            for _ in 0..<953 { try exchange.connection.send(piece) }
            return .close
        }) { mesh, _ in
            let connection = try Connection.open(mesh.http)
            try connection.send(HTTPTestClient.request(host: Web.host))
            _ = try connection.readHead()
            connection.close()
            try eventually("the instance notices") { ended.isSet }
        }
    }
}
