/// An IPv4 or IPv6 address as a value: sixteen bytes in network order, IPv4 in its mapped form (RFC 4291 section
/// 2.5.5.2).
///
/// Two addresses are equal when they name the same host, so `::ffff:1.2.3.4` read from a socket equals `1.2.3.4`.
public struct IPAddress: Hashable, Sendable, BitwiseCopyable, Comparable {
    /// Bytes 0 to 7, most significant first.
    public let high: UInt64
    /// Bytes 8 to 15, most significant first.
    public let low: UInt64

    private static let mappedPrefix: UInt64 = 0x0000_ffff_0000_0000

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// An IPv4 address from its 32 bits in host order: `0x7f000001` is 127.0.0.1.
    public init(v4 bits: UInt32) {
        self.init(high: 0, low: Self.mappedPrefix | UInt64(bits))
    }

    public var isV4: Bool { high == 0 && low >> 32 == Self.mappedPrefix >> 32 }

    /// The 32 bits of an IPv4 address in host order; meaningless for IPv6.
    public var v4Bits: UInt32 { UInt32(truncatingIfNeeded: low) }

    /// 127.0.0.0/8 (RFC 1122 section 3.2.1.3) or ::1 (RFC 4291 section 2.5.3).
    public var isLoopback: Bool { isV4 ? v4Bits >> 24 == 127 : high == 0 && low == 1 }

    public var isUnspecified: Bool { isV4 ? v4Bits == 0 : high == 0 && low == 0 }

    /// Whether listening on this address takes connections to `other`, too: `::` takes all, `0.0.0.0` all of IPv4.
    public func covers(_ other: IPAddress) -> Bool { self == .anyV6 || self == .anyV4 && other.isV4 }

    public static let anyV4 = IPAddress(v4: 0)
    public static let anyV6 = IPAddress(high: 0, low: 0)
    public static let loopbackV4 = IPAddress(v4: 0x7f00_0001)

    public static func < (a: Self, b: Self) -> Bool { (a.high, a.low) < (b.high, b.low) }
}

// MARK: - Text

extension IPAddress: CustomStringConvertible {
    /// Reads `192.0.2.1` or an RFC 4291 section 2.2 text form; `nil` for anything else (no zone, no brackets).
    public init?(_ text: some StringProtocol) {
        var text = String(text)
        guard let parsed = text.withUTF8({ Self.parse($0) }) else { return nil }
        self = parsed
    }

    private static func parse(_ text: UnsafeBufferPointer<UInt8>) -> IPAddress? {
        text.contains(UInt8(ascii: ":")) ? parseV6(Array(text)) : parseV4(text).map { IPAddress(v4: $0) }
    }

    /// Four numbers of one to three digits, none above 255 or with a leading zero.
    private static func parseV4(_ text: UnsafeBufferPointer<UInt8>) -> UInt32? {
        var bits: UInt32 = 0
        var dots = 0
        var octet: UInt32 = 0
        var digits = 0
        for byte in text {
            if byte == UInt8(ascii: ".") {
                guard digits > 0, dots < 3 else { return nil }
                bits = bits << 8 | octet
                (dots, octet, digits) = (dots + 1, 0, 0)
            } else {
                guard (0x30...0x39).contains(byte), digits < 3, digits == 0 || octet > 0 else { return nil }
                octet = octet * 10 + UInt32(byte - 0x30)
                digits += 1
                guard octet <= 255 else { return nil }
            }
        }
        return dots == 3 && digits > 0 ? bits << 8 | octet : nil
    }

    private static func parseV6(_ text: [UInt8]) -> IPAddress? {
        let halves = splitAtGap(text)
        // A dotted quad is the last 32 bits, so it never stands before the gap.
        guard let head = groups(halves.head, mayEndDotted: halves.tail == nil),
            let tail = groups(halves.tail ?? [], mayEndDotted: true)
        else { return nil }
        let missing = 8 - head.count - tail.count
        guard halves.tail == nil ? missing == 0 : missing >= 1 else { return nil }
        let all = head + Array(repeating: 0, count: missing) + tail
        func join(_ part: ArraySlice<UInt16>) -> UInt64 { part.reduce(0) { $0 << 16 | UInt64($1) } }
        return IPAddress(high: join(all[0..<4]), low: join(all[4..<8]))
    }

    private static func splitAtGap(_ bytes: [UInt8]) -> (head: ArraySlice<UInt8>, tail: ArraySlice<UInt8>?) {
        let colon = UInt8(ascii: ":")
        for index in bytes.indices.dropLast() where bytes[index] == colon && bytes[index + 1] == colon {
            return (bytes[..<index], bytes[(index + 2)...])
        }
        return (bytes[...], nil)
    }

    private static func groups(_ bytes: ArraySlice<UInt8>, mayEndDotted: Bool) -> [UInt16]? {
        guard !bytes.isEmpty else { return [] }
        let parts = bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var result: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if mayEndDotted, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let bits = part.withUnsafeBufferPointer({ parseV4($0) }) else { return nil }
                result += [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
            } else {
                // The integer initialiser alone would take a sign.
                guard (1...4).contains(part.count), part.first != UInt8(ascii: "+"), part.first != UInt8(ascii: "-"),
                    let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
                else { return nil }
                result.append(group)
            }
        }
        return result.count <= 8 ? result : nil
    }

    public var description: String { isV4 ? v4Description : v6Description }

    private var v4Description: String {
        let bits = v4Bits
        return "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
    }

    /// RFC 5952: lower case, the longest run of two or more zero groups shortened.
    private var v6Description: String {
        let groups = (0..<8).map { index -> UInt16 in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)))
        }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        func text(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard !best.isEmpty else { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}
