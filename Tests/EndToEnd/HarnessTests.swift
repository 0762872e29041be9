import Testing

/// The tools of these tests against each other, without meshd between: what they report must be so.
@Suite struct HarnessTests {
    @Test func clientAndInstanceSpeakToEachOther() throws {
        let instance = try HTTPInstance("direct", Behave.echoBody)
        let client = try HTTPTestClient(instance.port)
        for number in 0..<3 {
            let response = try client.exchange("POST", "/\(number)", host: "x", body: Array("body \(number)".utf8))
            try demandEqual(response.text, "body \(number)", "echo")
        }
        try demandEqual(instance.requests.map(\.number), [1, 2, 3], "numbers on the connection")
        try demand(instance.requests.allSatisfy(\.isComplete), "complete")
    }

    @Test(arguments: [
        "GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "GET / HTTP/1.1\r\nA: 1\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    ])
    func instanceNoticesMalformedRequests(text: String) throws {
        let instance = try HTTPInstance("direct")
        let connection = try Connection.open(instance.port)
        try connection.send(text)
        _ = try connection.readToEndOrReset()
        try eventually("it is noted") { instance.malformed.count == 1 }
    }

    @Test func stoppedInstanceRefusesAndReturns() throws {
        let instance = try HTTPInstance("direct")
        let client = try HTTPTestClient(instance.port)
        _ = try client.exchange(host: "x")
        for _ in 0..<3 {
            instance.stop()
            try demand((try? Connection.open(instance.port)) == nil, "refused")
            try instance.start()
            try demandEqual(try HTTPTestClient.once(instance.port, host: "x").text, "direct", "answer")
        }
        try demand(client.connection.isClosedByPeer(), "the old connection is closed")
    }

    @Test func patternShowsLossAndReordering() {
        let bytes = Pattern.bytes(3_000_000)
        #expect(Pattern.matches(bytes))
        #expect(Pattern.matches(Array(bytes[1_234_567...]), at: 1_234_567))
        #expect(!Pattern.matches(Array(bytes[1...])))
        #expect(!Pattern.matches(Array(bytes[..<1000]) + Array(bytes[1001...])))
    }

    @Test func loadClientCountsFailures() throws {
        let instance = try HTTPInstance("direct")
        let load = LoadClient(.init(port: instance.port, host: "x"))
        try load.awaitSuccesses(20)
        instance.stop()
        try eventually("failures are seen") { !load.outcome.failures.isEmpty }
        #expect(try load.stop().successes >= 20)
    }

    @Test func statusIsReadTolerantly() throws {
        let text = """
            {"services":[{"name":"a","vip":null,"instances":[]},{"name":"web","vip":"127.1.2.3","instances":
            [{"id":"127.0.0.1:9001","address":"127.0.0.1","state":"healthy"},
            {"id":"127.0.0.1:9002","state":"starting"}]}]}
            """
        let value = try JSONValue(parsing: text)
        #expect(value.object(named: "web", having: "vip")?["vip"]?.text == "127.1.2.3")
        #expect(value.instanceState("127.0.0.1:9002") == "starting")
        #expect(value.instanceState("127.0.0.1:9003") == nil)
        #expect(throws: Failure.self) { try JSONValue(parsing: "{\"a\":1") }
    }
}
