/// The two messages of grpc.health.v1, the gRPC health checking protocol, in their wire form. Pure.
///
/// `HealthCheckRequest { string service = 1 }`, `HealthCheckResponse { ServingStatus status = 1 }`; each is preceded
/// by one octet (compressed?) and a length of four.
enum HealthMessages {
    static let path = "/grpc.health.v1.Health/Check"
    /// The largest answer that is kept; a real one has 7 octets.
    static let responseLimitBytes = 1_024

    enum Status: UInt64 {
        case unknown = 0
        case serving = 1
        case notServing = 2
        case serviceUnknown = 3

        var text: String {
            switch self {
            case .unknown: "UNKNOWN"
            case .serving: "SERVING"
            case .notServing: "NOT_SERVING"
            case .serviceUnknown: "SERVICE_UNKNOWN"
            }
        }
    }

    /// - Parameter service: at most 1,000 bytes; empty: the server as a whole.
    static func request(service: String) -> [UInt8] {
        var message: [UInt8] = []
        let name = Array(service.utf8.prefix(1_000))
        if !name.isEmpty {
            message.append(0x0a)
            appendVarint(UInt64(name.count), to: &message)
            message += name
        }
        let count = UInt32(message.count)
        return [0, UInt8(count >> 24), UInt8(count >> 16 & 0xff), UInt8(count >> 8 & 0xff), UInt8(count & 0xff)]
            + message
    }

    /// The status of a whole answer; `nil`: it is none. Fields that are not known are skipped.
    static func status(_ answer: [UInt8]) -> Status? {
        guard answer.count >= 5, answer[0] == 0 else { return nil }
        let length = answer[1...4].reduce(0) { $0 << 8 | Int($1) }
        guard length == answer.count - 5 else { return nil }
        var rest = answer[5...]
        var status = UInt64(0)
        while !rest.isEmpty {
            guard let tag = takeVarint(&rest) else { return nil }
            if tag == 0x08 {
                guard let value = takeVarint(&rest) else { return nil }
                status = value
            } else if !skipField(tag, &rest) {
                return nil
            }
        }
        return Status(rawValue: status) ?? .unknown
    }

    private static func appendVarint(_ value: UInt64, to bytes: inout [UInt8]) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7f) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    private static func takeVarint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var value = UInt64(0)
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }

    private static func skipField(_ tag: UInt64, _ bytes: inout ArraySlice<UInt8>) -> Bool {
        switch tag & 7 {
        case 0: return takeVarint(&bytes) != nil
        case 1: return drop(8, &bytes)
        case 2:
            guard let length = takeVarint(&bytes) else { return false }
            return drop(length, &bytes)
        case 5: return drop(4, &bytes)
        default: return false
        }
    }

    private static func drop(_ count: UInt64, _ bytes: inout ArraySlice<UInt8>) -> Bool {
        guard count <= UInt64(bytes.count) else { return false }
        bytes = bytes.dropFirst(Int(count))
        return true
    }
}
