/// Names in a message (RFC 1035 sections 3.1 and 4.1.4).
enum WireName {
    /// Pointers followed in one name. Each must point before the last, so none can loop; this bounds the work.
    private static let maxPointers = 32

    /// The offset behind the name that begins at `start`; `nil` for a name that is cut off, longer than 255 bytes,
    /// or has a label type other than a plain label and a pointer backwards.
    static func end(in message: Span<UInt8>, at start: Int) -> Int? {
        var offset = start
        var floor = start
        var end: Int?
        var length = 1
        var pointers = 0
        while offset < message.count {
            let byte = Int(message[offset])
            switch byte {
            case 0: return end ?? offset + 1
            case 1...Wire.maxLabel:
                length += 1 + byte
                guard length <= Wire.maxName else { return nil }
                offset += 1 + byte
            case 0xc0...:
                guard offset + 1 < message.count else { return nil }
                let target = (byte & 0x3f) << 8 | Int(message[offset + 1])
                pointers += 1
                guard target >= Wire.headerLength, target < floor, pointers <= maxPointers else { return nil }
                end = end ?? offset + 2
                floor = target
                offset = target
            default: return nil
            }
        }
        return nil
    }
}
