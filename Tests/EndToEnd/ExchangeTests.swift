import Glibc
import Testing

/// Messages go through with their meaning unchanged.
@Suite struct ExchangeTests {
    private func raw(_ lines: String..., end: String = "") -> String {
        lines.map { $0 + "\r\n" }.joined() + "\r\n" + end
    }

    @Test func keepAliveServesManyRequestsOnOneConnection() throws {
        try Web.with(Behave.named) { mesh, instance in
            let client = try mesh.client()
            for number in 0..<50 {
                try demandEqual(
                    try client.exchange("GET", "/\(number)", host: Web.host).status, 200, "request \(number)")
            }
            try demandEqual(instance.requests.map(\.target), (0..<50).map { "/\($0)" }, "targets")
            try demand(instance.acceptedCount <= 2, "upstream connections are reused: \(instance.acceptedCount)")
        }
    }

    @Test func connectionCloseIsHonoured() throws {
        try Web.with(Behave.named) { mesh, _ in
            let client = try mesh.client()
            let response = try client.exchange(host: Web.host, [("Connection", "close")])
            try demandEqual(response.text, "web", "answer")
            try demand(response.head.list("Connection").contains("close"), "Connection: \(response.head.fields)")
            try demand(client.connection.isClosedByPeer(), "closed")
        }
    }

    @Test func headHasNoBodyAndKeepsTheConnection() throws {
        try Web.with({ exchange in
            try exchange.answer(body: Array("0123456789".utf8))
            return .keep
        }) { mesh, _ in
            let client = try mesh.client()
            let head = try client.exchange("HEAD", "/", host: Web.host)
            try demandEqual(head.head["Content-Length"], "10", "Content-Length of HEAD")
            try demandEqual(try client.exchange("GET", "/", host: Web.host).text, "0123456789", "the next answer")
        }
    }

    @Test(arguments: [204, 304])
    func bodilessStatusKeepsTheConnection(status: Int) throws {
        try Web.with({ exchange in
            guard exchange.target == "/none" else { return try Behave.named(exchange) }
            try exchange.connection.send("HTTP/1.1 \(status) None\r\nETag: \"x\"\r\n\r\n")
            return .keep
        }) { mesh, _ in
            let client = try mesh.client()
            let response = try client.exchange("GET", "/none", host: Web.host)
            try demandEqual(response.status, status, "status")
            try demandEqual(response.head["ETag"], "\"x\"", "field")
            try demandEqual(try client.exchange("GET", "/", host: Web.host).text, "web", "the next answer")
        }
    }

    @Test func statusAndReasonFieldsPassUnchanged() throws {
        let answer =
            "HTTP/1.1 418 I'm a teapot\r\nX-One: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi"
        try Web.with(Behave.raw(answer, then: .keep)) { mesh, _ in
            let response = try mesh.get(Web.host)
            try demandEqual(response.status, 418, "status")
            try demandEqual(response.head.values("Set-Cookie"), ["a=1", "b=2"], "both cookies in order")
            try demandEqual(response.text, "hi", "body")
            try demand(response.proxyStatus == nil, "not made by meshd")
        }
    }

    @Test func chunkedRequestBodyArrivesWhole() throws {
        try Web.with(Behave.echoBody) { mesh, instance in
            let client = try mesh.client()
            try client.connection.send(
                raw("POST / HTTP/1.1", "Host: \(Web.host)", "Transfer-Encoding: chunked", end: "5\r\nhello\r\n"))
            try client.connection.send("1;name=value\r\n \r\n5\r\nworld\r\n0\r\n\r\n")
            try demandEqual(try client.readResponse(to: "POST").text, "hello world", "echo")
            try demandEqual(instance.requests.count, 1, "requests")
        }
    }

    @Test func chunkedResponseArrivesWholeAndKeepsTheConnection() throws {
        let answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, chunked!\r\n0\r\n\r\n"
        try Web.with(Behave.raw(answer, then: .keep)) { mesh, _ in
            let client = try mesh.client()
            for _ in 0..<3 {
                try demandEqual(try client.exchange(host: Web.host).text, "hello, chunked!", "body")
            }
        }
    }

    @Test func responseThatArrivesByteByByteIsOne() throws {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
        try Web.with({ exchange in
            for byte in answer.utf8 {
                try exchange.connection.send([byte])
                sched_yield()
            }
            return .keep
        }) { mesh, _ in
            let client = try mesh.client()
            for _ in 0..<2 { try demandEqual(try client.exchange(host: Web.host).text, "hello", "body") }
        }
    }

    @Test func requestThatArrivesByteByByteIsOne() throws {
        try Web.with(Behave.echoBody) { mesh, instance in
            let client = try mesh.client()
            let request = raw(
                "POST /slow HTTP/1.1", "Host: \(Web.host)", "Transfer-Encoding: chunked", end: "3\r\nabc\r\n0\r\n\r\n")
            for byte in request.utf8 {
                try client.connection.send([byte])
                sched_yield()
            }
            try demandEqual(try client.readResponse(to: "POST").text, "abc", "echo")
            try demandEqual(instance.requests.map(\.target), ["/slow"], "targets")
        }
    }

    @Test func bodyUntilCloseArrivesWhole() throws {
        try Web.with(Behave.raw("HTTP/1.1 200 OK\r\n\r\nuntil the end", then: .close)) { mesh, _ in
            let response = try mesh.get(Web.host)
            try demandEqual(response.text, "until the end", "body")
        }
    }

