import MeshCore
import NetAddress

/// Turns a query into an answer: bytes and a zone in, bytes in the caller's memory out. Pure.
struct Responder: Sendable {
    enum Transport: Sendable {
        case datagram, stream
    }

    struct Answer: Hashable, Sendable {
        let length: Int
        let rcode: Rcode
        let isTruncated: Bool
    }

    enum Outcome: Hashable, Sendable {
        case answer(Answer)
        /// Not ours, and there are upstreams to ask.
        case forward(Query)
        case drop(isMalformed: Bool)
    }

    private let ttlSeconds: UInt32
    private let canForward: Bool

    /// - Parameters:
    ///   - ttlSeconds: of every record, also how long a "no" may be kept (RFC 2308 section 5); at most 2^31-1.
    ///   - canForward: whether upstreams are configured; sets RA.
    init(ttlSeconds: UInt32, canForward: Bool) {
        self.ttlSeconds = min(ttlSeconds, 0x7fff_ffff)
        self.canForward = canForward
    }

    /// - Parameters:
    ///   - rotation: a counter; decides which of several addresses comes first.
    ///   - out: at least 512 bytes; 65,535 hold every answer.
    func respond(
        to message: Span<UInt8>, zone: Zone, over transport: Transport, rotation: UInt64,
        into out: UnsafeMutableRawBufferPointer
    ) -> Outcome {
        switch ParsedQuery(message) {
        case .unreadable: return .drop(isMalformed: true)
        case .response: return .drop(isMalformed: false)
        case .refused(let rcode, let id, let flags): return bare(rcode, id: id, flags: flags, into: out)
        case .query(let query):
            if let rcode = Self.refusal(query) { return failure(rcode, message, query, into: out) }
            switch zone.lookup(message.extracting(Wire.headerLength..<query.nameEnd)) {
            case .found(let record, let apex):
                var answer = Draft(self, message, query, zone, transport, out)
                return answer?.found(record, apexOffset: apex, rotation: rotation) ?? .drop(isMalformed: false)
            case .unknown(let apex):
                var answer = Draft(self, message, query, zone, transport, out)
                return answer?.negative(.noSuchName, apexOffset: apex) ?? .drop(isMalformed: false)
            case .notOurs:
                return canForward ? .forward(query) : failure(.refused, message, query, into: out)
            }
        }
    }

    private static func refusal(_ query: Query) -> Rcode? {
        if let edns = query.edns, edns.version != 0 { return .badVersion }
        guard query.recordClass == Wire.Class.internet || query.recordClass == Wire.Class.any else { return .refused }
        // A zone transfer is neither ours to give nor to relay.
        return query.type == Wire.RecordType.axfr || query.type == Wire.RecordType.ixfr ? .refused : nil
    }

    /// An answer with the question, without records. With `truncated` it tells a client to ask again over TCP.
    func failure(
        _ rcode: Rcode, _ message: Span<UInt8>, _ query: Query, truncated: Bool = false,
        into out: UnsafeMutableRawBufferPointer
    ) -> Outcome {
        guard var writer = MessageWriter(out, limit: Wire.plainPayload) else { return .drop(isMalformed: false) }
        writer.question(of: message, query)
        if query.edns != nil { writer.opt(rcode) }
        let flags = flags(query.flags) | (truncated ? Wire.Flag.truncated : 0)
        writer.header(id: query.id, flags: flags, rcode: rcode)
        return .answer(Answer(length: writer.count, rcode: rcode, isTruncated: truncated))
    }

    private func bare(_ rcode: Rcode, id: UInt16, flags: UInt16, into out: UnsafeMutableRawBufferPointer) -> Outcome {
        guard var writer = MessageWriter(out, limit: Wire.plainPayload) else { return .drop(isMalformed: false) }
        writer.header(id: id, flags: self.flags(flags), rcode: rcode)
        return .answer(Answer(length: writer.count, rcode: rcode, isTruncated: false))
    }

    /// The flags of an answer to a query with `flags`: opcode, RD and CD come back (RFC 1035 4.1.1, RFC 4035 3.2.2).
    private func flags(_ flags: UInt16) -> UInt16 {
        let kept = Wire.Flag.opcodeMask | Wire.Flag.recursionDesired | Wire.Flag.checkingDisabled
        return Wire.Flag.response | flags & kept | (canForward ? Wire.Flag.recursionAvailable : 0)
    }
}

// MARK: - Authoritative answers

extension Responder {
    /// An authoritative answer being written.
    private struct Draft {
        private let responder: Responder
        private let query: Query
        private let zone: Zone
        private var writer: MessageWriter
        private var isTruncated = false

