/// Just enough JSON to read `meshd status --json`.
indirect enum JSONValue {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(parsing text: String) throws {
        var reader = JSONReader(bytes: Array(text.utf8))
        self = try reader.value(depth: 0)
        try reader.expectEnd()
    }

    subscript(_ key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members[key]
    }

    var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    var real: Double? {
        guard case .number(let number) = self else { return nil }
        return number
    }

    var whole: Int? { real.flatMap { Int(exactly: $0) } }

    var children: [JSONValue] {
        switch self {
        case .array(let items): items
        case .object(let members): Array(members.values)
        default: []
        }
    }

    /// The first value, this one included, that `condition` takes.
    func first(where condition: (JSONValue) -> Bool) -> JSONValue? {
        if condition(self) { return self }
        for child in children {
            if let found = child.first(where: condition) { return found }
        }
        return nil
    }

    func object(named name: String, having key: String) -> JSONValue? {
        first { ($0["name"]?.text == name || $0["service"]?.text == name) && $0[key] != nil }
    }

    /// `state` (or `health`) of the object that holds `address`.
    func instanceState(_ address: String) -> String? {
        let found = first { value in
            guard case .object = value, value["state"]?.text != nil || value["health"]?.text != nil else {
                return false
            }
            return value.children.contains { child in
                child.text?.contains(address) == true || child.children.contains { $0.text?.contains(address) == true }
            }
        }
        return found?["state"]?.text ?? found?["health"]?.text
    }
}

private struct JSONReader {
    let bytes: [UInt8]
    var at = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    private func failure(_ what: String) -> Failure {
        Failure("JSON: \(what) at byte \(at) of \(String(decoding: bytes.prefix(400), as: UTF8.self))")
    }

    private mutating func skipSpace() {
        while at < bytes.count, [32, 9, 10, 13].contains(bytes[at]) { at += 1 }
    }

    private mutating func take(_ character: Character) -> Bool {
        skipSpace()
        guard at < bytes.count, bytes[at] == character.asciiValue else { return false }
        at += 1
        return true
    }

    mutating func expectEnd() throws {
        skipSpace()
        if at != bytes.count { throw failure("text after the value") }
    }

    mutating func value(depth: Int) throws -> JSONValue {
        guard depth < 64 else { throw failure("too deep") }
        if take("{") { return try object(depth: depth) }
        if take("[") { return try array(depth: depth) }
        if take("\"") { return .string(try string()) }
        return try word()
    }

    private mutating func object(depth: Int) throws -> JSONValue {
        var members: [String: JSONValue] = [:]
        if take("}") { return .object(members) }
        repeat {
            guard take("\"") else { throw failure("no key") }
            let key = try string()
            guard take(":") else { throw failure("no colon") }
            members[key] = try value(depth: depth + 1)
        } while take(",")
        guard take("}") else { throw failure("no }") }
        return .object(members)
    }

    private mutating func array(depth: Int) throws -> JSONValue {
        var items: [JSONValue] = []
        if take("]") { return .array(items) }
        repeat { items.append(try value(depth: depth + 1)) } while take(",")
        guard take("]") else { throw failure("no ]") }
        return .array(items)
    }

    /// After the opening quote. Escaped code units beyond ASCII become `?`: no test needs them.
    private mutating func string() throws -> String {
        var text: [UInt8] = []
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\"), at < bytes.count else {
                text.append(byte)
                continue
            }
            let escape = bytes[at]
            at += 1
            switch Character(UnicodeScalar(escape)) {
            case "n": text.append(10)
            case "t": text.append(9)
            case "r": text.append(13)
            case "u":
                let digits = String(decoding: bytes[at..<min(at + 4, bytes.count)], as: UTF8.self)
                text.append(UInt8(digits, radix: 16) ?? UInt8(ascii: "?"))
                at += 4
            default: text.append(escape)
            }
        }
        throw failure("open string")
    }

    private mutating func word() throws -> JSONValue {
        let start = at
        while at < bytes.count, ![44, 93, 125, 32, 10, 13, 9].contains(bytes[at]) { at += 1 }
        switch String(decoding: bytes[start..<at], as: UTF8.self) {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .null
        case let text:
            guard let number = Double(text) else { throw failure("word \(text)") }
            return .number(number)
        }
    }
}