    @Test func trailersPassBothWays() throws {
        try Web.with({ exchange in
            try exchange.readBody()
            try exchange.connection.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                    + "2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n"
            )
            return .keep
        }) { mesh, instance in
            let client = try mesh.client()
            try client.connection.send(
                raw(
                    "POST / HTTP/1.1", "Host: \(Web.host)", "TE: trailers", "Trailer: X-Check",
                    "Transfer-Encoding: chunked", end: "2\r\nhi\r\n0\r\nX-Check: abc\r\n\r\n"))
            let response = try client.readResponse(to: "POST")
            try demandEqual(response.trailers.map(\.description), ["X-Sum: 42"], "trailers of the answer")
            let seen = try #require(instance.requests.first)
            try demandEqual(seen.trailers.map(\.description), ["X-Check: abc"], "trailers of the request")
        }
    }

    @Test func expectContinueIsAnsweredBeforeTheBody() throws {
        try Web.with({ exchange in
            if exchange.head["Expect"] != nil { try exchange.connection.send("HTTP/1.1 100 Continue\r\n\r\n") }
            return try Behave.echoBody(exchange)
        }) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send(
                raw("PUT / HTTP/1.1", "Host: \(Web.host)", "Expect: 100-continue", "Content-Length: 4"))
            let interim = try client.connection.readHead()
            try demandEqual(try HTTPTestClient.status(interim), 100, "interim answer")
            try client.connection.send("body")
            try demandEqual(try client.readResponse(to: "PUT").text, "body", "final answer")
        }
    }

    @Test func instanceMayRefuseAnExpectedBody() throws {
        try Web.with({ exchange in
            try exchange.answer(413, [("Connection", "close")], text: "too much")
            return .close
        }) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send(
                raw("PUT / HTTP/1.1", "Host: \(Web.host)", "Expect: 100-continue", "Content-Length: 1000000"))
            let response = try client.readResponse(to: "PUT")
            try demandEqual(response.status, 413, "status")
            try demandEqual(response.text, "too much", "body")
        }
    }

    @Test func earlyHintsPassBeforeTheAnswer() throws {
        try Web.with({ exchange in
            try exchange.connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
            try exchange.connection.send("HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n")
            return try Behave.named(exchange)
        }) { mesh, _ in
            let client = try mesh.client()
            let response = try client.exchange(host: Web.host)
            try demandEqual(response.text, "web", "answer")
            let links = response.interim.compactMap { $0["Link"] }
            try demandEqual(links, ["</a.css>; rel=preload", "</b.css>; rel=preload"], "links")
            try demandEqual(try client.exchange(host: Web.host).text, "web", "the next answer")
        }
    }

    @Test func oldClientGetsAnAnswerItUnderstands() throws {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        try Web.with(Behave.raw(answer, then: .keep)) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send("GET / HTTP/1.0\r\nHost: \(Web.host)\r\n\r\n")
            let response = try client.readResponse()
            try demandEqual(response.status, 200, "status")
            try demand(response.head["Transfer-Encoding"] == nil, "no chunks for HTTP/1.0: \(response.head.fields)")
            try demandEqual(response.text, "hello", "body")
            try demand(client.connection.isClosedByPeer(), "closed after the answer")
        }
    }

    @Test func oldClientMayAskForKeepAlive() throws {
        try Web.with(Behave.named) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send("GET / HTTP/1.0\r\nHost: \(Web.host)\r\nConnection: keep-alive\r\n\r\n")
            let response = try client.readResponse()
            try demandEqual(response.text, "web", "answer")
            // RFC 9112 section 9.3 lets a server refuse; when it says keep-alive it must mean it.
            guard response.head.list("Connection").contains("keep-alive") else {
                return try demand(client.connection.isClosedByPeer(), "closed")
            }
            try client.connection.send("GET / HTTP/1.0\r\nHost: \(Web.host)\r\n\r\n")
            try demandEqual(try client.readResponse().text, "web", "second answer")
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() throws {
        let instances = try ["a", "b"].map { name in
            try HTTPInstance(name) { exchange in
                try exchange.readBody()
                try exchange.answer(text: exchange.target)
                return .keep
            }
        }
        try Web.with(instances) { mesh in
            let client = try mesh.client()
            var bytes: [UInt8] = []
            for number in 0..<40 {
                let body: [UInt8]? = number % 3 == 0 ? Array("body of \(number)".utf8) : nil
                bytes += HTTPTestClient.request(body == nil ? "GET" : "POST", "/\(number)", host: Web.host, body: body)
            }
            try client.connection.send(bytes)
            for number in 0..<40 { try demandEqual(try client.readResponse().text, "/\(number)", "answer \(number)") }
        }
    }

    @Test func halfClosedClientStillGetsItsAnswer() throws {
        try Web.with(Behave.named) { mesh, _ in
            let client = try mesh.client()
            try client.send(host: Web.host)
            client.connection.closeWrite()
            try demandEqual(try client.readResponse().text, "web", "answer")
        }
    }

    @Test func instanceAnsweringBeforeTheBodyEndsIsHeard() throws {
        try Web.with({ exchange in
            try exchange.answer(403, [("Connection", "close")], text: "no")
            return .close
        }) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send(raw("POST / HTTP/1.1", "Host: \(Web.host)", "Content-Length: 1000000"))
            let response = try client.readResponse(to: "POST")
            try demandEqual(response.status, 403, "status")
            try demandEqual(response.text, "no", "body")
        }
    }
}
