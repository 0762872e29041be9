import HTTPCodec
import MeshCore

/// What the head that the client gets says of its body and its connection.
struct ResponseFraming {
    var isChunked = false
    var isTunnel = false
    var closes = false
    var keepsHTTP10Alive = false
    /// Told instead of what the instance says, where it is not empty.
    var requestID = UnsafeRawBufferPointer(start: nil, count: 0)
}

/// Fields that the client gets from meshd, not from the instance.
struct ResponseAdditions {
    var ticket: SessionTicket?
    var key = SessionKey.none
    var isSecure = false
    var transportSecurity: TransportSecurity?
}

extension HeadWriter {
    /// Renders the head that the client gets.
    mutating func appendResponse(
        _ head: ResponseHead, _ fields: FieldTable, from base: UnsafeRawPointer, framing: ResponseFraming,
        _ additions: ResponseAdditions = ResponseAdditions()
    ) {
        appendStatusLine(head, from: base)
        if !framing.requestID.isEmpty {
            for index in 0..<fields.count where fields.fields[index].known == .xRequestID {
                fields.fields[index].isDropped = true
            }
            appendField("X-Request-ID: ", framing.requestID)
        }
        appendFields(fields, from: base)
        if framing.isChunked { append("Transfer-Encoding: chunked\r\n") }
        if framing.isTunnel {
            append("Connection: Upgrade\r\nUpgrade: ")
            append(fields.fields[Int(head.upgradeField)].value.bytes(in: base))
            append("\r\n")
        } else if framing.closes {
            append("Connection: close\r\n")
        } else if framing.keepsHTTP10Alive {
            append("Connection: keep-alive\r\n")
        }
        if let ticket = additions.ticket { append(ticket, additions.key, isSecure: additions.isSecure) }
        if let policy = additions.transportSecurity { append(policy) }
        append("\r\n")
    }
}
