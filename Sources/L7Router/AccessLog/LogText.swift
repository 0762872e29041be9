import HTTPCodec

// Text of clients in lines of a log: no octet of it can end a string or a line.

extension HeadWriter {
    /// The inside of a JSON string (RFC 8259 section 7). Well-formed UTF-8 goes as it is, but for control characters;
    /// an octet that is no part of it becomes the character of its number.
    mutating func appendJSONText(_ text: UnsafeRawBufferPointer) {
        var start = 0
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                index += 1
                continue
            }
            let length = byte >= 0x80 ? UTF8Sequence.length(text, at: index) : 0
            let escapes = length == 0 || UTF8Sequence.endsLines(text, at: index)
            if escapes {
                append(UnsafeRawBufferPointer(rebasing: text[start..<index]))
                if length == 3 {
                    append(text[index + 2] == 0xa8 ? "\\u2028" : "\\u2029")
                } else {
                    appendJSONEscape(length == 2 ? text[index + 1] : byte)
                }
                start = index + max(length, 1)
            }
            index += max(length, 1)
        }
        append(UnsafeRawBufferPointer(rebasing: text[start...]))
    }

    private mutating func appendJSONEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case UInt8(ascii: "\t"): append("\\t")
        default:
            append("\\u00")
            append(hex: UInt64(byte), digits: 2)
        }
    }

    /// As nginx does: quotes, backslashes, controls and what is no ASCII as `\xHH`.
    mutating func appendCombinedText(_ text: UnsafeRawBufferPointer) {
        var start = 0
        for index in 0..<text.count {
            let byte = text[index]
            if byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { continue }
            append(UnsafeRawBufferPointer(rebasing: text[start..<index]))
            append("\\x")
            append(hex: UInt64(byte), digits: 2)
            start = index + 1
        }
        append(UnsafeRawBufferPointer(rebasing: text[start...]))
    }
}

/// Well-formed sequences of more than one octet (Unicode 3.9, table 3-7).
enum UTF8Sequence {
    /// The length of the sequence that begins here; 0 where none does.
    static func length(_ text: UnsafeRawBufferPointer, at index: Int) -> Int {
        let first = text[index]
        let left = text.count - index
        switch first {
        case 0xc2...0xdf: return left > 1 && isTail(text[index + 1]) ? 2 : 0
        case 0xe0...0xef:
            guard left > 2, isTail(text[index + 2]), second(first).contains(text[index + 1]) else { return 0 }
            return 3
        case 0xf0...0xf4:
            guard left > 3, isTail(text[index + 2]), isTail(text[index + 3]), second(first).contains(text[index + 1])
            else { return 0 }
            return 4
        default: return 0
        }
    }

    /// Whether the sequence is a control character (U+0080 to U+009F) or a separator of lines or paragraphs, which
    /// some readers take for the end of a line.
    static func endsLines(_ text: UnsafeRawBufferPointer, at index: Int) -> Bool {
        switch text[index] {
        case 0xc2: text[index + 1] < 0xa0
        case 0xe2: text[index + 1] == 0x80 && text[index + 2] & 0xfe == 0xa8
        default: false
        }
    }

    private static func isTail(_ byte: UInt8) -> Bool { byte & 0xc0 == 0x80 }

    /// No overlong forms, no surrogates, nothing above U+10FFFF.
    private static func second(_ first: UInt8) -> ClosedRange<UInt8> {
        switch first {
        case 0xe0: 0xa0...0xbf
        case 0xed: 0x80...0x9f
        case 0xf0: 0x90...0xbf
        case 0xf4: 0x80...0x8f
        default: 0x80...0xbf
        }
    }
}
