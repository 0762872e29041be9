import Testing

/// The table of answers against the binary.
@Suite struct MalformedResponseTests {
    @Test func theTableIsLargeEnough() {
        #expect(ResponseTable.groups.map(\.rows.count).reduce(0, +) >= 60)
    }

    @Test(arguments: ResponseTable.groups.map(\.name))
    func everyRowHasItsOutcome(group: String) throws {
        let rows = ResponseTable.groups.first { $0.name == group }?.rows ?? []
        let instance = try HTTPInstance("test") { exchange in
            guard exchange.target.hasPrefix("/row/"), let index = Int(exchange.target.dropFirst(5)) else {
                return try Behave.named(exchange)
            }
            try exchange.connection.send(rows[index].bytes)
            return rows[index].ending
        }
        try withMesh(Catalogue([.web("test", RequestRow.host, [instance])])) { mesh in
            var failures: [String] = []
            for (index, row) in rows.enumerated() {
                do {
                    try ResponseTrial(row: row, client: try HTTPTestClient(mesh.http, deadline: 4)).run("/row/\(index)")
                } catch {
                    failures.append("\(row.name): \(error)")
                }
                if mesh.child.poll() != nil {
                    failures.append("meshd ended at \(row.name)")
                    break
                }
                let next = try mesh.get(RequestRow.host, "/next")
                if next.text != "test" {
                    failures.append("\(row.name): the next client got \(next.status) \(next.text)")
                }
            }
            try demand(
                failures.isEmpty, "\(failures.count) of \(rows.count) rows:\n" + failures.joined(separator: "\n"))
        }
    }
}

/// One row on a client connection of its own.
private struct ResponseTrial {
    let row: ResponseRow
    let client: HTTPTestClient

    func run(_ target: String) throws {
        defer { client.close() }
        try client.send(row.method, target, host: RequestRow.host)
        switch row.outcome {
        case .badGateway: try checkBad(try client.readResponse(to: row.method))
        case .passed(let status, let body): try checkPassed(try client.readResponse(to: row.method), status, body)
        case .passedOrBad(let status, let body):
            let response = try client.readResponse(to: row.method)
            if response.status == 502 { try checkBad(response) } else { try checkPassed(response, status, body) }
        case .cut:
            do { try checkBad(try client.readResponse(to: row.method)) } catch let error as ReadError {
                try demand(error == .end || error == .reset, "the connection is cut, not \(error)")
            }
        }
    }

    private func checkBad(_ response: HTTPResponse) throws {
        try demandEqual(response.status, 502, "status")
        try demand(response.isMade(), "Proxy-Status \(response.proxyStatus ?? "none")")
    }

    private func checkPassed(_ response: HTTPResponse, _ status: Int, _ body: String) throws {
        try demandEqual(response.status, status, "status (\(response.proxyStatus ?? "no Proxy-Status"))")
        try demandEqual(response.text, body, "body")
        guard !response.endedByClose, !response.head.list("Connection").contains("close") else { return }
        let after = try client.exchange("GET", "/after", host: RequestRow.host)
        try demandEqual(after.text, "test", "the next answer on this connection")
    }
}
