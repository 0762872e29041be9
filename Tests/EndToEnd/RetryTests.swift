import Testing

/// What happens when an instance fails a request.
@Suite struct RetryTests {
    @Test func dialFailureFallsToAnotherInstance() throws {
        let dead = try HTTPInstance("dead")
        let alive = try HTTPInstance("alive")
        dead.stop()
        try Web.with([dead, alive]) { mesh in
            for number in 0..<20 {
                let body: [UInt8]? = number % 2 == 0 ? nil : Array("posted".utf8)
                let response = try HTTPTestClient.once(
                    mesh.http, "127.0.0.1", body == nil ? "GET" : "POST", "/", host: Web.host, body: body)
                try demandEqual(response.text, "alive", "request \(number)")
            }
        }
    }

    @Test func refusedWithoutAnotherInstanceIsReported() throws {
        let dead = try HTTPInstance("dead")
        dead.stop()
        try Web.with([dead]) { mesh in
            let response = try mesh.get(Web.host)
            try demand([502, 503].contains(response.status), "status \(response.status)")
            try demand(response.isMade(because: ProxyError.refused), "Proxy-Status \(response.proxyStatus ?? "none")")
        }
    }

    @Test func idempotentRequestIsRetriedElsewhereAfterAReset() throws {
        let bad = try HTTPInstance("bad", Behave.resets)
        let good = try HTTPInstance("good")
        try Web.with([bad, good]) { mesh in
            let client = try mesh.client()
            for number in 0..<20 {
                try demandEqual(try client.exchange(host: Web.host).text, "good", "request \(number)")
            }
            try demand(!bad.requests.isEmpty, "the bad instance was tried at least once")
        }
    }

    @Test func postIsNotRepeatedOnceItWasSent() throws {
        let instances = try ["a", "b"].map { try HTTPInstance($0, Behave.resets) }
        try Web.with(instances) { mesh in
            let response = try HTTPTestClient.once(
                mesh.http, "127.0.0.1", "POST", "/", host: Web.host, body: Array("pay".utf8))
            try demandEqual(response.status, 502, "status")
            try demand(response.isMade(), "Proxy-Status \(response.proxyStatus ?? "none")")
            try demandEqual(instances.map(\.requests.count).reduce(0, +), 1, "times the request was seen")
        }
    }

    @Test func retriesAreBounded() throws {
        let instances = try ["a", "b", "c"].map { try HTTPInstance($0, Behave.resets) }
        try Web.with(instances) { mesh in
            let response = try mesh.get(Web.host)
            try demandEqual(response.status, 502, "status")
            let seen = instances.map(\.requests.count).reduce(0, +)
            try demand((1...6).contains(seen), "attempts: \(seen)")
        }
    }

    @Test func anAnswerThatBeganIsNeverRepeated() throws {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegun"
        let instances = try ["a", "b"].map { try HTTPInstance($0, Behave.raw(answer)) }
        try Web.with(instances) { mesh in
            let client = try mesh.client()
            try client.send(host: Web.host)
            let head = try client.connection.readHead()
            try demandEqual(try HTTPTestClient.status(head), 200, "status")
            try demandEqual(try client.connection.readToEndOrReset(), Array("begun".utf8), "body")
            try demandEqual(instances.map(\.requests.count).reduce(0, +), 1, "attempts")
        }
    }

    @Test func failedDialsDoNotUseUpTheRetries() throws {
        // Round robin takes them in this order: from the dead one on, one dial fails and one request is sent again.
        let instances = try [
            HTTPInstance("dead"), HTTPInstance("bad", Behave.resets), HTTPInstance("good"),
        ].sorted { $0.address < $1.address }
        try demandEqual(instances.map(\.name), ["dead", "bad", "good"], "order")
        instances[0].stop()
        try Web.with(instances, ["--retries", "1"], workers: 1) { mesh in
            for number in 0..<6 { try demandEqual(try mesh.get(Web.host).text, "good", "request \(number)") }
            let repeated = Double(instances[1].requests.count)
            try demand(repeated > 0, "the bad instance was tried")
            try demandEqual(try mesh.metric("meshd_http_retries_total"), repeated, "requests sent again")
            try demand(try mesh.metric("meshd_upstream_dial_failures_total") ?? 0 > 0, "a dial failed")
        }
    }

    @Test func requestOnAConnectionTheInstanceClosedMeanwhileIsRetried() throws {
        // Every second request of a connection meets a close instead of an answer, as when a keep-alive ends just then.
        try Web.with({ exchange in
            if exchange.number > 1 { return .close }
            return try Behave.named(exchange)
        }) { mesh, instance in
            let client = try mesh.client()
            for number in 0..<20 {
                try demandEqual(try client.exchange(host: Web.host).text, "web", "request \(number)")
            }
            try demand(instance.requests.count > 20, "connections were reused: \(instance.requests.count)")
        }
    }

    @Test func idleConnectionClosedByTheInstanceIsNotUsed() throws {
        try Web.with(Behave.echoBody) { mesh, instance in
            let client = try mesh.client()
            for number in 0..<10 {
                let body = Array("post \(number)".utf8)
                let response = try client.exchange("POST", "/", host: Web.host, body: body)
                try demandEqual(response.text, "post \(number)", "echo")
                instance.closeConnections()
                try eventually("the instance's side is closed") { instance.openConnections == 0 }
            }
        }
    }
}

extension Connection {
    /// Everything until the peer ends the connection in either way.
    func readToEndOrReset() throws -> [UInt8] {
        while true {
            do { try fill() } catch {
                guard error == .end || error == .reset else { throw error }
                return try readExactly(buffered)
            }
        }
    }
}
