extension JSONValue {
    /// Reads one JSON text (RFC 8259 section 2) with nothing but white space around it.
    ///
    /// Strict: no comments, no final commas, no leading zeros, no name twice in one object, valid UTF-8, no lone
    /// surrogates.
    public static func parse(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONProblem) -> JSONValue {
        guard bytes.count <= limits.bytes else {
            throw JSONProblem(offset: limits.bytes, message: "longer than \(limits.bytes) bytes")
        }
        var result = Result<JSONValue, JSONProblem>.failure(JSONProblem(offset: 0, message: "empty"))
        bytes.withUnsafeBufferPointer { buffer in
            var reader = JSONReader(bytes: buffer, nodesLeft: limits.nodes)
            do throws(JSONProblem) {
                result = .success(try reader.document(depth: limits.depth))
            } catch {
                result = .failure(error)
            }
        }
        return try result.get()
    }

    public static func parse(_ text: String, limits: JSONLimits = JSONLimits()) throws(JSONProblem) -> JSONValue {
        try parse(Array(text.utf8), limits: limits)
    }
}

private struct JSONReader {
    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0
    var nodesLeft: Int

    init(bytes: UnsafeBufferPointer<UInt8>, nodesLeft: Int) {
        self.bytes = bytes
        self.nodesLeft = nodesLeft
    }

    /// The byte at the position; 0, which stands nowhere in JSON, at the end.
    private var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

    private func problem(_ message: String) -> JSONProblem { JSONProblem(offset: position, message: message) }

    private func unexpected(_ wanted: String) -> JSONProblem {
        problem(position < bytes.count ? "expected \(wanted)" : "ends where \(wanted) was expected")
    }

    private mutating func skipSpace() {
        while current == 0x20 || current == 0x0a || current == 0x0d || current == 0x09 { position += 1 }
    }

    mutating func document(depth: Int) throws(JSONProblem) -> JSONValue {
        skipSpace()
        let value = try value(depth)
        skipSpace()
        guard position == bytes.count else { throw problem("something follows the value") }
        return value
    }

    private mutating func value(_ depth: Int) throws(JSONProblem) -> JSONValue {
        guard nodesLeft > 0 else { throw problem("too many values") }
        nodesLeft -= 1
        switch current {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), 0x30...0x39: return .number(try number())
        default: throw unexpected("a value")
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONProblem) -> JSONValue {
        let count = word.utf8CodeUnitCount
        guard bytes.count - position >= count,
            (0..<count).allSatisfy({ bytes[position + $0] == word.utf8Start[$0] })
        else { throw unexpected("a value") }
        position += count
        return value
    }

    // MARK: - Containers

