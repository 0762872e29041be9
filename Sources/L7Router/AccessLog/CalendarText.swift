import HTTPCodec
import Reactor

/// Times of day in UTC as text: the date is rendered once a second, and the wall clock read as often.
struct CalendarText {
    /// `2026-11-21T06:37:45` and `21/Nov/2026:06:37:45`.
    private static let isoBytes = 19
    private static let commonBytes = 20
    private static let commonOffset = 32

    private let memory: UnsafeMutableRawPointer
    private var second = UInt64.max
    private var microsecond: UInt64 = 0
    private var wallOffset: UInt64 = 0
    private var nextLook: UInt64 = 0

    init() { memory = .allocate(byteCount: 64, alignment: 8) }

    func deallocate() { memory.deallocate() }

    /// - Parameter nanoseconds: a time of the monotonic clock, not far in the past.
    mutating func set(monotonicNanoseconds nanoseconds: UInt64) {
        if nanoseconds >= nextLook {
            let now = MonotonicClock.nowNanoseconds()
            wallOffset = WallClock.nowNanoseconds() &- now
            nextLook = now &+ 1_000_000_000
        }
        set(wallNanoseconds: nanoseconds &+ wallOffset)
    }

    mutating func set(wallNanoseconds wall: UInt64) {
        microsecond = wall / 1000 % 1_000_000
        guard wall / 1_000_000_000 != second else { return }
        second = wall / 1_000_000_000
        render()
    }

    /// `2026-11-21T06:37:45.123456Z` (RFC 3339).
    func appendISO(to writer: inout HeadWriter) {
        writer.append(memory, Self.isoBytes)
        writer.append(byte: UInt8(ascii: "."))
        writer.append(decimal: microsecond, width: 6)
        writer.append(byte: UInt8(ascii: "Z"))
    }

    /// `21/Nov/2026:06:37:45 +0000`, as the common log format has it.
    func appendCommon(to writer: inout HeadWriter) {
        writer.append(memory + Self.commonOffset, Self.commonBytes)
        writer.append(" +0000")
    }

    private func render() {
        let (year, month, day) = Self.date(days: second / 86_400)
        let rest = second % 86_400
        var iso = HeadWriter(memory, capacity: Self.isoBytes)
        iso.append(decimal: year % 10_000, width: 4)
        iso.append(byte: UInt8(ascii: "-"))
        iso.append(decimal: UInt64(month), width: 2)
        iso.append(byte: UInt8(ascii: "-"))
        iso.append(decimal: UInt64(day), width: 2)
        iso.append(byte: UInt8(ascii: "T"))
        Self.appendTime(rest, to: &iso)
        var common = HeadWriter(memory + Self.commonOffset, capacity: Self.commonBytes)
        common.append(decimal: UInt64(day), width: 2)
        common.append(byte: UInt8(ascii: "/"))
        common.append(Self.monthName(month))
        common.append(byte: UInt8(ascii: "/"))
        common.append(decimal: year % 10_000, width: 4)
        common.append(byte: UInt8(ascii: ":"))
        Self.appendTime(rest, to: &common)
    }

    private static func appendTime(_ seconds: UInt64, to writer: inout HeadWriter) {
        writer.append(decimal: seconds / 3600, width: 2)
        writer.append(byte: UInt8(ascii: ":"))
        writer.append(decimal: seconds / 60 % 60, width: 2)
        writer.append(byte: UInt8(ascii: ":"))
        writer.append(decimal: seconds % 60, width: 2)
    }

    /// The Gregorian date of a day counted from 1970-01-01.
    static func date(days: UInt64) -> (year: UInt64, month: Int, day: Int) {
        var year: UInt64 = 1970
        var rest = days
        // Four hundred years are always as long; then year by year, once a second at the most.
        year += rest / 146_097 * 400
        rest %= 146_097
        while rest >= length(year) {
            rest -= length(year)
            year += 1
        }
        var month = 1
        while rest >= length(year, month) {
            rest -= length(year, month)
            month += 1
        }
        return (year, month, Int(rest) + 1)
    }

    private static func isLeap(_ year: UInt64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    private static func length(_ year: UInt64) -> UInt64 { isLeap(year) ? 366 : 365 }

    private static func length(_ year: UInt64, _ month: Int) -> UInt64 {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func monthName(_ month: Int) -> StaticString {
        switch month {
        case 1: "Jan"
        case 2: "Feb"
        case 3: "Mar"
        case 4: "Apr"
        case 5: "May"
        case 6: "Jun"
        case 7: "Jul"
        case 8: "Aug"
        case 9: "Sep"
        case 10: "Oct"
        case 11: "Nov"
        default: "Dec"
        }
    }
}

extension HeadWriter {
    /// The last `width` decimal digits.
    mutating func append(decimal value: UInt64, width: Int) {
        var unit: UInt64 = 1
        for _ in 1..<max(width, 1) { unit *= 10 }
        while unit > 0 {
            append(byte: UInt8(truncatingIfNeeded: value / unit % 10) + 48)
            unit /= 10
        }
    }
}
