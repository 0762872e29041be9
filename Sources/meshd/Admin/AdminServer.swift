import NetAddress
import Reactor

/// The pages of the admin address.
final class AdminServer {
    private let server: SmallServer
    let address: SocketAddress?

    /// - Parameter gather: takes the node's state and hands it on, once every worker has reported.
    init(
        _ socket: Socket, on loop: EventLoop, isSharedSocket: Bool, isReady: @escaping () -> Bool,
        drains: DrainDesk,
        gather: @escaping (@escaping (NodeState) -> Void) -> Void
    ) throws(SystemError) {
        server = try SmallServer(socket, on: loop, isSharedSocket: isSharedSocket) { request, answer in
            if request.path == "/drain", request.method == "POST" {
                guard request.isMeant else {
                    return answer(
                        SmallResponse(status: 400, body: "\(DrainPage.field) is missing, or a foreign Host\n"))
                }
                return DrainPage.answer(request, drains, answer)
            }
            guard request.method == "GET" || request.method == "HEAD" else {
                return answer(SmallResponse(status: 405, headers: "Allow: GET, HEAD\r\n", body: "only GET and HEAD\n"))
            }
            switch request.path {
            case "/live": answer(SmallResponse(body: "alive\n"))
            case "/ready":
                answer(isReady() ? SmallResponse(body: "ready\n") : SmallResponse(status: 503, body: "not ready\n"))
            case "/metrics":
                gather { answer(SmallResponse(contentType: "text/plain; version=0.0.4", body: Metrics.page($0))) }
            case "/status": gather { answer(SmallResponse(body: StatusPage.text($0))) }
            case "/status.json":
                gather { answer(SmallResponse(contentType: "application/json", body: StatusPage.json($0).text + "\n")) }
            case "/drain": DrainPage.answer(request, drains, answer)
            case "/weights": gather { answer(SmallResponse(body: StatusPage.weights($0))) }
            case "/explain":
                let query = Query(request.query)
                guard let target = query["target"] else {
                    return answer(SmallResponse(status: 400, body: "target is missing\n"))
                }
                gather {
                    let text = Explain.text(target, method: query["method"], headers: query.all("header"), $0)
                    answer(SmallResponse(body: text))
                }
            default: answer(SmallResponse(status: 404, body: "no such page\n"))
            }
        }
        address = server.address
    }

    func close() { server.close() }
}

extension SmallRequest {
    /// Whether the order was not made by a page of some other origin in a browser on this machine: it has a field that
    /// such a page may not send, and asks for this address by no foreign name.
    fileprivate var isMeant: Bool {
        let field = DrainPage.field.lowercased() + ":"
        guard head.split(separator: "\r\n").contains(where: { $0.lowercased().hasPrefix(field) }) else { return false }
        let name = host.lowercased()
        return ["meshd", "localhost"].contains(name.prefix { $0 != ":" }) || SocketAddress(name) != nil
            || IPAddress(name) != nil
    }
}

/// A query string of `name=value` pairs, percent-encoded (RFC 3986 section 2.1).
struct Query {
    private var values: [String: [String]] = [:]

    init(_ text: String) {
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            values[Self.decode(parts[0]), default: []].append(parts.count > 1 ? Self.decode(parts[1]) : "")
        }
    }

    /// The last value of a name.
    subscript(name: String) -> String? { values[name]?.last }

    func all(_ name: String) -> [String] { values[name] ?? [] }

    private static func decode(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func encode(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain = (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
            let hex = String(byte, radix: 16)
            return isPlain || ".-_~".utf8.contains(byte)
                ? String(UnicodeScalar(byte)) : "%" + (hex.count < 2 ? "0" : "") + hex
        }.joined()
    }
}