        init?(
            _ responder: Responder, _ message: Span<UInt8>, _ query: Query, _ zone: Zone, _ transport: Transport,
            _ out: UnsafeMutableRawBufferPointer
        ) {
            let limit = transport == .datagram ? query.datagramLimit : Wire.maxMessage
            // Behind the records there is always room for the OPT record.
            let reserved = query.edns == nil ? 0 : Wire.optLength
            guard out.count >= Wire.plainPayload, var writer = MessageWriter(out, limit: min(out.count, limit)) else {
                return nil
            }
            writer.question(of: message, query)
            writer.reserve(reserved)
            self.responder = responder
            self.query = query
            self.zone = zone
            self.writer = writer
        }

        mutating func found(_ record: Zone.Record, apexOffset: Int, rotation: UInt64) -> Outcome {
            let isAny = query.type == Wire.RecordType.any
            if query.type == Wire.RecordType.soa, apexOffset == 0 {
                startOfAuthority(.answer, apexOffset: 0)
                return finish(.noError)
            }
            // ANY gets the addresses and no more (RFC 8482 section 4.1).
            if isAny || query.type == Wire.RecordType.a { addresses(record.v4, rotation) }
            if isAny || query.type == Wire.RecordType.aaaa { addresses(record.v6, rotation) }
            return writer.answerCount > 0 ? finish(.noError) : negative(.noError, apexOffset: apexOffset)
        }

        /// NXDOMAIN, or NODATA with `.noError`; both with the zone's SOA (RFC 2308 sections 2 and 3).
        mutating func negative(_ rcode: Rcode, apexOffset: Int) -> Outcome {
            startOfAuthority(.authority, apexOffset: apexOffset)
            return finish(rcode)
        }

        /// As many as fit, beginning at a place that the rotation decides.
        private mutating func addresses(_ range: Range<Int>, _ rotation: UInt64) {
            guard !range.isEmpty else { return }
            let start = range.count == 1 ? 0 : Int(Self.mixed(rotation) % UInt64(range.count))
            for step in 0..<range.count {
                let place = start + step
                let address = zone.address(at: range.lowerBound + (place < range.count ? place : place - range.count))
                let length = address.isV4 ? 4 : 16
                guard writer.fits(12 + length) else {
                    isTruncated = true
                    return
                }
                writer.record(
                    in: .answer, nameOffset: Wire.headerLength,
                    type: address.isV4 ? Wire.RecordType.a : Wire.RecordType.aaaa, ttl: responder.ttlSeconds,
                    dataLength: length)
                if address.isV4 {
                    writer.u32(address.v4Bits)
                } else {
                    writer.u64(address.high)
                    writer.u64(address.low)
                }
            }
        }

        /// A client asks A and AAAA in turn, so with the bare counter it would see every second start only.
        private static func mixed(_ counter: UInt64) -> UInt64 {
            var value = counter &* 0x9e37_79b9_7f4a_7c15
            value = (value ^ (value >> 32)) &* 0xd6e8_feb8_6659_fd93
            return value ^ (value >> 32)
        }

        /// MNAME `meshd.invalid.`, RNAME `hostmaster.meshd.invalid.`: nobody transfers the zone or writes to it.
        private static let soaNames: [UInt8] =
            [5] + Array("meshd".utf8) + [7] + Array("invalid".utf8) + [0]
            + [10] + Array("hostmaster".utf8) + [5] + Array("meshd".utf8) + [7] + Array("invalid".utf8) + [0]

        /// At most 73 bytes, for which the shortest limit always has room behind the longest question and OPT.
        private mutating func startOfAuthority(_ section: MessageWriter.Section, apexOffset: Int) {
            let names = Self.soaNames
            writer.record(
                in: section, nameOffset: Wire.headerLength + apexOffset, type: Wire.RecordType.soa,
                ttl: responder.ttlSeconds, dataLength: names.count + 20)
            for byte in names { writer.u8(byte) }
            writer.u32(zone.serial)
            writer.u32(3600)  // refresh
            writer.u32(600)  // retry
            writer.u32(86_400)  // expire
            writer.u32(responder.ttlSeconds)  // how long a "no" is kept
        }

        private mutating func finish(_ rcode: Rcode) -> Outcome {
            writer.reserve(0)
            if query.edns != nil { writer.opt(rcode) }
            let truncated = isTruncated ? Wire.Flag.truncated : 0
            let flags = responder.flags(query.flags) | Wire.Flag.authoritative | truncated
            writer.header(id: query.id, flags: flags, rcode: rcode)
            return .answer(Answer(length: writer.count, rcode: rcode, isTruncated: isTruncated))
        }
    }
}
