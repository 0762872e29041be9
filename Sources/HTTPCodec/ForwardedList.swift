/// Reading what other proxies said of a request's way here.
public enum ForwardedList {
    /// Calls `body` with each member of a comma separated list, white space around it taken off and empty members
    /// skipped: X-Forwarded-For.
    public static func forEachMember(_ value: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
        Octets.forEachMember(value, body)
    }

    /// Calls `body` with what each element of a `Forwarded` value (RFC 7239 section 4) says in `for`: the node without
    /// its quotes, or nothing where the element has no `for`, or one that cannot be an address.
    ///
    /// - Returns: `false` where the value is malformed, so that nobody can tell what an element added behind it would
    ///   belong to. Elements before the fault have been told.
    public static func forEachNode(
        _ value: UnsafeRawBufferPointer, _ body: (_ node: UnsafeRawBufferPointer?) -> Void
    ) -> Bool {
        var scanner = ForwardedScanner(value)
        while !scanner.isAtEnd {
            guard let element = scanner.element() else { return false }
            if element.hasPairs { body(element.node.map { UnsafeRawBufferPointer(rebasing: value[$0]) }) }
        }
        return true
    }
}

/// One pass over a `Forwarded` value.
private struct ForwardedScanner {
    struct Element {
        var hasPairs = false
        var node: Range<Int>?
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position >= bytes.count }

    /// `*( pair ";" )` up to and with the comma behind it; `nil` where it is malformed.
    mutating func element() -> Element? {
        var element = Element()
        var hasFor = false
        while true {
            skipBlanks()
            if take(Octets.comma) || isAtEnd { return element }
            if take(UInt8(ascii: ";")) { continue }
            guard let name = token(), take(UInt8(ascii: "=")), let value = value() else { return nil }
            element.hasPairs = true
            if Octets.equal(UnsafeRawBufferPointer(rebasing: bytes[name]), "for") {
                // Each parameter at most once in an element.
                guard !hasFor else { return nil }
                hasFor = true
                element.node = value
            }
            skipBlanks()
            guard isAtEnd || bytes[position] == Octets.comma || bytes[position] == UInt8(ascii: ";") else { return nil }
        }
    }

    private mutating func token() -> Range<Int>? {
        let start = position
        while position < bytes.count, Octets.isToken(bytes[position]) { position += 1 }
        return position > start ? start..<position : nil
    }

    /// A token, or what is between the quotes of a quoted string; an empty range where a quoted pair makes it something
    /// that no address is. `nil`: neither.
    private mutating func value() -> Range<Int>? {
        guard take(UInt8(ascii: "\"")) else { return token() }
        let start = position
        var hasPair = false
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\"") { return hasPair ? start..<start : start..<position - 1 }
            guard byte == UInt8(ascii: "\\") else { continue }
            hasPair = true
            position += 1
        }
        return nil
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipBlanks() {
        while position < bytes.count, Octets.isBlank(bytes[position]) { position += 1 }
    }
}
