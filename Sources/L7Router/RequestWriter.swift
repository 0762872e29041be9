import HTTPCodec
import NetAddress

extension HeadWriter {
    /// Renders the head that an instance gets: the fields that may go on, then those that tell of the client.
    mutating func appendRequest(
        _ head: RequestHead, _ fields: inout FieldTable, from base: UnsafeRawPointer, peer: IPAddress
    ) {
        appendRequestLine(head, from: base)
        for index in 0..<fields.count {
            switch fields.fields[index].known {
            case .xForwardedFor, .xForwardedHost, .xForwardedProto: fields.fields[index].isDropped = true
            // An absolute target overrides Host (RFC 9112 section 3.2.2); an empty one says nothing.
            case .host where head.isAbsoluteTarget || head.authority.isEmpty: fields.fields[index].isDropped = true
            default: break
            }
        }
        appendFields(fields, from: base)
        // Of HTTP/1.0 without Host: what goes on is HTTP/1.1, which has one.
        if head.authority.isEmpty { append("Host: localhost\r\n") }
        if head.isAbsoluteTarget { appendField("Host: ", head.authority.bytes(in: base)) }
        if head.framing == .chunked { append("Transfer-Encoding: chunked\r\n") }
        if head.options.contains(.upgrade), head.upgradeField >= 0, head.minorVersion >= 1 {
            append("Connection: Upgrade\r\n")
            appendField("Upgrade: ", fields.fields[Int(head.upgradeField)].value.bytes(in: base))
        }
        if head.options.contains(.acceptsTrailers) { append("Connection: TE\r\nTE: trailers\r\n") }
        appendForwardedFor(fields, from: base, peer)
        append("X-Forwarded-Proto: http\r\n")
        if !head.authority.isEmpty { appendField("X-Forwarded-Host: ", head.authority.bytes(in: base)) }
        append("\r\n")
    }

    private mutating func appendField(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        append(name)
        append(value)
        append("\r\n")
    }

    /// The client's own claims first, then where it really came from: the last member is the one to trust.
    private mutating func appendForwardedFor(_ fields: FieldTable, from base: UnsafeRawPointer, _ peer: IPAddress) {
        append("X-Forwarded-For: ")
        for index in 0..<fields.count where fields.fields[index].known == .xForwardedFor {
            let value = fields.fields[index].value
            guard !value.isEmpty else { continue }
            append(value.bytes(in: base))
            append(", ")
        }
        append(peer)
        append("\r\n")
    }

    mutating func append(_ ip: IPAddress) {
        guard ip.isV4 else {
            // Rare enough for a String.
            var text = ip.description
            return text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
        }
        let bits = ip.v4Bits
        append(decimal: UInt64(bits >> 24))
        append(byte: UInt8(ascii: "."))
        append(decimal: UInt64(bits >> 16 & 255))
        append(byte: UInt8(ascii: "."))
        append(decimal: UInt64(bits >> 8 & 255))
        append(byte: UInt8(ascii: "."))
        append(decimal: UInt64(bits & 255))
    }
}
