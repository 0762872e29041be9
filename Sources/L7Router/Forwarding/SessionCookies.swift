import HTTPCodec
import MeshCore

// Session cookies are between meshd and its clients: no instance gets them.

extension HeadWriter {
    /// Writes the Cookie lines that hold session cookies without those, and marks as dropped what came.
    mutating func appendForeignCookies(_ fields: inout FieldTable, from base: UnsafeRawPointer) {
        for index in 0..<fields.count where fields.fields[index].known == .cookie && !fields.fields[index].isDropped {
            let value = fields.fields[index].value.bytes(in: base)
            guard Self.holdsSession(value) else { continue }
            fields.fields[index].isDropped = true
            appendForeign(value)
        }
    }

    private static func holdsSession(_ value: UnsafeRawBufferPointer) -> Bool {
        var isFound = false
        CookieList.forEachMember(value) { if SessionTicket.hasForm($0) { isFound = true } }
        return isFound
    }

    private mutating func appendForeign(_ value: UnsafeRawBufferPointer) {
        var isFirst = true
        CookieList.forEachMember(value) { member in
            guard !member.isEmpty, !SessionTicket.hasForm(member) else { return }
            append(isFirst ? "Cookie: " : "; ")
            append(member)
            isFirst = false
        }
        if !isFirst { append("\r\n") }
    }
}
