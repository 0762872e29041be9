/// The key of session cookies: from a secret, so that all nodes that were given the same one understand each other's.
public struct SessionKey: BitwiseCopyable, Sendable {
    private let k0: UInt64
    private let k1: UInt64

    /// Without a secret.
    public static let none = SessionKey(secret: "")

    /// - Parameter secret: any text. Without one the cookies work, but who guesses an instance's name can tell which
    ///   cookie is its.
    public init(secret: String) {
        k0 = SipHash.hash(secret.utf8, 0x6d65_7368_6420_7365, 0x7373_696f_6e20_6b30)
        k1 = SipHash.hash(secret.utf8, 0x6d65_7368_6420_7365, 0x7373_696f_6e20_6b31)
    }

    /// Stands for the service in the cookie's name; never 0.
    public func service(_ name: String) -> UInt32 {
        max(UInt32(truncatingIfNeeded: SipHash.hash(name.utf8, k0, k1)), 1)
    }

    /// Stands for the instance in the cookie's value; never 0.
    public func instance(_ key: InstanceKey) -> UInt64 {
        max(SipHash.hash(Array(key.service.utf8) + [0] + Array(key.id.utf8), k0, k1), 1)
    }

    /// The seal of a ticket.
    func seal(_ ticket: SessionTicket) -> UInt64 {
        var sip = SipHash(k0, k1)
        sip.add(UInt64(ticket.issued) << 32 | UInt64(ticket.seen))
        sip.add(ticket.instance)
        // One octet that no hashed text ends with sets seals apart from names.
        return sip.finish(UInt64(ticket.service) | 0xff << 56)
    }
}

/// What a session cookie says: which instance of which service, since when, and when it was last renewed.
///
/// The cookie is `mesh-SERVICE=ISSUED SEEN INSTANCE SEAL` in hexadecimal digits without the spaces. The seal keeps the
/// times from being moved.
public struct SessionTicket: BitwiseCopyable, Sendable, Equatable {
    /// Longest time without a request, in seconds (semantics 1.2).
    public static let idleSeconds: UInt32 = 30 * 60
    /// Longest life, in seconds (semantics 1.2).
    public static let lifeSeconds: UInt32 = 8 * 60 * 60
    /// A ticket this old is renewed; younger ones cost no header field.
    public static let renewalSeconds: UInt32 = 60
    /// How far the clocks of nodes may be apart.
    static let skewSeconds: UInt32 = 5 * 60

    public static let nameCount = 13
    public static let valueCount = 48
    private static let namePrefix: StaticString = "mesh-"

    public var service: UInt32
    public var instance: UInt64
    /// Seconds since 1970.
    public var issued: UInt32
    public var seen: UInt32

    public init(service: UInt32, instance: UInt64, issued: UInt32, seen: UInt32) {
        self.service = service
        self.instance = instance
        self.issued = issued
        self.seen = seen
    }

    /// Reads a cookie; `nil` where it is no ticket, was not sealed with the key, or is too old at `now`.
    public init?(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, key: SessionKey, now: UInt32) {
        guard name.count == Self.nameCount, value.count == Self.valueCount else { return nil }
        let prefix = Self.namePrefix
        for index in 0..<prefix.utf8CodeUnitCount where name[index] != prefix.utf8Start[index] { return nil }
        guard let service = Self.number(name, 5, 8), let issued = Self.number(value, 0, 8),
            let seen = Self.number(value, 8, 8), let instance = Self.number(value, 16, 16),
            let seal = Self.number(value, 32, 16)
        else { return nil }
        self.init(
            service: UInt32(truncatingIfNeeded: service), instance: instance,
            issued: UInt32(truncatingIfNeeded: issued), seen: UInt32(truncatingIfNeeded: seen))
        guard key.seal(self) == seal, isGood(at: now) else { return nil }
    }

    /// Whether `NAME=VALUE` has the form of a ticket, a good one or not.
    public static func hasForm(_ cookie: UnsafeRawBufferPointer) -> Bool {
        guard cookie.count == nameCount + 1 + valueCount, cookie[nameCount] == UInt8(ascii: "=") else { return false }
        for index in 0..<namePrefix.utf8CodeUnitCount where cookie[index] != namePrefix.utf8Start[index] {
            return false
        }
        let isDigit = { (byte: UInt8) in byte &- 48 < 10 || byte &- 97 < 6 }
        return cookie[namePrefix.utf8CodeUnitCount..<nameCount].allSatisfy(isDigit)
            && cookie[(nameCount + 1)...].allSatisfy(isDigit)
    }

    private func isGood(at now: UInt32) -> Bool {
        let (now, issued, seen) = (UInt64(now), UInt64(issued), UInt64(seen))
        return issued <= seen && seen <= now + UInt64(Self.skewSeconds) && now < issued + UInt64(Self.lifeSeconds)
            && now < seen + UInt64(Self.idleSeconds)
    }

    /// Seconds for which the cookie is still good after a renewal at `now`.
    public func remainingSeconds(at now: UInt32) -> UInt32 {
        let end = UInt64(issued) + UInt64(Self.lifeSeconds)
        return UInt32(clamping: min(UInt64(Self.idleSeconds), end > now ? end - UInt64(now) : 0))
    }

    private static func number(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> UInt64? {
        var value: UInt64 = 0
        for index in start..<start + count {
            let byte = bytes[index]
            // Lower case only, so that a ticket has one spelling.
            let digit = byte &- 48 < 10 ? byte &- 48 : byte &- 97 < 6 ? byte &- 87 : 16
            guard digit < 16 else { return nil }
            value = value << 4 | UInt64(digit)
        }
        return value
    }

    /// Gives the octets of `NAME=VALUE`, one after the other.
    public func write(_ key: SessionKey, _ put: (UInt8) -> Void) {
        let prefix = Self.namePrefix
        for index in 0..<prefix.utf8CodeUnitCount { put(prefix.utf8Start[index]) }
        Self.write(UInt64(service), 8, put)
        put(UInt8(ascii: "="))
        Self.write(UInt64(issued), 8, put)
        Self.write(UInt64(seen), 8, put)
        Self.write(instance, 16, put)
        Self.write(key.seal(self), 16, put)
    }

    private static func write(_ value: UInt64, _ digits: Int, _ put: (UInt8) -> Void) {
        for index in (0..<digits).reversed() {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(4 * index)) & 15
            put(digit < 10 ? digit + 48 : digit + 87)
        }
    }
}

/// The good tickets that a request came with, newest first; of more than four the oldest are left out.
public struct SessionTickets: BitwiseCopyable {
    private var tickets: (SessionTicket?, SessionTicket?, SessionTicket?, SessionTicket?) = (nil, nil, nil, nil)

    public init() {}

    public var isEmpty: Bool { tickets.0 == nil }

    public mutating func insert(_ ticket: SessionTicket) {
        var rest: SessionTicket? = ticket
        func place(_ slot: inout SessionTicket?) {
            guard let candidate = rest else { return }
            if let present = slot, (present.issued, present.seen) >= (candidate.issued, candidate.seen) { return }
            rest = slot
            slot = candidate
        }
        place(&tickets.0)
        place(&tickets.1)
        place(&tickets.2)
        place(&tickets.3)
    }

    public subscript(index: Int) -> SessionTicket? {
        switch index {
        case 0: tickets.0
        case 1: tickets.1
        case 2: tickets.2
        case 3: tickets.3
        default: nil
        }
    }

    /// The newest one of a service.
    public func ticket(of service: UInt32) -> SessionTicket? {
        for index in 0..<4 { if let ticket = self[index], ticket.service == service { return ticket } }
        return nil
    }
}
