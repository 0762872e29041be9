/// A blocking HTTP/1.1 client that sends what it is told, byte by byte, and reads answers strictly.
final class HTTPTestClient {
    let connection: Connection

    init(_ port: UInt16, _ address: String = "127.0.0.1", deadline: Double = 15) throws {
        connection = try Connection.open(port, address, deadline: deadline)
    }

    /// A whole request on this connection.
    static func request(
        _ method: String = "GET", _ target: String = "/", host: String, _ fields: [(String, String)] = [],
        body: [UInt8]? = nil
    ) -> [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n"
        for (name, value) in fields { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.count)\r\n" }
        return Array((text + "\r\n").utf8) + (body ?? [])
    }

    func send(
        _ method: String = "GET", _ target: String = "/", host: String, _ fields: [(String, String)] = [],
        body: [UInt8]? = nil
    ) throws {
        try connection.send(Self.request(method, target, host: host, fields, body: body))
    }

    func exchange(
        _ method: String = "GET", _ target: String = "/", host: String, _ fields: [(String, String)] = [],
        body: [UInt8]? = nil
    ) throws -> HTTPResponse {
        try send(method, target, host: host, fields, body: body)
        return try readResponse(to: method)
    }

    func readResponse(to method: String = "GET") throws(ReadError) -> HTTPResponse {
        var interim: [HTTPHead] = []
        while true {
            let head = try connection.readHead()
            let status = try Self.status(head)
            if (100...199).contains(status), status != 101 {
                interim.append(head)
                continue
            }
            let framing = try Self.framing(head, status: status, method: method)
            let (body, trailers) = try connection.readBody(framing)
            return HTTPResponse(
                head: head, status: status, body: body, trailers: trailers, interim: interim,
                endedByClose: framing == .untilClose)
        }
    }

    static func status(_ head: HTTPHead) throws(ReadError) -> Int {
        let parts = head.startLine.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0] == "HTTP/1.1", parts[1].utf8.count == 3, let status = Int(parts[1]),
            (100...999).contains(status)
        else { throw .malformed("status line \"\(head.startLine)\"") }
        return status
    }

    static func framing(_ head: HTTPHead, status: Int, method: String) throws(ReadError) -> BodyFraming {
        let said = try Connection.framing(head, fallback: .untilClose)
        let isBodiless = method == "HEAD" || status == 204 || status == 304 || status == 101
        return isBodiless ? .none : said
    }

    func close() { connection.close() }
}

extension HTTPTestClient {
    /// One exchange on a connection of its own.
    static func once(
        _ port: UInt16, _ address: String = "127.0.0.1", _ method: String = "GET", _ target: String = "/",
        host: String, _ fields: [(String, String)] = [], body: [UInt8]? = nil
    ) throws -> HTTPResponse {
        let client = try HTTPTestClient(port, address)
        defer { client.close() }
        return try client.exchange(method, target, host: host, fields, body: body)
    }
}
