public import NetAddress

/// An entry of the kernel's table of local addresses: packets to any address of the range are for this machine.
public struct LocalRoute: Hashable, Sendable {
    public let network: IPNetwork
    /// Who says that it put the route there (RTPROT_* of rtnetlink(7)); the kernel's own entries have 2.
    public let origin: UInt8

    /// Our mark. The kernel does not interpret it; `ip route show table local` prints the number.
    public static let ownOrigin: UInt8 = 109

    public init(network: IPNetwork, origin: UInt8) {
        self.network = network
        self.origin = origin
    }

    /// What is to be done so that every address of a range is local.
    public enum Step: Sendable, Equatable {
        /// Somebody else has seen to it; it stays when we go.
        case nothing
        /// An earlier run of ours put the route there and could not take it away.
        case adopt
        case add
    }

    public static func step(for network: IPNetwork, among present: [LocalRoute]) -> Step {
        let covering = present.filter { $0.network.covers(network) }
        if covering.contains(where: { $0.origin != ownOrigin || $0.network != network }) { return .nothing }
        return covering.isEmpty ? .add : .adopt
    }
}

/// Messages of rtnetlink(7) about local routes, as bytes. Pure.
enum RouteMessage {
    enum Change {
        case add, remove
    }

    // linux/netlink.h and linux/rtnetlink.h: part of what the kernel promises not to change.
    static let headerBytes = 16
    private static let routeBytes = 12
    private static let (errorType, doneType, newRoute, deleteRoute, getRoute):
        (UInt16, UInt16, UInt16, UInt16, UInt16) =
            (2, 3, 24, 25, 26)
    private static let (isRequest, wantsAnswer, wantsDump, exclusive, create):
        (UInt16, UInt16, UInt16, UInt16, UInt16) =
            (0x1, 0x4, 0x300, 0x200, 0x400)
    private static let (ipv4, ipv6): (UInt8, UInt8) = (2, 10)
    private static let (localTable, localType, hostScope): (UInt8, UInt8, UInt8) = (255, 2, 254)
    private static let (destination, outgoing): (UInt16, UInt16) = (1, 4)

    /// Asks for every route of one family.
    static func list(isV4: Bool, sequence: UInt32) -> [UInt8] {
        finish(
            header(getRoute, isRequest | wantsDump, sequence)
                + route(family: isV4 ? ipv4 : ipv6, prefix: 0, table: 0, origin: 0, scope: 0, type: 0))
    }

    /// Asks to add or remove the local route of `network` through an interface, with an answer.
    static func change(_ change: Change, _ network: IPNetwork, interface: UInt32, sequence: UInt32) -> [UInt8] {
        let isV4 = network.base.isV4
        let flags = isRequest | wantsAnswer | (change == .add ? exclusive | create : 0)
        let kind = change == .add ? newRoute : deleteRoute
        let fixed = route(
            family: isV4 ? ipv4 : ipv6, prefix: UInt8(network.prefixLength), table: localTable,
            origin: LocalRoute.ownOrigin, scope: isV4 ? hostScope : 0, type: localType)
        return finish(
            header(kind, flags, sequence) + fixed + attribute(destination, bytes(network.base))
                + attribute(outgoing, words(interface)))
    }

    private static func header(_ type: UInt16, _ flags: UInt16, _ sequence: UInt32) -> [UInt8] {
        words(UInt32(0)) + words(type) + words(flags) + words(sequence) + words(UInt32(0))
    }

    private static func route(
        family: UInt8, prefix: UInt8, table: UInt8, origin: UInt8, scope: UInt8, type: UInt8
    ) -> [UInt8] {
        [family, prefix, 0, 0, table, origin, scope, type] + words(UInt32(0))
    }

    /// The data is a multiple of four bytes long: no padding.
    private static func attribute(_ type: UInt16, _ data: [UInt8]) -> [UInt8] {
        words(UInt16(4 + data.count)) + words(type) + data
    }

    private static func bytes(_ address: IPAddress) -> [UInt8] {
        let all = [address.high, address.low].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
        }
        return address.isV4 ? Array(all.suffix(4)) : all
    }

    /// In the byte order of this machine.
    private static func words(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value) { Array($0) }
    }

    private static func finish(_ message: [UInt8]) -> [UInt8] { words(UInt32(message.count)) + message.dropFirst(4) }
}

// MARK: - Answers

extension RouteMessage {
    enum Answer: Equatable {
        case localRoute(LocalRoute)
        /// The end of a list.
        case done
        /// 0: the change was made; otherwise an `errno` value.
        case result(Int32)
    }

    /// What one datagram holds for the request of this number; what cannot be read, and all after it, is left out.
    static func answers(_ datagram: [UInt8], sequence: UInt32) -> [Answer] {
        var answers: [Answer] = []
        var rest = datagram[...]
        while rest.count >= headerBytes {
            let length = Int(word(rest, 0, as: UInt32.self) ?? 0)
            guard length >= headerBytes, length <= rest.count else { break }
            let message = rest.prefix(length)
            rest = rest.dropFirst((length + 3) & ~3)
            guard word(message, 8, as: UInt32.self) == sequence, let type = word(message, 4, as: UInt16.self) else {
                continue
            }
            let body = message.dropFirst(headerBytes)
            switch type {
            case errorType:
                guard let code = word(body, 0, as: Int32.self) else { continue }
                answers.append(.result(code == .min ? .max : -code))
            case doneType: answers.append(.done)
            case newRoute: if let found = localRoute(body) { answers.append(.localRoute(found)) }
            default: break
            }
        }
        return answers
    }

    private static func localRoute(_ body: ArraySlice<UInt8>) -> LocalRoute? {
        let fixed = Array(body.prefix(routeBytes))
        guard fixed.count == routeBytes, fixed[4] == localTable, fixed[7] == localType else { return nil }
        guard fixed[0] == ipv4 || fixed[0] == ipv6 else { return nil }
        let size = fixed[0] == ipv4 ? 4 : 16
        // Without a destination it is the default route.
        var base = [UInt8](repeating: 0, count: size)
        var rest = body.dropFirst(routeBytes)
        while let length = word(rest, 0, as: UInt16.self), let type = word(rest, 2, as: UInt16.self) {
            guard length >= 4, Int(length) <= rest.count else { return nil }
            let data = rest.prefix(Int(length)).dropFirst(4)
            if type == destination {
                guard data.count == size else { return nil }
                base = Array(data)
            }
            rest = rest.dropFirst((Int(length) + 3) & ~3)
        }
        let network = IPNetwork(base: address(base), prefixLength: Int(fixed[1]))
        return network.map { LocalRoute(network: $0, origin: fixed[5]) }
    }

    private static func address(_ bytes: [UInt8]) -> IPAddress {
        func join(_ part: some Sequence<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        if bytes.count == 4 { return IPAddress(v4: UInt32(truncatingIfNeeded: join(bytes))) }
        return IPAddress(high: join(bytes.prefix(8)), low: join(bytes.dropFirst(8)))
    }

    private static func word<T: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, _ offset: Int, as type: T.Type) -> T? {
        let size = MemoryLayout<T>.size
        guard bytes.count >= offset + size else { return nil }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
    }
}
