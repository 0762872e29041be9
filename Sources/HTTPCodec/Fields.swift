import Glibc

/// A part of a head: offsets into the bytes it was parsed from.
public struct ByteRange: Equatable, Sendable {
    public var start: Int32
    public var count: Int32

    public init(_ start: Int, _ end: Int) {
        self.start = Int32(truncatingIfNeeded: start)
        self.count = Int32(truncatingIfNeeded: end - start)
    }

    public static let empty = ByteRange(0, 0)

    public var end: Int { Int(start) + Int(count) }
    public var isEmpty: Bool { count == 0 }

    public func bytes(in base: UnsafeRawPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Int(start), count: Int(count))
    }
}

/// One header line as offsets into the head.
public struct Field: Sendable {
    public var name: ByteRange
    /// Without white space around it.
    public var value: ByteRange
    /// Where the line ends, behind its CRLF.
    public var lineEnd: Int32
    public var known: HeaderName
    /// Not to be passed on: hop-by-hop, or rewritten by whoever writes the head.
    public var isDropped: Bool
}

/// Scratch space for the fields of one head. One serves a whole loop: a head is parsed and written within one call.
public struct FieldTable {
    /// The largest number of fields that any head may have: those that peers are allowed, at most 128, and those that
    /// are added to them here.
    public static let maximum = 144

    public let fields: UnsafeMutablePointer<Field>
    public internal(set) var count = 0

    public init() { fields = .allocate(capacity: Self.maximum) }

    /// Frees the space; the holder calls it once.
    public func deallocate() { fields.deallocate() }
}

/// What a connection will take; 0 is never a limit.
public struct MessageLimits: Sendable {
    /// Octets of a request line's target.
    public var targetBytes: Int
    /// Header lines; at most `FieldTable.maximum`.
    public var fields: Int
    /// Octets of the whole head.
    public var headBytes: Int

    public init(targetBytes: Int = 8192, fields: Int = 100, headBytes: Int = 15 << 10) {
        self.targetBytes = targetBytes
        self.fields = min(fields, FieldTable.maximum)
        self.headBytes = headBytes
    }
}

/// What came of reading a head.
public enum HeadOutcome: Equatable {
    /// The head is whole; it took this many bytes.
    case complete(Int)
    case incomplete
    case malformed(MessageError)
}

/// A line of the input, its CRLF taken off.
enum Line {
    /// Content end and the start of the next line.
    case found(end: Int, next: Int)
    case incomplete
    case malformed(MessageError)

    @inline(__always)
    static func find(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Line {
        guard start < end, let hit = memchr(base + start, Int32(Octets.lf), end - start) else { return .incomplete }
        let index = UnsafeRawPointer(hit) - UnsafeRawPointer(base)
        guard index > start, base[index - 1] == Octets.cr else { return .malformed(.bareLineFeed) }
        return .found(end: index - 1, next: index + 1)
    }
}

extension FieldTable {
    /// Reads header lines from `start` to the empty line. Names must be tokens that touch the colon, lines may not
    /// be folded, values hold no control octets (RFC 9112 section 5).
    mutating func parseLines(
        _ base: UnsafePointer<UInt8>, from start: Int, to end: Int, limit: Int
    ) -> HeadOutcome {
        count = 0
        let limit = min(limit, Self.maximum)
        var position = start
        while true {
            if count < limit, let next = appendPlain(base, from: position, to: end) {
                position = next
                continue
            }
            let lineEnd: Int
            let next: Int
            switch Line.find(base, from: position, to: end) {
            case .found(let found, let following): (lineEnd, next) = (found, following)
            case .incomplete: return .incomplete
            case .malformed(let error): return .malformed(error)
            }
            if lineEnd == position { return .complete(next) }
            guard count < limit else { return .malformed(.tooManyFields) }
            if let error = append(base, from: position, to: lineEnd, next: next) { return .malformed(error) }
            position = next
        }
    }

