/// The conditions of all rules in flat memory.
struct ConditionList {
    enum Subject: UInt8, BitwiseCopyable { case method, header, query, port }
    enum Test: UInt8, BitwiseCopyable { case present, exact, prefix }

    struct Condition: BitwiseCopyable {
        var subject: Subject
        var test = Test.present
        var name = TextRange()
        /// The methods, each with a comma behind it; the value of a field or a member of the query.
        var value = TextRange()
        var port: UInt16 = 0
    }

    /// A condition with its texts put into `text`.
    static func flat(_ condition: RouteCondition, _ text: inout [UInt8]) -> Condition {
        switch condition {
        case .method(let names):
            let list = names.map { "\($0)," }.joined()
            return Condition(subject: .method, value: TextRange(list, &text))
        case .header(let name, let match): return flat(.header, name, match, &text)
        case .query(let name, let match): return flat(.query, name, match, &text)
        case .port(let port): return Condition(subject: .port, port: port)
        }
    }

    private static func flat(
        _ subject: Subject, _ name: String, _ match: TextMatch, _ text: inout [UInt8]
    ) -> Condition {
        var condition = Condition(subject: subject, name: TextRange(name, &text))
        switch match {
        case .present: condition.test = .present
        case .exact(let value): (condition.test, condition.value) = (.exact, TextRange(value, &text))
        case .prefix(let value): (condition.test, condition.value) = (.prefix, TextRange(value, &text))
        }
        return condition
    }

    static func holds(
        _ condition: Condition, _ text: UnsafePointer<UInt8>, _ request: RouteRequest,
        _ nextField: RouteRequest.NextField
    ) -> Bool {
        let name = condition.name.bytes(text)
        let value = condition.value.bytes(text)
        switch condition.subject {
        case .method: return contains(value, request.method)
        case .port: return request.port == condition.port
        case .query: return queryHolds(name, value, condition.test, request.path)
        case .header:
            var index = 0
            while let found = nextField(name, &index) {
                if isMatch(found, value, condition.test) { return true }
            }
            return false
        }
    }

    private static func contains(_ list: UnsafeRawBufferPointer, _ method: UnsafeRawBufferPointer) -> Bool {
        var start = 0
        for index in 0..<list.count where list[index] == UInt8(ascii: ",") {
            if index - start == method.count, (0..<method.count).allSatisfy({ list[start + $0] == method[$0] }) {
                return true
            }
            start = index + 1
        }
        return false
    }

    private static func isMatch(_ text: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ test: Test) -> Bool {
        switch test {
        case .present: return true
        case .exact where text.count != value.count: return false
        case .prefix where text.count < value.count: return false
        case .exact, .prefix:
            for index in 0..<value.count where text[index] != value[index] { return false }
            return true
        }
    }

    /// Whether a member of the query matches; members are joined with `&` (the usual form of HTML forms).
    private static func queryHolds(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ test: Test, _ path: UnsafeRawBufferPointer
    ) -> Bool {
        var start = 0
        while start < path.count, path[start] != UInt8(ascii: "?") { start += 1 }
        while start < path.count {
            var end = start + 1
            while end < path.count, path[end] != UInt8(ascii: "&") { end += 1 }
            var equals = start + 1
            while equals < end, path[equals] != UInt8(ascii: "=") { equals += 1 }
            if isDecodedMatch(path, start + 1, equals, name, .exact),
                isDecodedMatch(path, min(equals + 1, end), end, value, test)
            {
                return true
            }
            start = end
        }
        return false
    }

    /// Compares while decoding `%XX` and `+` (RFC 3986 section 2.1).
    private static func isDecodedMatch(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int, _ value: UnsafeRawBufferPointer, _ test: Test
    ) -> Bool {
        if test == .present { return true }
        var position = start
        for wanted in value {
            guard position < end else { return false }
            var byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "+") {
                byte = UInt8(ascii: " ")
            } else if byte == UInt8(ascii: "%"), position + 1 < end, let high = hexValue(bytes[position]),
                let low = hexValue(bytes[position + 1])
            {
                byte = high << 4 | low
                position += 2
            }
            guard byte == wanted else { return false }
        }
        return test == .prefix || position == end
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        if byte &- 48 < 10 { return byte &- 48 }
        let letter = (byte | 0x20) &- 97
        return letter < 6 ? letter + 10 : nil
    }
}

/// Octets within a table's text.
struct TextRange: BitwiseCopyable {
    var start: Int32 = 0
    var count: Int32 = 0

    init() {}

    init(_ string: String, _ text: inout [UInt8]) {
        start = Int32(text.count)
        text += string.utf8
        count = Int32(text.count) - start
    }

    @inline(__always)
    func bytes(_ text: UnsafePointer<UInt8>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text + Int(start), count: Int(count))
    }
}
