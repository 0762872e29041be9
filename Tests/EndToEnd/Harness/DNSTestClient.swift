import CLinux
import Glibc

/// A minimal resolver client (RFC 1035).
struct DNSTestClient {
    enum Transport { case udp, tcp }

    struct Answer {
        let code: Int
        let isTruncated: Bool
        /// Types of the records in the authority section.
        let authorityTypes: [Int]
        /// Addresses in the answer section.
        let addresses: [String]
        let ttls: [Int]
        let answerCount: Int
    }

    static let a = 1
    static let aaaa = 28
    static let noError = 0
    static let nameError = 3
    static let refused = 5
    static let soa = 6

    let port: UInt16
    var address = "127.0.0.1"

    /// Sends a query with an OPT record of this version (RFC 6891) and returns whether anything came back.
    func hasAnswer(toEDNSVersion version: UInt8) throws -> Bool {
        var message = Self.question("restserver.local", Self.a)
        message[11] = 1
        return try overUDP(message + [0, 0, 41, 4, 0xd0, 0, version, 0, 0, 0, 0]).count > 12
    }

    func query(_ name: String, _ type: Int = a, _ transport: Transport = .udp) throws -> Answer {
        let message = Self.question(name, type)
        let reply = transport == .udp ? try overUDP(message) : try overTCP(message)
        guard reply.count >= 12, reply[0...1] == message[0...1] else { throw Failure("DNS: reply \(reply)") }
        var reader = DNSReader(bytes: reply)
        return try reader.answer()
    }

    private static func question(_ name: String, _ type: Int) -> [UInt8] {
        var message: [UInt8] = [0x4d, 0x53, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.split(separator: ".") { message += [UInt8(label.utf8.count)] + Array(label.utf8) }
        return message + [0, UInt8(type >> 8), UInt8(type & 255), 0, 1]
    }

    private func overTCP(_ message: [UInt8]) throws -> [UInt8] {
        let connection = try Connection.open(port, address)
        defer { connection.close() }
        try connection.send([UInt8(message.count >> 8), UInt8(message.count & 255)] + message)
        let length = try connection.readExactly(2)
        return try connection.readExactly(Int(length[0]) << 8 | Int(length[1]))
    }

    private func overUDP(_ message: [UInt8]) throws -> [UInt8] {
        let family = address.contains(":") ? AF_INET6 : AF_INET
        let fd = socket(family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0, withAddress(address, port, { connect(fd, $0, $1) }) == 0 else { throw Failure("UDP socket") }
        let connection = Connection(adopting: fd, deadline: 3)
        defer { connection.close() }
        // A datagram may be lost even on loopback when a queue is full.
        for _ in 0..<3 {
            try connection.send(message)
            if let reply = try? connection.readSome() { return reply }
        }
        throw Failure("no DNS reply over UDP")
    }
}

private struct DNSReader {
    let bytes: [UInt8]
    var at = 12

    init(bytes: [UInt8]) { self.bytes = bytes }

    private func word(_ index: Int) throws -> Int {
        guard index + 1 < bytes.count else { throw Failure("DNS: short message \(bytes)") }
        return Int(bytes[index]) << 8 | Int(bytes[index + 1])
    }

    private mutating func skipName() throws {
        while at < bytes.count {
            let length = Int(bytes[at])
            if length >= 0xc0 {
                at += 2
                return
            }
            at += 1 + length
            if length == 0 { return }
        }
        throw Failure("DNS: name runs over the end")
    }

    private mutating func record() throws -> (type: Int, ttl: Int, data: [UInt8]) {
        try skipName()
        let type = try word(at)
        let ttl = try word(at + 4) << 16 | word(at + 6)
        let length = try word(at + 8)
        guard at + 10 + length <= bytes.count else { throw Failure("DNS: record runs over the end") }
        let data = Array(bytes[(at + 10)..<(at + 10 + length)])
        at += 10 + length
        return (type, ttl, data)
    }

    mutating func answer() throws -> DNSTestClient.Answer {
        let flags = try word(2)
        guard flags & 0x8000 != 0 else { throw Failure("DNS: not a reply") }
        for _ in 0..<(try word(4)) {
            try skipName()
            at += 4
        }
        let answers = try (0..<(try word(6))).map { _ in try record() }
        let authority = try (0..<(try word(8))).map { _ in try record() }
        return DNSTestClient.Answer(
            code: flags & 15, isTruncated: flags & 0x200 != 0, authorityTypes: authority.map(\.type),
            addresses: answers.filter { $0.type == 1 }.map { $0.data.map(String.init).joined(separator: ".") },
            ttls: answers.map(\.ttl), answerCount: answers.count)
    }
}
