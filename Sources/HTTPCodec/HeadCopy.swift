// Writing the head that goes on from the head that came.

extension HeadWriter {
    /// Copies the header lines that are not dropped, neighbours in one piece.
    public mutating func appendFields(_ fields: FieldTable, from base: UnsafeRawPointer) {
        var runStart = -1
        var runEnd = -1
        for index in 0..<fields.count {
            let field = fields.fields[index]
            if field.isDropped {
                if runStart >= 0 { append(base + runStart, runEnd - runStart) }
                runStart = -1
            } else {
                if runStart < 0 { runStart = Int(field.name.start) }
                runEnd = Int(field.lineEnd)
            }
        }
        if runStart >= 0 { append(base + runStart, runEnd - runStart) }
    }

    /// `METHOD TARGET HTTP/1.1`: the target in origin form (RFC 9112 section 3.2.1), whatever form it came in.
    public mutating func appendRequestLine(_ head: RequestHead, from base: UnsafeRawPointer) {
        if head.isAbsoluteTarget {
            append(head.methodRange.bytes(in: base))
            append(byte: Octets.space)
            appendOriginForm(head, from: base)
        } else {
            // A single space lies between method and target.
            append(base + Int(head.methodRange.start), head.target.end - Int(head.methodRange.start))
        }
        append(" HTTP/1.1\r\n")
    }

    private mutating func appendOriginForm(_ head: RequestHead, from base: UnsafeRawPointer) {
        let path = head.path.bytes(in: base)
        // RFC 9112 section 3.2.4: it was about the server, not about a resource.
        if path.isEmpty, head.method == .options { return append("*") }
        if path.first != UInt8(ascii: "/") { append(byte: UInt8(ascii: "/")) }
        append(path)
    }

    /// The request line with `insert` before what is left of the path when its first `skip` octets are gone. There is
    /// a path.
    public mutating func appendRequestLine(
        _ head: RequestHead, from base: UnsafeRawPointer, skip: Int, insert: UnsafeRawBufferPointer
    ) {
        append(head.methodRange.bytes(in: base))
        append(byte: Octets.space)
        append(insert)
        let rest = UnsafeRawBufferPointer(rebasing: head.path.bytes(in: base).dropFirst(skip))
        // Nothing at all, or a query alone, is no path.
        if insert.isEmpty, rest.first != UInt8(ascii: "/") { append(byte: UInt8(ascii: "/")) }
        append(rest)
        append(" HTTP/1.1\r\n")
    }

    /// `HTTP/1.1 STATUS REASON`.
    public mutating func appendStatusLine(_ head: ResponseHead, from base: UnsafeRawPointer) {
        append("HTTP/1.1 ")
        append(base + ResponseHead.statusStart, head.reason.end - ResponseHead.statusStart)
        // Even an empty reason has its space before it (RFC 9112 section 4).
        if head.reason.isEmpty { append(byte: Octets.space) }
        append("\r\n")
    }

    /// Trailer lines that may go on; fields that could change framing or routing are left out.
    ///
    /// - Returns: `false` where the section is malformed.
    public mutating func appendTrailers(
        _ section: ByteRange, from base: UnsafeRawPointer, limits: MessageLimits, fields: inout FieldTable
    ) -> Bool {
        guard fields.parseTrailers(section, from: base, limit: limits.fields) else { return false }
        appendFields(fields, from: base)
        return true
    }
}

extension FieldTable {
    /// Reads a trailer section; fields that could change framing or routing are marked as not to be passed on.
    ///
    /// - Returns: `false` where the section is malformed.
    public mutating func parseTrailers(
        _ section: ByteRange, from base: UnsafeRawPointer, limit: Int = FieldTable.maximum
    ) -> Bool {
        let bytes = base.assumingMemoryBound(to: UInt8.self)
        guard parseLines(bytes, from: Int(section.start), to: section.end, limit: limit) == .complete(section.end)
        else { return false }
        for index in 0..<count { fields[index].isDropped = fields[index].known.isForbiddenInTrailers }
        return true
    }
}
