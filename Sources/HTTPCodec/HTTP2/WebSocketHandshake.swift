// The handshake of a WebSocket (RFC 6455 section 4), which HTTP/2 does without (RFC 8441 section 5): where the two
// sides differ it is made or answered here.

/// What a client of HTTP/1.1 sends as Sec-WebSocket-Key: 16 octets that no two handshakes share. No secret.
public struct WebSocketKey: Equatable, Sendable {
    private let octets: (UInt64, UInt64)

    /// Two random numbers.
    public init(_ first: UInt64, _ second: UInt64) { octets = (first, second) }

    public static func == (one: WebSocketKey, other: WebSocketKey) -> Bool { one.octets == other.octets }

    static let textCount = 24

    /// Whether this is the Base64 text of 16 octets.
    public static func isWellFormed(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count == textCount, text.suffix(2).elementsEqual("==".utf8) else { return false }
        // The last digit before the padding has four bits that mean nothing.
        return text.dropLast(2).allSatisfy { Base64Digits.isDigit($0) }
    }

    func withText<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: Self.textCount, alignment: 1) { text in
            withUnsafeBytes(of: (octets.0.bigEndian, octets.1.bigEndian)) { Base64Digits.write($0, to: text) }
            return body(UnsafeRawBufferPointer(text))
        }
    }

    /// What the right answer to this key is.
    public var accept: WebSocketAccept { withText { WebSocketAccept(key: $0) } }
}

/// What a server answers to a key as Sec-WebSocket-Accept: the SHA-1 of the key's text and of a constant.
public struct WebSocketAccept: Equatable, Sendable {
    private static let constant: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    private static let textCount = 28

    private let digest: SHA1.Digest

    /// - Parameter key: as the field says it; what is beyond 64 octets is left out.
    public init(key: UnsafeRawBufferPointer) {
        digest = withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { space in
            guard let base = space.baseAddress else { return SHA1.Digest() }
            var writer = HeadWriter(base, capacity: space.count)
            writer.append(UnsafeRawBufferPointer(rebasing: key.prefix(64)))
            writer.append(Self.constant)
            return SHA1.digest(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(space)[..<writer.count]))
        }
    }

    func withText<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: Self.textCount, alignment: 1) { text in
            withUnsafeBytes(of: digest.bigEndian) { Base64Digits.write($0, to: text) }
            return body(UnsafeRawBufferPointer(text))
        }
    }

    /// Whether a response's field says the same.
    public func isSaid(by value: UnsafeRawBufferPointer) -> Bool { withText { $0.elementsEqual(value) } }
}

extension RequestHead {
    /// Whether it asks for a WebSocket: GET with an upgrade to `websocket`, alone or among others.
    public func asksWebSocket(_ fields: FieldTable, in base: UnsafeRawPointer) -> Bool {
        guard method == .get, options.contains(.upgrade), upgradeField >= 0 else { return false }
        var isNamed = false
        Octets.forEachMember(fields.fields[Int(upgradeField)].value.bytes(in: base)) { member in
            if Octets.equal(member, "websocket") { isNamed = true }
        }
        return isNamed
    }
}

extension ResponseHead {
    /// Whether it upgrades to a WebSocket with the right answer to a key.
    public func answers(_ accept: WebSocketAccept, _ fields: FieldTable, in base: UnsafeRawPointer) -> Bool {
        guard status == 101, options.contains(.upgrade), upgradeField >= 0,
            Octets.equal(fields.fields[Int(upgradeField)].value.bytes(in: base), "websocket"),
            let said = fields.only(.secWebSocketAccept, in: base)
        else { return false }
        return accept.isSaid(by: said)
    }
}

extension FieldTable {
    /// The value of a field that goes on and stands there once; `nil` where there is none, or more than one.
    public func only(_ name: HeaderName, in base: UnsafeRawPointer) -> UnsafeRawBufferPointer? {
        var found: UnsafeRawBufferPointer?
        for index in 0..<count where fields[index].known == name && !fields[index].isDropped {
            guard found == nil else { return nil }
            found = fields[index].value.bytes(in: base)
        }
        return found
    }

    /// Marks fields as not to be passed on.
    public func drop(_ name: HeaderName) {
        for index in 0..<count where fields[index].known == name { fields[index].isDropped = true }
    }
}

/// RFC 4648 section 4, as far as it is needed here.
enum Base64Digits {
    static func isDigit(_ byte: UInt8) -> Bool {
        Octets.isDigit(byte) || Octets.lowercased(byte) &- 97 < 26 || byte == UInt8(ascii: "+")
            || byte == UInt8(ascii: "/")
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        switch value {
        case 0..<26: value + UInt8(ascii: "A")
        case 26..<52: value - 26 + UInt8(ascii: "a")
        case 52..<62: value - 52 + UInt8(ascii: "0")
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }

    /// Four digits for each three octets; `text` has room for all of them.
    static func write(_ octets: UnsafeRawBufferPointer, to text: UnsafeMutableRawBufferPointer) {
        var target = 0
        for start in stride(from: 0, to: octets.count, by: 3) {
            let count = min(3, octets.count - start)
            var group: UInt32 = 0
            for index in 0..<3 { group = group << 8 | (index < count ? UInt32(octets[start + index]) : 0) }
            for index in 0..<4 {
                let bits = UInt8(truncatingIfNeeded: group >> UInt32(18 - 6 * index)) & 63
                text[target + index] = index <= count ? digit(bits) : UInt8(ascii: "=")
            }
            target += 4
        }
    }
}
