import HTTPCodec
import NetAddress

/// When the stages of an exchange were reached, in nanoseconds of the monotonic clock; 0: not reached.
///
/// But for `parsed` and the end these are times of the loop's turns, which cost nothing.
struct ExchangeTimes {
    /// The first byte of the request's head was there.
    var headBegan: UInt64 = 0
    /// The head was whole and understood.
    var parsed: UInt64 = 0
    /// The instance that answered, or was tried last, was chosen.
    var picked: UInt64 = 0
    /// There was a connection to it.
    var connected: UInt64 = 0
    /// The first byte of its response was there.
    var firstByte: UInt64 = 0

    /// Microseconds between two stages; `nil` where one was not reached. Within one turn that is 0.
    static func microseconds(_ from: UInt64, _ to: UInt64) -> UInt64? {
        guard from > 0, to > 0 else { return nil }
        return to > from ? (to - from) / 1000 : 0
    }
}

/// What a line of the access log says besides the texts of the request.
struct AccessEntry {
    enum Version {
        case http10, http11, http2

        var token: StaticString {
            switch self {
            case .http10: "HTTP/1.0"
            case .http11: "HTTP/1.1"
            case .http2: "HTTP/2.0"
            }
        }
    }

    /// Room that any line needs: every octet of the texts escaped, and the rest.
    static let longestLine = 16 << 10

    var peer: SocketAddress
    /// The peer's address, or the one that a trusted proxy told of.
    var client: IPAddress
    var version = Version.http11
    /// 0: there was no response.
    var status: Int
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    /// Without heads.
    var bodyBytesOut: UInt64 = 0
    var times = ExchangeTimes()
    var endNanoseconds: UInt64
    var instance: SocketAddress?
    var retries = 0
    var reason: EndReason
}

// MARK: - JSON

extension HeadWriter {
    /// One object and a line feed. Every line has the same members in the same order; what there is not is `null`.
    mutating func appendJSON(_ entry: AccessEntry, _ notes: ExchangeNotes, _ calendar: CalendarText) {
        append("{\"time\":\"")
        calendar.appendISO(to: &self)
        append("\",\"client\":\"")
        append(entry.client)
        append("\",\"peer\":\"")
        append(entry.peer)
        append("\",")
        appendMember("method", notes[.method])
        appendMember("host", notes[.host])
        appendMember("target", notes[.target])
        // What could not be understood has no version.
        append("\"protocol\":")
        if notes[.method].isEmpty {
            append("null,\"status\":")
        } else {
            append("\"")
            append(entry.version.token)
            append("\",\"status\":")
        }
        append(decimal: UInt64(clamping: entry.status))
        append(",\"bytes_in\":")
        append(decimal: entry.bytesIn)
        append(",\"bytes_out\":")
        append(decimal: entry.bytesOut)
        appendTimes(entry)
        appendMember(",\"service", notes[.service])
        append("\"instance\":")
        if let instance = entry.instance {
            append("\"")
            append(instance)
            append("\",\"retries\":")
        } else {
            append("null,\"retries\":")
        }
        append(decimal: UInt64(clamping: entry.retries))
        appendMember(",\"request_id", notes[.requestID])
        appendMember("trace_id", notes[.traceID])
        appendMember("user_agent", notes[.userAgent])
        appendMember("referer", notes[.referer])
        append("\"reason\":\"")
        append(entry.reason.token)
        append("\"}\n")
    }

    private mutating func appendTimes(_ entry: AccessEntry) {
        let times = entry.times
        appendTime(",\"head_us\":", times.headBegan, times.parsed)
        appendTime(",\"pick_us\":", times.parsed, times.picked)
        appendTime(",\"connect_us\":", times.picked, times.connected)
        appendTime(",\"first_byte_us\":", times.connected, times.firstByte)
        appendTime(",\"total_us\":", times.headBegan, entry.endNanoseconds)
    }

    private mutating func appendTime(_ name: StaticString, _ from: UInt64, _ to: UInt64) {
        append(name)
        if let time = ExchangeTimes.microseconds(from, to) { append(decimal: time) } else { append("null") }
    }

    private mutating func appendMember(_ name: StaticString, _ text: UnsafeRawBufferPointer) {
        if name.utf8Start[0] != UInt8(ascii: ",") { append("\"") }
        append(name)
        guard !text.isEmpty else { return append("\":null,") }
        append("\":\"")
        appendJSONText(text)
        append("\",")
    }
}

// MARK: - Combined

extension HeadWriter {
    /// The combined format of Apache and nginx: `CLIENT - - [TIME] "REQUEST" STATUS BYTES "REFERER" "USER AGENT"`.
    mutating func appendCombined(_ entry: AccessEntry, _ notes: ExchangeNotes, _ calendar: CalendarText) {
        append(entry.client)
        append(" - - [")
        calendar.appendCommon(to: &self)
        append("] \"")
        if notes[.method].isEmpty {
            append("-")
        } else {
            appendCombinedText(notes[.method])
            append(" ")
            appendCombinedText(notes[.target])
            append(" ")
            append(entry.version.token)
        }
        append("\" ")
        append(decimal: UInt64(clamping: entry.status), width: 3)
        append(" ")
        append(decimal: entry.bodyBytesOut)
        appendQuoted(notes[.referer])
        appendQuoted(notes[.userAgent])
        append("\n")
    }

    private mutating func appendQuoted(_ text: UnsafeRawBufferPointer) {
        append(" \"")
        if text.isEmpty { append("-") } else { appendCombinedText(text) }
        append("\"")
    }
}

extension HeadWriter {
    mutating func append(_ address: SocketAddress) {
        if !address.ip.isV4 { append("[") }
        append(address.ip)
        append(address.ip.isV4 ? ":" : "]:")
        append(decimal: UInt64(address.port))
    }
}
