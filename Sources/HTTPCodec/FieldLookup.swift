import Glibc

// Looking for fields that the codec itself does not act on.

extension FieldTable {
    /// The value of the next field called `name`, in any case, from `index` on; `index` moves behind it.
    public func nextValue(
        _ name: UnsafeRawBufferPointer, from index: inout Int, in base: UnsafeRawPointer
    ) -> UnsafeRawBufferPointer? {
        while index < count {
            let field = fields[index]
            index += 1
            guard Int(field.name.count) == name.count else { continue }
            let own = field.name.bytes(in: base)
            var position = 0
            while position < name.count, Octets.lowercased(own[position]) == Octets.lowercased(name[position]) {
                position += 1
            }
            if position == name.count { return field.value.bytes(in: base) }
        }
        return nil
    }

    /// The same for a name that is known beforehand, in lower case.
    public func nextValue(
        _ name: StaticString, from index: inout Int, in base: UnsafeRawPointer
    ) -> UnsafeRawBufferPointer? {
        nextValue(
            UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), from: &index, in: base)
    }
}

/// The members `NAME=VALUE` of a Cookie field (RFC 6265 section 4.2.1), with whatever else stands between semicolons.
public enum CookieList {
    public static func forEach(
        _ value: UnsafeRawBufferPointer,
        _ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void
    ) {
        forEachMember(value) { member in
            guard let base = member.baseAddress, let equals = memchr(base, 0x3d, member.count) else { return }
            let cut = UnsafeRawPointer(equals) - base
            body(
                UnsafeRawBufferPointer(rebasing: member[..<cut]),
                UnsafeRawBufferPointer(rebasing: member[(cut + 1)...]))
        }
    }

    /// What stands between semicolons, without blanks around it; it may be nothing, or no cookie.
    public static func forEachMember(
        _ value: UnsafeRawBufferPointer, _ body: (_ member: UnsafeRawBufferPointer) -> Void
    ) {
        guard let base = value.baseAddress else { return }
        var start = 0
        while start < value.count {
            let hit = memchr(base + start, 0x3b, value.count - start)
            let end = hit.map { UnsafeRawPointer($0) - base } ?? value.count
            var first = start
            while first < end, Octets.isBlank(value[first]) { first += 1 }
            var last = end
            while last > first, Octets.isBlank(value[last - 1]) { last -= 1 }
            body(UnsafeRawBufferPointer(rebasing: value[first..<last]))
            start = end + 1
        }
    }
}

extension RequestHead {
    /// Port of the authority; 0: none is given.
    public func port(in base: UnsafeRawPointer) -> UInt16 {
        let bytes = authority.bytes(in: base)
        var port = 0
        for index in (Int(host.count) + 1)..<max(bytes.count, Int(host.count) + 1) {
            guard Octets.isDigit(bytes[index]), port <= 65_535 else { return 0 }
            port = port * 10 + Int(bytes[index] &- 48)
        }
        return UInt16(exactly: port) ?? 0
    }
}
