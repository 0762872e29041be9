public import NetAddress

/// One container port of one instance, as workers see it: where to dial, and the key of everything a worker keeps for
/// it.
public struct Endpoint: BitwiseCopyable, Sendable {
    /// Small and dense: index of the worker's own tables. Given to another endpoint some time after this one is gone.
    public let id: Int32
    /// Never the same for two endpoints with one id.
    public let incarnation: UInt32
    public let weight: Int32
    /// What session cookies call the instance; 0 where the service is not sticky.
    public let session: UInt64
    public let address: SocketAddress
    public let speaks: InstanceProtocol

    init(
        id: Int32, incarnation: UInt32, weight: Int32, session: UInt64 = 0, address: SocketAddress,
        speaks: InstanceProtocol = .http1
    ) {
        self.id = id
        self.incarnation = incarnation
        self.weight = weight
        self.session = session
        self.address = address
        self.speaks = speaks
    }
}

/// The instances that may be picked for one container port of a service.
public struct Pool: BitwiseCopyable, @unchecked Sendable {
    // The memory belongs to a PoolStorage that the snapshot keeps alive, and nobody writes it: hence @unchecked.
    public let endpoints: UnsafePointer<Endpoint>?
    public let count: Int32
    /// Of round robin: indices into `endpoints` in the order of their turns; `nil` where all weights are equal. Of
    /// Maglev: its table.
    let sequence: UnsafePointer<UInt16>?
    let sequenceCount: Int32
    let policy: BalancePolicy
    /// Of policies that pick by hash: the endpoints' own hashes.
    let hashes: UnsafePointer<UInt64>?
    let hasEqualWeights: Bool
    /// What session cookies call the service; 0: it is not sticky.
    public let session: UInt32
    /// Of a sticky service: indices into `endpoints` in the order of their `session`.
    let bySession: UnsafePointer<Int32>?
    /// The header that connections to the endpoints begin with; `nil`: none.
    public let proxyVersion: ProxyVersion?

    let service: UnsafePointer<UInt8>?
    let serviceCount: Int32
    /// As `ServiceSpec.tcpIdleMilliseconds`; `noTCPIdle`: it says nothing.
    let tcpIdleMilliseconds: UInt32
    static let noTCPIdle = UInt32.max

    /// The name of the service whose pool it is; empty where there is none.
    var serviceName: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: service, count: Int(serviceCount)) }

    /// The endpoints as a list; `nil` where there is none.
    public var list: UnsafeBufferPointer<Endpoint>? {
        endpoints.map { UnsafeBufferPointer(start: $0, count: Int(count)) }
    }

    static let none = Pool(
        endpoints: nil, count: 0, sequence: nil, sequenceCount: 0, policy: .roundRobin, hashes: nil,
        hasEqualWeights: true, session: 0, bySession: nil, proxyVersion: nil,
        service: nil, serviceCount: 0, tcpIdleMilliseconds: noTCPIdle)

    /// The endpoint that a session cookie names, if it may be picked.
    func endpoint(session: UInt64) -> Endpoint? {
        guard let endpoints, let bySession else { return nil }
        var low = 0
        var high = Int(count)
        while low < high {
            let middle = (low + high) / 2
            if endpoints[Int(bySession[middle])].session < session { low = middle + 1 } else { high = middle }
        }
        guard low < Int(count) else { return nil }
        let found = endpoints[Int(bySession[low])]
        return found.session == session ? found : nil
    }
}

/// Owns the memory behind one `Pool`.
final class PoolStorage: Sendable {
    nonisolated(unsafe) private let endpoints: UnsafeMutablePointer<Endpoint>
    nonisolated(unsafe) private let sequence: UnsafeMutablePointer<UInt16>?
    nonisolated(unsafe) private let hashes: UnsafeMutablePointer<UInt64>?
    nonisolated(unsafe) private let service: UnsafeMutablePointer<UInt8>
    nonisolated(unsafe) private let bySession: UnsafeMutablePointer<Int32>?
    let pool: Pool