    private mutating func array(_ depth: Int) throws(JSONProblem) -> JSONValue {
        guard depth > 0 else { throw problem("nested too deep") }
        position += 1
        var items: [JSONValue] = []
        skipSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return .array(items)
        }
        while true {
            skipSpace()
            items.append(try value(depth - 1))
            if try isEnd(UInt8(ascii: "]"), "',' or ']'") { return .array(items) }
        }
    }

    private mutating func object(_ depth: Int) throws(JSONProblem) -> JSONValue {
        guard depth > 0 else { throw problem("nested too deep") }
        position += 1
        var members: [JSONMember] = []
        var names = NameSet()
        skipSpace()
        if current == UInt8(ascii: "}") {
            position += 1
            return .object(members)
        }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw unexpected("a name in quotes") }
            let name = try string()
            guard names.insert(name, members) else { throw problem("the name is there twice") }
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw unexpected("':'") }
            position += 1
            skipSpace()
            members.append(JSONMember(name, try value(depth - 1)))
            if try isEnd(UInt8(ascii: "}"), "',' or '}'") { return .object(members) }
        }
    }

    /// Behind a value: passes over the comma, or over the container's end.
    private mutating func isEnd(_ end: UInt8, _ wanted: String) throws(JSONProblem) -> Bool {
        skipSpace()
        let byte = current
        guard byte == end || byte == UInt8(ascii: ",") else { throw unexpected(wanted) }
        position += 1
        return byte == end
    }

    // MARK: - Numbers

    /// RFC 8259 section 6.
    private mutating func number() throws(JSONProblem) -> String {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        let isZero = current == UInt8(ascii: "0")
        let whole = digits()
        guard whole > 0 else { throw unexpected("a digit") }
        guard whole == 1 || !isZero else { throw problem("a number with a leading zero") }
        if current == UInt8(ascii: ".") {
            position += 1
            guard digits() > 0 else { throw unexpected("a digit") }
        }
        if current | 0x20 == UInt8(ascii: "e") {
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            guard digits() > 0 else { throw unexpected("a digit") }
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func digits() -> Int {
        let start = position
        while (0x30...0x39).contains(current) { position += 1 }
        return position - start
    }

    // MARK: - Strings

    private mutating func string() throws(JSONProblem) -> String {
        position += 1
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                let text = try utf8(bytes[start..<position])
                position += 1
                return text
            case UInt8(ascii: "\\"): return try escapedString(start)
            case 0..<0x20: throw problem("a control character within a string")
            default: position += 1
            }
        }
        throw problem("a string without an end")
    }

    private func utf8(_ slice: Slice<UnsafeBufferPointer<UInt8>>) throws(JSONProblem) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw problem("a string that is not UTF-8") }
        return text
    }

    /// The slow way, from the first backslash on.
    private mutating func escapedString(_ start: Int) throws(JSONProblem) -> String {
        var octets = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: octets, as: UTF8.self) else {
                    throw problem("a string that is not UTF-8")
                }
                position += 1
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try escape(&octets)
            case 0..<0x20: throw problem("a control character within a string")
            default:
                octets.append(byte)
                position += 1
            }
        }
        throw problem("a string without an end")
    }

    private mutating func escape(_ octets: inout [UInt8]) throws(JSONProblem) {
        let byte = current
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): octets.append(byte)
        case UInt8(ascii: "b"): octets.append(0x08)
        case UInt8(ascii: "f"): octets.append(0x0c)
        case UInt8(ascii: "n"): octets.append(0x0a)
        case UInt8(ascii: "r"): octets.append(0x0d)
        case UInt8(ascii: "t"): octets.append(0x09)
        case UInt8(ascii: "u"):
            position += 1
            return octets.append(contentsOf: Character(try scalar()).utf8)
        default: throw unexpected("an escape of JSON")
        }
        position += 1
    }

    /// RFC 8259 section 7: beyond the basic plane two escapes make one character.
    private mutating func scalar() throws(JSONProblem) -> Unicode.Scalar {
        let unit = try hexadecimal()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard (0xd800..<0xdc00).contains(unit), current == UInt8(ascii: "\\"), position + 1 < bytes.count,
            bytes[position + 1] == UInt8(ascii: "u")
        else { throw problem("half of a surrogate pair") }
        position += 2
        let second = try hexadecimal()
        guard (0xdc00..<0xe000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (second - 0xdc00))
        else { throw problem("half of a surrogate pair") }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONProblem) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            switch current {
            case 0x30...0x39: value = value << 4 | UInt32(current - 0x30)
            case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
                value = value << 4 | UInt32((current | 0x20) - 0x57)
            default: throw unexpected("four hexadecimal digits")
            }
            position += 1
        }
        return value
    }
}

/// Names seen in one object: few are compared one by one, many are hashed.
private struct NameSet {
    private static let few = 16
    private var many: Set<String> = []

    /// `false` where the name is there already. `members` holds those inserted before.
    mutating func insert(_ name: String, _ members: [JSONMember]) -> Bool {
        if members.count < Self.few { return !members.contains { $0.name == name } }
        if many.isEmpty { many = Set(members.map(\.name)) }
        return many.insert(name).inserted
    }
}
