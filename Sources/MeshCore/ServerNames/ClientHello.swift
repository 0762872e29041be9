/// The server name in the first message of a TLS client, from bytes that are only looked at (RFC 8446 section 4.1.2,
/// RFC 6066 section 3).
///
/// Pure, and asked again from the beginning whenever more bytes have come: they may come one by one, in several records
/// and packets. Nothing is repaired; what is not a ClientHello is for TLS itself to refuse.
public enum ClientHello {
    /// The most bytes that are looked at, record headers included.
    public static let limitBytes = 16 << 10

    public enum Finding: Equatable, Sendable {
        /// More bytes decide.
        case incomplete
        /// Lower case.
        case serverName(String)
        /// A ClientHello without a server name, one larger than the limit, or something else altogether.
        case none
    }

    /// - Parameter bytes: the connection's bytes from the first one on, `limitBytes` at the most.
    public static func look(at bytes: UnsafeRawBufferPointer) -> Finding {
        var message: [UInt8] = []
        switch gather(bytes, into: &message) {
        case .broken: return .none
        // A message that fills the limit without an end will not be looked at further.
        case .begun: return bytes.count < limitBytes ? .incomplete : .none
        case .whole: break
        }
        return message.withUnsafeBytes { name(in: $0) }
    }

    private enum Gathered {
        case begun, whole, broken
    }

    /// Puts the handshake message together from its records, without their headers.
    private static func gather(_ bytes: UnsafeRawBufferPointer, into message: inout [UInt8]) -> Gathered {
        var position = 0
        while position < bytes.count {
            // Type, version, length. What is there of it must already be right.
            guard bytes[position] == 22 else { return .broken }
            if position + 1 < bytes.count, bytes[position + 1] != 3 { return .broken }
            guard position + 5 <= bytes.count else { return .begun }
            let length = Int(bytes[position + 3]) << 8 | Int(bytes[position + 4])
            guard (1...(16 << 10)).contains(length) else { return .broken }
            let end = min(position + 5 + length, bytes.count)
            message.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[(position + 5)..<end]))
            if let first = message.first, first != 1 { return .broken }
            if message.count >= 4 {
                let wanted = 4 + (Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3]))
                if wanted > limitBytes { return .broken }
                if message.count >= wanted {
                    message.removeLast(message.count - wanted)
                    return .whole
                }
            }
            position = position + 5 + length
        }
        return .begun
    }

    private static func name(in message: UnsafeRawBufferPointer) -> Finding {
        // Header, version and random.
        var reader = Reader(message, from: 4 + 2 + 32)
        guard reader.skipVector(lengthBytes: 1), reader.skipVector(lengthBytes: 2), reader.skipVector(lengthBytes: 1),
            var extensions = reader.vector(lengthBytes: 2)
        else { return .none }
        while let kind = extensions.number(bytes: 2) {
            guard var content = extensions.vector(lengthBytes: 2) else { return .none }
            guard kind == 0 else { continue }
            guard var list = content.vector(lengthBytes: 2), list.number(bytes: 1) == 0,
                let host = list.vector(lengthBytes: 2)
            else { return .none }
            return finding(host.rest)
        }
        return .none
    }

    private static func finding(_ host: UnsafeRawBufferPointer) -> Finding {
        var name = host
        if name.last == UInt8(ascii: ".") { name = UnsafeRawBufferPointer(rebasing: name.dropLast()) }
        let isName = (1...255).contains(name.count) && name.allSatisfy { (0x21...0x7e).contains($0) }
        return isName ? .serverName(String(decoding: name, as: UTF8.self).lowercased()) : .none
    }

    /// Numbers and length-prefixed vectors, never beyond the end.
    private struct Reader {
        private let bytes: UnsafeRawBufferPointer
        private var position: Int

        init(_ bytes: UnsafeRawBufferPointer, from position: Int) {
            self.bytes = bytes
            self.position = position
        }

        var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[min(position, bytes.count)...]) }

        mutating func number(bytes count: Int) -> Int? {
            guard count <= bytes.count - position else { return nil }
            var number = 0
            for index in 0..<count { number = number << 8 | Int(bytes[position + index]) }
            position += count
            return number
        }

        mutating func vector(lengthBytes: Int) -> Reader? {
            guard let length = number(bytes: lengthBytes), length <= bytes.count - position else { return nil }
            let part = UnsafeRawBufferPointer(rebasing: bytes[position..<position + length])
            position += length
            return Reader(part, from: 0)
        }

        mutating func skipVector(lengthBytes: Int) -> Bool { vector(lengthBytes: lengthBytes) != nil }
    }
}
