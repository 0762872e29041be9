/// The form of W3C Trace Context fields (https://www.w3.org/TR/trace-context/, section 3). What is malformed is not
/// passed on: whoever reads it next would have to guess.
public enum TraceContext {
    /// Octets of a `traceparent` of version 00.
    public static let parentBytes = 55
    /// Where the trace-id lies in a valid `traceparent` of any version.
    public static let traceID = 3..<35
    /// Members of a `tracestate`, over all its lines.
    static let stateMembers = 32

    /// `version "-" trace-id "-" parent-id "-" flags` in lower case hexadecimal, neither id all zeros; a later version
    /// than 00 may go on behind another dash.
    public static func isValidParent(_ value: UnsafeRawBufferPointer) -> Bool {
        guard value.count >= parentBytes, isHex(value[0..<2]), isHex(value[3..<35]), isHex(value[36..<52]),
            isHex(value[53..<55]), value[2] == dash, value[35] == dash, value[52] == dash,
            !isZero(value[3..<35]), !isZero(value[36..<52])
        else { return false }
        switch (value[0], value[1]) {
        case (UInt8(ascii: "f"), UInt8(ascii: "f")): return false
        case (UInt8(ascii: "0"), UInt8(ascii: "0")): return value.count == parentBytes
        default: return value.count == parentBytes || value[parentBytes] == dash
        }
    }

    private static let dash = UInt8(ascii: "-")

    private static func isHex(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        bytes.allSatisfy { Octets.isDigit($0) || $0 &- 97 < 6 }
    }

    private static func isZero(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        bytes.allSatisfy { $0 == UInt8(ascii: "0") }
    }

    /// Whether all `tracestate` lines of a head together are one valid list: at most 32 members `key=value`, no key
    /// twice.
    public static func isValidState(_ table: FieldTable, from base: UnsafeRawPointer) -> Bool {
        withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: stateMembers) { keys in
            var count = 0
            var isValid = true
            for index in 0..<table.count where table.fields[index].known == .tracestate {
                Octets.forEachMember(table.fields[index].value.bytes(in: base)) { member in
                    guard isValid, count < stateMembers, let key = stateKey(member) else {
                        isValid = false
                        return
                    }
                    for other in 0..<count where equal(keys[other], key) { isValid = false }
                    keys.initializeElement(at: count, to: key)
                    count += 1
                }
            }
            return isValid
        }
    }

    /// The key of a well-formed member: lower case letters, digits, `_ - * / @`, a letter or digit first, 256 at the
    /// most; then `=` and 1 to 256 visible octets or spaces, none of them a comma or `=`.
    private static func stateKey(_ member: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var end = 0
        while end < member.count, isKeyOctet(member[end]) { end += 1 }
        guard (1...256).contains(end), end < member.count, member[end] == UInt8(ascii: "="), isAlphanumeric(member[0])
        else { return nil }
        let value = member[(end + 1)...]
        // Blanks at its end are the list's, and were taken off.
        guard (1...256).contains(value.count),
            value.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != Octets.comma && $0 != UInt8(ascii: "=") })
        else { return nil }
        return UnsafeRawBufferPointer(rebasing: member[..<end])
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool { Octets.isDigit(byte) || byte &- 97 < 26 }

    private static func isKeyOctet(_ byte: UInt8) -> Bool {
        if isAlphanumeric(byte) { return true }
        switch byte {
        case UInt8(ascii: "_"), dash, UInt8(ascii: "*"), UInt8(ascii: "/"), UInt8(ascii: "@"): return true
        default: return false
        }
    }

    private static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        a.count == b.count && a.elementsEqual(b)
    }
}
