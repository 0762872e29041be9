import Testing

/// The table of requests against the binary.
@Suite struct MalformedRequestTests {
    @Test func theTableIsLargeEnough() {
        #expect(RequestTable.groups.map(\.rows.count).reduce(0, +) >= 100)
    }

    @Test(arguments: RequestTable.groups.map(\.name))
    func everyRowHasItsOutcome(group: String) throws {
        let rows = RequestTable.groups.first { $0.name == group }?.rows ?? []
        let instance = try HTTPInstance("test")
        let catalogue = Catalogue([.web("test", RequestRow.host, [instance])])
        try withMesh(catalogue) { mesh in
            var failures: [String] = []
            for row in rows {
                instance.forgetRequests()
                do { try RequestTrial(row: row, instance: instance, port: mesh.http).run() } catch {
                    failures.append("\(row.name): \(error)")
                }
                if mesh.child.poll() != nil {
                    failures.append("meshd ended at \(row.name)")
                    break
                }
            }
            try demand(
                failures.isEmpty, "\(failures.count) of \(rows.count) rows:\n" + failures.joined(separator: "\n"))
            try demandEqual(try mesh.get(RequestRow.host).status, 200, "a decent request at the end")
        }
    }
}

/// One row on a connection of its own.
private struct RequestTrial {
    let row: RequestRow
    let instance: HTTPInstance
    let client: HTTPTestClient
    let malformedBefore: Int

    init(row: RequestRow, instance: HTTPInstance, port: UInt16) throws {
        self.row = row
        self.instance = instance
        client = try HTTPTestClient(port, deadline: 4)
        malformedBefore = instance.malformed.count
    }

    private var method: String { row.bytes.starts(with: Array("HEAD".utf8)) ? "HEAD" : "GET" }

    func run() throws {
        defer { client.close() }
        client.connection.sendAsFarAsTaken(row.bytes)
        switch row.outcome {
        case .rejected(let statuses): try checkMade(try client.readResponse(to: method), statuses, closes: true)
        case .answered(let statuses): try checkMade(try client.readResponse(to: method), statuses, closes: false)
        case .accepted(let check): try checkAccepted(try client.readResponse(to: method), check)
        case .either(let statuses, let check):
            let response = try client.readResponse(to: method)
            if response.status == 200, response.instance != nil {
                try checkAccepted(response, check)
            } else {
                try checkMade(response, statuses, closes: false, mayHaveBegun: true)
            }
        case .bodyRefused(let statuses): try checkBodyRefused(statuses)
        case .acceptedThenRejected(let statuses):
            try demandEqual(try client.readResponse(to: method).status, 200, "first answer")
            let second = try client.readResponse()
            try demand(statuses.contains(second.status), "second status \(second.status), wanted \(statuses)")
            try checkClosed()
            try demandEqual(instance.requests.count, 1, "requests at the instance")
        }
        try demandEqual(
            instance.malformed.count, malformedBefore, "malformed at the instance: \(instance.malformed.suffix(1))")
    }

    private func checkMade(
        _ response: HTTPResponse, _ statuses: [Int], closes: Bool, mayHaveBegun: Bool = false
    ) throws {
        try demand(statuses.contains(response.status), "status \(response.status), wanted \(statuses)")
        try demand(response.isMade() || response.status < 300, "Proxy-Status \(response.proxyStatus ?? "none")")
        if closes { try checkClosed() }
        let seen = instance.requests.filter { !mayHaveBegun || $0.isComplete }
        try demand(seen.isEmpty, "the instance saw \(seen.map(\.head.startLine))")
    }

    private func checkClosed() throws {
        let rest = try client.connection.readToEndOrReset()
        try demand(rest.isEmpty, "more after the answer: \(String(decoding: rest.prefix(200), as: UTF8.self))")
    }

    private func checkAccepted(_ response: HTTPResponse, _ check: RequestOutcome.Check) throws {
        try demand(
            response.status == 200 && response.instance != nil,
            "status \(response.status) \(response.proxyStatus ?? "")")
        let requests = instance.requests
        try demandEqual(requests.count, 1, "requests at the instance")
        try demand(requests[0].isComplete, "the request is complete")
        if let wrong = check(requests[0]) {
            throw Failure("the instance saw \(wrong) in \(requests[0].head.startLine)")
        }
        guard !response.head.list("Connection").contains("close"), !row.bytes.contains(Self.http10) else {
            return try checkClosed()
        }
        let after = try client.exchange("GET", "/after", host: RequestRow.host)
        try demandEqual(after.status, 200, "status of the next request")
        try demandEqual(instance.requests.last?.target, "/after", "the next request at the instance")
        try demandEqual(instance.requests.count, 2, "requests at the instance")
    }

    private static let http10 = Array(" HTTP/1.0\r\n".utf8)

    private func checkBodyRefused(_ statuses: [Int]) throws {
        do {
            let response = try client.readResponse()
            try demand(statuses.contains(response.status), "status \(response.status), wanted \(statuses) or a cut")
            try demand(response.isMade(), "Proxy-Status \(response.proxyStatus ?? "none")")
            try checkClosed()
        } catch let error as ReadError {
            try demand(error == .end || error == .reset, "neither an answer nor a cut: \(error)")
            try demandEqual(client.connection.buffered, 0, "bytes of a broken answer")
        }
        let number = instance.requests.count
        try demand(number <= 1, "the instance saw \(number) requests")
        if number == 1 {
            try eventually(within: 5, "the upstream connection of a broken body ends") { instance.openConnections == 0 }
        }
        let complete = instance.requests.filter(\.isComplete)
        try demand(complete.isEmpty, "the instance took a broken body as complete")
    }
}

extension [UInt8] {
    /// Whether `part` stands anywhere within.
    fileprivate func contains(_ part: [UInt8]) -> Bool {
        guard count >= part.count else { return false }
        return (0...(count - part.count)).contains {
            self[$0] == part[0] && self[$0..<$0 + part.count].elementsEqual(part)
        }
    }
}