    /// Reads a line as nearly all are: a name of letters, digits, `-` and `.`, a colon, at most one space, a value
    /// without blanks around it and without tabs, CRLF.
    ///
    /// - Returns: where the next line begins; `nil`: the line is none of those, and nothing was read.
    @inline(__always)
    private mutating func appendPlain(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int? {
        let colon = Octets.endOfName(base, from: start, to: end)
        guard colon > start, colon + 2 < end, base[colon] == Octets.colon else { return nil }
        let valueStart = colon + (base[colon + 1] == Octets.space ? 2 : 1)
        let valueEnd = Octets.endOfText(base, from: valueStart, to: end)
        guard valueEnd > valueStart, valueEnd + 1 < end, base[valueEnd] == Octets.cr, base[valueEnd + 1] == Octets.lf,
            base[valueStart] != Octets.space, base[valueEnd - 1] != Octets.space
        else { return nil }
        append(base, name: ByteRange(start, colon), value: ByteRange(valueStart, valueEnd), next: valueEnd + 2)
        return valueEnd + 2
    }

    @inline(__always)
    private mutating func append(_ base: UnsafePointer<UInt8>, name: ByteRange, value: ByteRange, next: Int) {
        let known = HeaderName.known(base + Int(name.start), Int(name.count))
        (fields + count).initialize(
            to: Field(
                name: name, value: value, lineEnd: Int32(truncatingIfNeeded: next), known: known,
                isDropped: known.isHopByHop))
        count += 1
    }

    /// Reads any line.
    private mutating func append(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int, next: Int) -> MessageError?
    {
        var colon = start
        while colon < end, Octets.isToken(base[colon]) { colon += 1 }
        guard colon > start, colon < end, base[colon] == Octets.colon else {
            let first = base[start]
            return first == Octets.space || first == Octets.tab ? .obsoleteFold : .badFieldName
        }
        var valueStart = colon + 1
        var valueEnd = end
        while valueStart < valueEnd, Octets.isBlank(base[valueStart]) { valueStart += 1 }
        while valueEnd > valueStart, Octets.isBlank(base[valueEnd - 1]) { valueEnd -= 1 }
        guard Octets.isFieldValue(base + valueStart, valueEnd - valueStart) else { return .badFieldValue }
        append(base, name: ByteRange(start, colon), value: ByteRange(valueStart, valueEnd), next: next)
        return nil
    }

    /// Marks the fields that a Connection value names (RFC 9110 section 7.6.1) as not to be passed on.
    mutating func drop(named token: UnsafeRawBufferPointer, _ base: UnsafePointer<UInt8>) {
        for index in 0..<count where !fields[index].isDropped {
            let name = fields[index].name
            // Framing and routing do not depend on what a Connection header says of them.
            guard Int(name.count) == token.count, fields[index].known != .contentLength, fields[index].known != .host
            else {
                continue
            }
            let start = base + Int(name.start)
            if (0..<token.count).allSatisfy({ Octets.lowercased(start[$0]) == Octets.lowercased(token[$0]) }) {
                fields[index].isDropped = true
            }
        }
    }
}

extension Octets {
    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    /// Calls `body` with each member of a comma separated list (RFC 9110 section 5.6.1), empty members skipped.
    @inline(__always)
    static func forEachMember(_ list: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
        var start = 0
        while start <= list.count {
            var end = start
            while end < list.count, list[end] != comma { end += 1 }
            var first = start
            var last = end
            while first < last, isBlank(list[first]) { first += 1 }
            while last > first, isBlank(list[last - 1]) { last -= 1 }
            if last > first { body(UnsafeRawBufferPointer(rebasing: list[first..<last])) }
            start = end + 1
        }
    }

    static func equal(_ bytes: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        guard let base = bytes.baseAddress else { return name.utf8CodeUnitCount == 0 }
        return equal(base.assumingMemoryBound(to: UInt8.self), bytes.count, name)
    }
}
