import MeshCore

/// The texts of what a route demands of a request beside host and path, and of what becomes of the request.
enum RouteOptionText {
    private static let conditionLimit = 16
    private static let textLimit = 128
    private static let locationLimit = 1_024

    /// `method=GET,POST; header=X-Canary:yes; query=beta=1`: all must hold. A value that ends in `*` is a beginning.
    static func conditions(_ text: String) throws(TextFault) -> [RouteCondition] {
        var conditions: [RouteCondition] = []
        for item in text.split(separator: ";") {
            let item = item.trimmed()
            guard !item.isEmpty else { continue }
            conditions.append(try condition(item))
            guard conditions.count <= conditionLimit else { throw TextFault("more than \(conditionLimit) conditions") }
        }
        guard !conditions.isEmpty else { throw TextFault("names no condition; \(conditionForm)") }
        // One spelling of one set, so that services share a route whatever the order of its conditions.
        return conditions.sorted { $0.description < $1.description }
    }

    private static let conditionForm =
        "write method=NAME,..., header=NAME[:VALUE] or query=NAME[=VALUE], joined with ';'"

    private static func condition(_ item: Substring) throws(TextFault) -> RouteCondition {
        guard let equals = item.firstIndex(of: "=") else {
            throw TextFault("\(OneLine.quoted(item)) is no condition; \(conditionForm)")
        }
        let rest = item[item.index(after: equals)...].trimmed()
        switch item[..<equals].trimmed() {
        case "method": return .method(try methods(rest))
        case "header":
            let (name, match) = try named(rest, ":")
            guard name.utf8.allSatisfy(isToken) else { throw TextFault("\(OneLine.quoted(name)) is no field name") }
            return .header(name: name.lowercased(), match)
        case "query":
            let (name, match) = try named(rest, "=")
            return .query(name: name, match)
        case let other: throw TextFault("\(OneLine.quoted(other)) is no subject of a condition; \(conditionForm)")
        }
    }

    private static func methods(_ text: Substring) throws(TextFault) -> [String] {
        let names = text.split(separator: ",").map { String($0.trimmed()) }
        guard !names.isEmpty, names.allSatisfy({ (1...32).contains($0.utf8.count) && $0.utf8.allSatisfy(isToken) })
        else { throw TextFault("\(OneLine.quoted(text)) is no list of methods") }
        return Set(names).sorted()
    }

    private static func named(_ text: Substring, _ mark: Character) throws(TextFault) -> (String, TextMatch) {
        let cut = text.firstIndex(of: mark) ?? text.endIndex
        let name = String(text[..<cut].trimmed())
        guard (1...textLimit).contains(name.utf8.count), text.utf8.count <= 2 * textLimit,
            text.utf8.allSatisfy({ (0x20...0x7e).contains($0) })
        else {
            throw TextFault("\(OneLine.quoted(text)): a name and its value have up to \(textLimit) ASCII characters")
        }
        guard cut < text.endIndex else { return (name, .present) }
        let value = text[text.index(after: cut)...].trimmed()
        if value == "*" { return (name, .present) }
        return (name, value.hasSuffix("*") ? .prefix(String(value.dropLast())) : .exact(String(value)))
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// A path that others are put before or taken off; without a slash at its end.
    static func prefix(_ text: String) throws(TextFault) -> String {
        let text = text.trimmed()
        guard text.hasPrefix("/"), text.utf8.count < textLimit,
            text.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != 0x3f && $0 != 0x23 })
        else { throw TextFault("\(OneLine.quoted(text)) is no path below \(textLimit) bytes that begins with '/'") }
        var path = text
        while path.hasSuffix("/") { path = path.dropLast() }
        return String(path)
    }

    /// `[STATUS ]https[:PORT]`, `[STATUS ]URL` or `[STATUS ]URL*`.
    static func redirect(_ text: String) throws(TextFault) -> RouteRedirect {
        let words = text.split { $0 == " " || $0 == "\t" }
        var status: Int?
        if words.count == 2 {
            status = NumberText.integer(words[0])
            guard let status, [301, 302, 303, 307, 308].contains(status) else {
                throw TextFault("\(OneLine.quoted(words[0])) is not 301, 302, 303, 307 or 308")
            }
        }
        guard (1...2).contains(words.count), let target = words.last else {
            throw TextFault("write https[:PORT] or a URL, with a status before it or without")
        }
        if target == "https" { return RouteRedirect(.https(port: 443), status: status) }
        if target.hasPrefix("https:"), let port = PortText.port(target.dropFirst(6)) {
            return RouteRedirect(.https(port: port), status: status)
        }
        let isPlace = ["http://", "https://", "/"].contains { target.hasPrefix($0) }
        guard isPlace, target.utf8.count <= locationLimit, target.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            let forms = "https, https:PORT, or a URL of up to \(locationLimit) ASCII characters"
            throw TextFault("\(OneLine.quoted(target)) is not \(forms)")
        }
        guard target.hasSuffix("*") else { return RouteRedirect(.location(String(target)), status: status) }
        return RouteRedirect(.locationWithTarget(String(target.dropLast())), status: status)
    }

    /// `SECONDS[; includeSubDomains][; preload]`.
    static func transportSecurity(_ text: String) throws(TextFault) -> TransportSecurity {
        let items = text.split(separator: ";").map { $0.trimmed() }
        guard let first = items.first, let seconds = NumberText.integer(first) else {
            throw TextFault("\(OneLine.quoted(text)) is not SECONDS[; includeSubDomains][; preload]")
        }
        var policy = TransportSecurity(maxAge: UInt32(clamping: seconds))
        for item in items.dropFirst() {
            switch item.lowercased() {
            case "includesubdomains": policy.includesSubdomains = true
            case "preload": policy.isPreloaded = true
            default: throw TextFault("\(OneLine.quoted(item)) is not includeSubDomains or preload")
            }
        }
        return policy
    }
}
