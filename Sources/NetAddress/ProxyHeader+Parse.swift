extension ProxyHeader {
    /// What the first bytes of a connection are.
    public enum Parsed: Hashable, Sendable {
        /// So far they begin a header.
        case incomplete
        /// - Parameter length: bytes of the header; the connection's own begin behind them.
        case header(ProxyHeader, length: Int)
        /// No header, or a broken one: nobody knows whose connection this is.
        case malformed
    }

    /// Longest line of version 1, its CRLF included (section 2.1).
    public static let longestText = 107
    /// Longest header of version 2 that is read, its TLVs included. The protocol asks for 536 (section 2.2); some
    /// senders put certificates' names into TLVs.
    public static let longestBinary = 4_096

    /// Reads a header of either version. TLVs are checked for their lengths and otherwise passed over.
    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Parsed {
        guard let first = bytes.first else { return .incomplete }
        return first == signature[0] ? parseBinary(bytes) : parseText(bytes)
    }

    // MARK: - Version 1

    private static func parseText(_ bytes: UnsafeRawBufferPointer) -> Parsed {
        let prefix = "PROXY ".utf8
        guard zip(prefix, bytes).allSatisfy({ $0 == $1 }) else { return .malformed }
        let window = bytes.prefix(longestText)
        guard let end = window.firstIndex(of: 0x0a) else {
            return bytes.count >= longestText ? .malformed : .incomplete
        }
        guard end > prefix.count, bytes[end - 1] == 0x0d else { return .malformed }
        let line = window[prefix.count..<(end - 1)]
        guard line.allSatisfy({ (0x20...0x7e).contains($0) }) else { return .malformed }
        let fields = line.split(separator: 0x20, omittingEmptySubsequences: false)
        let words = fields.map { String(decoding: $0, as: UTF8.self) }
        // What stands behind UNKNOWN says nothing.
        if words[0] == "UNKNOWN" { return .header(.local, length: end + 1) }
        guard words.count == 5, words[0] == "TCP4" || words[0] == "TCP6",
            let source = address(words[1], port: words[3], isV4: words[0] == "TCP4"),
            let destination = address(words[2], port: words[4], isV4: words[0] == "TCP4")
        else { return .malformed }
        return .header(.proxied(source: source, destination: destination), length: end + 1)
    }

    private static func address(_ text: String, port: String, isV4: Bool) -> SocketAddress? {
        let isDotted = !text.utf8.contains(UInt8(ascii: ":"))
        guard isDotted == isV4, let ip = IPAddress(text) else { return nil }
        guard port == "0" || port.utf8.first != UInt8(ascii: "0"), let number = UInt16(digits: port) else { return nil }
        return SocketAddress(ip, number)
    }

    // MARK: - Version 2

    private static func parseBinary(_ bytes: UnsafeRawBufferPointer) -> Parsed {
        guard zip(signature, bytes).allSatisfy({ $0 == $1 }) else { return .malformed }
        if bytes.count > 12, bytes[12] != 0x20, bytes[12] != 0x21 { return .malformed }
        // Family 0...3 (UNSPEC, INET, INET6, UNIX), transport 0...2 (UNSPEC, STREAM, DGRAM).
        if bytes.count > 13, bytes[13] >> 4 > 3 || bytes[13] & 15 > 2 { return .malformed }
        guard bytes.count >= 16 else { return .incomplete }
        let total = 16 + Int(bytes[14]) << 8 + Int(bytes[15])
        guard total <= longestBinary else { return .malformed }
        guard bytes.count >= total else { return .incomplete }
        if bytes[12] == 0x20 { return .header(.local, length: total) }
        let body = UnsafeRawBufferPointer(rebasing: bytes[16..<total])
        let addressLength = [0, 12, 36, 216][Int(bytes[13] >> 4)]
        guard body.count >= addressLength, hasWholeTLVs(body.dropFirst(addressLength)) else { return .malformed }
        switch bytes[13] {
        case 0x11: return .header(pair(body, 4) { IPAddress(v4: UInt32(big($0))) }, length: total)
        case 0x21:
            let header = pair(body, 16) { IPAddress(high: big($0.prefix(8)), low: big($0.dropFirst(8))) }
            return .header(header, length: total)
        default: return .header(.local, length: total)
        }
    }

    private static func pair(
        _ body: UnsafeRawBufferPointer, _ size: Int, _ ip: (Slice<UnsafeRawBufferPointer>) -> IPAddress
    ) -> ProxyHeader {
        let ports = 2 * size
        return .proxied(
            source: SocketAddress(ip(body[0..<size]), UInt16(big(body[ports..<(ports + 2)]))),
            destination: SocketAddress(ip(body[size..<ports]), UInt16(big(body[(ports + 2)..<(ports + 4)]))))
    }

    /// At most eight bytes as a number, the most significant first.
    private static func big(_ bytes: Slice<UnsafeRawBufferPointer>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Type, two bytes of length, value, one behind the other up to the end (section 2.2.7).
    private static func hasWholeTLVs(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            guard rest.count >= 3 else { return false }
            let length = Int(big(rest.dropFirst().prefix(2)))
            guard rest.count >= 3 + length else { return false }
            rest = rest.dropFirst(3 + length)
        }
        return true
    }
}
