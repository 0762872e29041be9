/// What must come of a request.
enum RequestOutcome: Sendable {
    /// What the instance must have seen; the reason why not otherwise.
    typealias Check = @Sendable (RecordedRequest) -> String?

    /// meshd answers one of these itself and closes; nothing reaches the instance.
    case rejected([Int])
    /// meshd answers one of these itself, closing or not; nothing reaches the instance.
    case answered([Int])
    /// The instance answers; its request is as `Check` wants, and the connection is still in step.
    case accepted(Check)
    /// Both are right by RFC 9112.
    case either([Int], Check)
    /// The head is good, the body is not: answered with one of these or cut; the instance sees no complete request.
    case bodyRefused([Int])
    /// The first request is good; what follows is answered with one of these and the connection closed.
    case acceptedThenRejected([Int])

    static let bad = rejected([400])
    static let badBody = bodyRefused([400])
    static let fine = accepted { _ in nil }

    static func seenBody(_ text: String) -> Check {
        { $0.body == Array(text.utf8) ? nil : "body \(String(decoding: $0.body, as: UTF8.self))" }
    }

    static func seenTarget(_ target: String) -> Check { { $0.target == target ? nil : "target \($0.target)" } }
}

struct RequestRow: Sendable {
    let name: String
    let bytes: [UInt8]
    let outcome: RequestOutcome

    init(_ name: String, _ text: String, _ outcome: RequestOutcome) {
        self.init(name, bytes: Array(text.utf8), outcome)
    }

    init(_ name: String, bytes: [UInt8], _ outcome: RequestOutcome) {
        self.name = name
        self.bytes = bytes
        self.outcome = outcome
    }

    static let host = "test.example"

    /// A GET whose field lines, CRLF included, are these behind Host.
    static func fields(_ name: String, _ lines: String, _ outcome: RequestOutcome) -> RequestRow {
        RequestRow(name, "GET / HTTP/1.1\r\nHost: \(host)\r\n\(lines)\r\n", outcome)
    }

    /// A GET whose Host line is `line`, CRLF included.
    static func hostLine(_ name: String, _ line: String, _ outcome: RequestOutcome) -> RequestRow {
        RequestRow(name, "GET / HTTP/1.1\r\n\(line)X-After: 1\r\n\r\n", outcome)
    }

    /// A request line, CRLF not included.
    static func line(_ name: String, _ line: String, _ outcome: RequestOutcome) -> RequestRow {
        RequestRow(name, "\(line)\r\nHost: \(host)\r\n\r\n", outcome)
    }

    /// A POST with framing fields and whatever follows the head.
    static func framed(_ name: String, _ lines: String, _ body: String, _ outcome: RequestOutcome) -> RequestRow {
        RequestRow(name, "POST / HTTP/1.1\r\nHost: \(host)\r\n\(lines)\r\n\(body)", outcome)
    }

    static func chunked(_ name: String, _ body: String, _ outcome: RequestOutcome) -> RequestRow {
        framed(name, "Transfer-Encoding: chunked\r\n", body, outcome)
    }
}
