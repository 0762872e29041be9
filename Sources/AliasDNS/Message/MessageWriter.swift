/// Writes a message into the caller's memory. Nothing is written behind the limit; `fits` is asked before a record.
struct MessageWriter {
    private let base: UnsafeMutableRawPointer
    private let limit: Int
    private(set) var count = 0
    private var reserved = 0
    private var answers: UInt16 = 0
    private var authorities: UInt16 = 0
    private var additionals: UInt16 = 0
    private var questions: UInt16 = 0

    /// - Parameters:
    ///   - buffer: at least a header long.
    ///   - limit: the longest message wanted.
    init?(_ buffer: UnsafeMutableRawBufferPointer, limit: Int) {
        guard let base = buffer.baseAddress, min(buffer.count, limit) >= Wire.headerLength else { return nil }
        self.base = base
        self.limit = min(buffer.count, limit, Wire.maxMessage)
        count = Wire.headerLength
    }

    func fits(_ length: Int) -> Bool { count + length <= limit - reserved }

    /// Keeps so many bytes at the end free from what asks `fits`.
    mutating func reserve(_ length: Int) { reserved = length }

    /// Records in the answer section so far.
    var answerCount: Int { Int(answers) }

    // MARK: Parts

    /// Copies the client's question byte for byte, so that the case of its letters comes back.
    mutating func question(of message: Span<UInt8>, _ query: Query) {
        for offset in Wire.headerLength..<query.questionEnd { u8(message[offset]) }
        questions = 1
    }

    enum Section {
        case answer, authority
    }

    /// The fixed part of a record whose name is at `nameOffset` of this message.
    mutating func record(in section: Section, nameOffset: Int, type: UInt16, ttl: UInt32, dataLength: Int) {
        u16(0xc000 | UInt16(truncatingIfNeeded: nameOffset & 0x3fff))
        u16(type)
        u16(Wire.Class.internet)
        u32(ttl)
        u16(UInt16(truncatingIfNeeded: dataLength))
        switch section {
        case .answer: answers &+= 1
        case .authority: authorities &+= 1
        }
    }

    /// Our OPT record: no options, DO clear, since nothing here is signed.
    mutating func opt(_ rcode: Rcode) {
        u8(0)
        u16(Wire.RecordType.opt)
        u16(UInt16(Wire.ednsPayload))
        u32(UInt32(rcode.rawValue >> 4) << 24)
        u16(0)
        additionals &+= 1
    }

    /// Fills in the header, last, when the counts are known.
    mutating func header(id: UInt16, flags: UInt16, rcode: Rcode) {
        let end = count
        count = 0
        u16(id)
        u16(flags & ~0xf | rcode.rawValue & 0xf)
        u16(questions)
        u16(answers)
        u16(authorities)
        u16(additionals)
        count = end
    }

    // MARK: Numbers

    mutating func u8(_ value: UInt8) {
        guard count < limit else { return }
        base.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    mutating func u16(_ value: UInt16) {
        u8(UInt8(truncatingIfNeeded: value >> 8))
        u8(UInt8(truncatingIfNeeded: value))
    }

    mutating func u32(_ value: UInt32) {
        u16(UInt16(truncatingIfNeeded: value >> 16))
        u16(UInt16(truncatingIfNeeded: value))
    }

    mutating func u64(_ value: UInt64) {
        u32(UInt32(truncatingIfNeeded: value >> 32))
        u32(UInt32(truncatingIfNeeded: value))
    }
}
