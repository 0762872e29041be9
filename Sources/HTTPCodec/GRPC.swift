/// What gRPC says in HTTP fields (gRPC over HTTP/2, the protocol's own document).
public enum GRPC {
    /// Whether a Content-Type is gRPC's: `application/grpc`, alone or followed by `+` or `;`.
    static func isContentType(_ value: UnsafeRawBufferPointer) -> Bool {
        let name: StaticString = "application/grpc"
        guard value.count >= name.utf8CodeUnitCount else { return false }
        guard Octets.equal(UnsafeRawBufferPointer(rebasing: value[..<name.utf8CodeUnitCount]), name) else {
            return false
        }
        guard value.count > name.utf8CodeUnitCount else { return true }
        let next = value[name.utf8CodeUnitCount]
        return next == UInt8(ascii: "+") || next == UInt8(ascii: ";")
    }

    /// Nanoseconds of a `grpc-timeout`: one to eight digits and a unit (`H`, `M`, `S`, `m`, `u`, `n`). `nil` where it
    /// is none; such a field is no reason to refuse a call.
    public static func timeout(_ value: UnsafeRawBufferPointer) -> UInt64? {
        guard (2...9).contains(value.count) else { return nil }
        var count: UInt64 = 0
        for digit in value.dropLast() {
            guard Octets.isDigit(digit) else { return nil }
            count = count * 10 + UInt64(digit &- 48)
        }
        let unit: UInt64
        switch value[value.count - 1] {
        case UInt8(ascii: "H"): unit = 3_600_000_000_000
        case UInt8(ascii: "M"): unit = 60_000_000_000
        case UInt8(ascii: "S"): unit = 1_000_000_000
        case UInt8(ascii: "m"): unit = 1_000_000
        case UInt8(ascii: "u"): unit = 1_000
        case UInt8(ascii: "n"): unit = 1
        default: return nil
        }
        let (product, isTooLarge) = count.multipliedReportingOverflow(by: unit)
        return isTooLarge ? .max : product
    }

    /// The gRPC status that stands for an HTTP status. As gRPC's own table has it, but that 504 is a deadline that has
    /// passed here, and a head that is too large a resource that is exhausted.
    public static func status(forHTTP status: Int) -> Int {
        switch status {
        case 400: 13
        case 401: 16
        case 403: 7
        case 404, 501: 12
        case 408, 504: 4
        case 414, 431: 8
        case 429, 502, 503: 14
        default: 2
        }
    }
}
