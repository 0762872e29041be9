/// What a client asked, as offsets into its message. The question begins right behind the header, uncompressed.
struct Query: Hashable, Sendable {
    /// What the client's OPT record says (RFC 6891).
    struct EDNS: Hashable, Sendable {
        /// As sent; below 512 it counts as 512.
        let payloadSize: UInt16
        let version: UInt8
        /// Where in the message the record's class field, the payload size, lies.
        let payloadOffset: Int
    }

    let id: UInt16
    let flags: UInt16
    let type: UInt16
    let recordClass: UInt16
    /// Offset of the root's zero byte that ends the question's name.
    let nameEnd: Int
    /// Offset behind the question.
    var questionEnd: Int { nameEnd + 5 }
    let edns: EDNS?

    /// The longest answer over UDP that the client takes, in bytes.
    var datagramLimit: Int {
        guard let edns else { return Wire.plainPayload }
        return min(max(Int(edns.payloadSize), Wire.plainPayload), Wire.ednsPayload)
    }
}

enum ParsedQuery: Hashable, Sendable {
    case query(Query)
    /// Answered with the header alone.
    case refused(Rcode, id: UInt16, flags: UInt16)
    /// Not even a header.
    case unreadable
    /// A response (QR set): answering it could start a loop between two servers.
    case response
}

extension ParsedQuery {
    /// Reads a whole message. Every record is walked over; what follows the last one makes the message malformed.
    init(_ message: Span<UInt8>) {
        guard let id = message.u16(at: 0), let flags = message.u16(at: 2), message.count >= Wire.headerLength else {
            self = .unreadable
            return
        }
        guard flags & Wire.Flag.response == 0 else {
            self = .response
            return
        }
        guard flags & Wire.Flag.opcodeMask == 0 else {
            self = .refused(.notImplemented, id: id, flags: flags)
            return
        }
        guard let query = Self.question(message, id: id, flags: flags) else {
            self = .refused(.formatError, id: id, flags: flags)
            return
        }
        self = .query(query)
    }

    private static func question(_ message: Span<UInt8>, id: UInt16, flags: UInt16) -> Query? {
        // The first name has nothing before it but the header, so it cannot hold a pointer.
        guard message.u16(at: 4) == 1, let nameEnd = WireName.end(in: message, at: Wire.headerLength),
            let type = message.u16(at: nameEnd), let recordClass = message.u16(at: nameEnd + 2),
            type != Wire.RecordType.opt, case .read(let edns) = additional(message, from: nameEnd + 4)
        else { return nil }
        return Query(id: id, flags: flags, type: type, recordClass: recordClass, nameEnd: nameEnd - 1, edns: edns)
    }

    private enum Additional {
        case read(Query.EDNS?)
        case malformed
    }

    /// Walks the records behind the question; each takes eleven bytes or more, so their counts need no other bound.
    private static func additional(_ message: Span<UInt8>, from start: Int) -> Additional {
        var edns: Query.EDNS?
        var offset = start
        for section in 0..<3 {
            for _ in 0..<(message.u16(at: 6 + 2 * section) ?? 0) {
                guard let fixed = WireName.end(in: message, at: offset), let type = message.u16(at: fixed),
                    let payload = message.u16(at: fixed + 2), let length = message.u16(at: fixed + 8)
                else { return .malformed }
                let data = fixed + 10
                guard data + Int(length) <= message.count else { return .malformed }
                if type == Wire.RecordType.opt {
                    // One OPT, in the additional section, owned by the root (RFC 6891 section 6.1.1).
                    guard section == 2, edns == nil, fixed == offset + 1,
                        areOptions(message, data..<data + Int(length))
                    else { return .malformed }
                    edns = Query.EDNS(payloadSize: payload, version: message[fixed + 5], payloadOffset: fixed + 2)
                }
                offset = data + Int(length)
            }
        }
        return offset == message.count ? .read(edns) : .malformed
    }

    /// Whether the options fill the record's data exactly (RFC 6891 section 6.1.2).
    private static func areOptions(_ message: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var offset = range.lowerBound
        while offset < range.upperBound {
            guard offset + 4 <= range.upperBound, let length = message.u16(at: offset + 2) else { return false }
            offset += 4 + Int(length)
        }
        return offset == range.upperBound
    }
}