    init(
        _ list: [Endpoint], policy: BalancePolicy, session: UInt32 = 0, proxyVersion: ProxyVersion? = nil,
        tcpIdleMilliseconds: UInt32? = nil, service name: String
    ) {
        let text = Array(name.utf8)
        service = .allocate(capacity: max(text.count, 1))
        service.initialize(from: text, count: text.count)
        endpoints = .allocate(capacity: max(list.count, 1))
        endpoints.initialize(from: list, count: list.count)
        hashes = policy.picksByHash ? Self.copy(list.map { AddressHash.of($0.address) }) : nil
        let order = session == 0 ? [] : list.indices.sorted { list[$0].session < list[$1].session }
        bySession = session == 0 ? nil : Self.copy(order.map { Int32($0) })
        let turns: Int
        (sequence, turns) = Self.sequence(list, policy, hashes)
        pool = Pool(
            endpoints: list.isEmpty ? nil : UnsafePointer(endpoints), count: Int32(list.count),
            sequence: UnsafePointer(sequence), sequenceCount: Int32(turns), policy: policy,
            hashes: UnsafePointer(hashes), hasEqualWeights: list.allSatisfy { $0.weight == list[0].weight },
            session: session, bySession: UnsafePointer(bySession), proxyVersion: proxyVersion,
            service: UnsafePointer(service), serviceCount: Int32(text.count),
            tcpIdleMilliseconds: tcpIdleMilliseconds ?? Pool.noTCPIdle)
    }

    private static func sequence(
        _ list: [Endpoint], _ policy: BalancePolicy, _ hashes: UnsafeMutablePointer<UInt64>?
    ) -> (UnsafeMutablePointer<UInt16>?, count: Int) {
        switch policy {
        case .roundRobin, .weightedRoundRobin:
            let turns = WeightedSequence.turns(list.map(\.weight))
            return (turns.isEmpty ? nil : copy(turns), turns.count)
        case .maglev:
            // One endpoint needs no table.
            guard let hashes, (2...MaglevTable.mostEndpoints).contains(list.count) else { return (nil, 0) }
            let table = MaglevTable.make(
                UnsafeBufferPointer(start: hashes, count: list.count), weights: list.map(\.weight))
            return (table, MaglevTable.size)
        case .leastConnections, .powerOfTwoChoices, .sourceHash: return (nil, 0)
        }
    }

    private static func copy<T: BitwiseCopyable>(_ list: [T]) -> UnsafeMutablePointer<T> {
        let memory = UnsafeMutablePointer<T>.allocate(capacity: max(list.count, 1))
        memory.initialize(from: list, count: list.count)
        return memory
    }

    deinit {
        endpoints.deallocate()
        sequence?.deallocate()
        hashes?.deallocate()
        bySession?.deallocate()
        service.deallocate()
    }
}

/// The order of turns in weighted round robin, computed once per change so that a pick is one load.
enum WeightedSequence {
    /// Longest sequence; larger weights are scaled down, none of them to zero.
    static let longest = 16_384

    /// Turns spread evenly: of weights 3 and 1, not `AAAB` but `AABA`. Empty where all weights are equal.
    static func turns(_ weights: [Int32]) -> [UInt16] {
        guard let first = weights.first, weights.contains(where: { $0 != first }), weights.count <= Int(UInt16.max)
        else {
            return []
        }
        let scaled = scale(weights)
        // Each endpoint's turns lie at (k + 1/2) / weight of the way; sorted by that, nobody waits longer than due.
        var turns: [(at: Double, index: UInt16)] = []
        for (index, weight) in scaled.enumerated() {
            for turn in 0..<weight { turns.append(((Double(turn) + 0.5) / Double(weight), UInt16(index))) }
        }
        turns.sort { ($0.at, $0.index) < ($1.at, $1.index) }
        return turns.map(\.index)
    }

    private static func scale(_ weights: [Int32]) -> [Int] {
        let divisor = weights.reduce(0) { gcd($0, Int($1)) }
        let reduced = weights.map { Int($0) / max(divisor, 1) }
        let total = reduced.reduce(0, +)
        guard total > longest else { return reduced }
        return reduced.map { $0 == 0 ? 0 : max(1, $0 * longest / total) }
    }

    private static func gcd(_ a: Int, _ b: Int) -> Int { b == 0 ? a : gcd(b, a % b) }
}
