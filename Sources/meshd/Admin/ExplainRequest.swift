import MeshCore

/// A request as `meshd explain` describes it.
struct ExplainRequest {
    var host: String
    /// With its query.
    var path: String
    var method = "GET"
    var headers: [(name: String, value: String)] = []
    /// 0: the Host header has none.
    var port: UInt16 = 0
    var isSecure = false

    /// - Parameters:
    ///   - target: `http://host[:port]/path` or `host/path`.
    ///   - headers: `NAME: VALUE`; a Host among them overrides the URL's.
    init(_ target: String, method: String?, headers: [String]) {
        var rest = Substring(target)
        if let scheme = rest.range(of: "://") {
            isSecure = rest[..<scheme.lowerBound].lowercased() == "https"
            rest = rest[scheme.upperBound...]
        }
        let slash = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) ?? rest.endIndex
        path = slash == rest.endIndex ? "/" : String(rest[slash...])
        if path.hasPrefix("?") { path = "/" + path }
        var authority = rest[..<slash]
        for text in headers {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? parts[1].drop { $0 == " " } : ""
            if parts[0].lowercased() == "host" { authority = value }
            self.headers.append((String(parts[0]), String(value)))
        }
        if !headers.contains(where: { $0.lowercased().hasPrefix("host:") }) {
            self.headers.append(("Host", String(authority)))
        }
        if let method, !method.isEmpty { self.method = method }
        host = String(authority)
        if !authority.hasSuffix("]"), let colon = authority.lastIndex(of: ":") {
            host = String(authority[..<colon])
            port = UInt16(authority[authority.index(after: colon)...]) ?? 0
        }
    }

    /// Calls `body` with the request as the router sees it.
    func withRoute<R>(_ body: (RouteRequest, RouteRequest.NextField) -> R) -> R {
        let values = headers.map { Array($0.value.utf8) }
        return Self.withBytes(host) { host in
            Self.withBytes(path) { path in
                Self.withBytes(method) { method in
                    // One after the other in one piece of memory, which stays where it is while `body` runs.
                    Self.withBytes(values.joined()) { all in
                        let request = RouteRequest(
                            host: host, path: path, method: method, port: port, isSecure: isSecure)
                        return body(request) { name, index in
                            guard let found = header(String(decoding: name, as: UTF8.self), from: index) else {
                                return nil
                            }
                            index = found + 1
                            let start = values[..<found].reduce(0) { $0 + $1.count }
                            return UnsafeRawBufferPointer(rebasing: all[start..<start + values[found].count])
                        }
                    }
                }
            }
        }
    }

    private func header(_ name: String, from index: Int) -> Int? {
        guard index <= headers.count else { return nil }
        return headers[index...].firstIndex { $0.name.lowercased() == name.lowercased() }
    }

    private static func withBytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        withBytes(text.utf8, body)
    }

    private static func withBytes<R>(_ bytes: some Sequence<UInt8>, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        Array(bytes).withUnsafeBytes(body)
    }
}
