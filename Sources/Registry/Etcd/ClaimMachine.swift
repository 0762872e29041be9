import MeshCore
import NetAddress

/// How the nodes agree on something that each claimant has one of and no two share: whoever comes first writes the
/// claimant's key and the value's key in one transaction that takes place only where neither is there. Pure.
///
/// A claim is not made at once but after a random time, so that of many nodes that want it one is mostly first and the
/// others find its claim done.
struct ClaimMachine<Value: Hashable & Sendable> {
    struct Claim: Equatable {
        let service: String
        let address: Value
        /// The claimant's value until now, given up in the same transaction.
        let instead: Value?
    }

    enum Outcome: Equatable {
        case won
        /// What stands in the way: the claimant's value, and whose the wanted value is.
        case lost(present: Value?, owner: String?)
    }

    enum Action: Equatable {
        /// At most `batchLimit`, of different claimants and values.
        case claim([Claim])
        /// One timer; a new one replaces it.
        case timer(nanoseconds: UInt64)
    }

    /// Each counts two in etcd's limit of 128 operations.
    static var batchLimit: Int { 32 }
    static var spreadNanoseconds: UInt64 { 100_000_000 }

    /// The values that a claimant may have, the `step`-th to be tried; `nil`: no more.
    private let candidate: (_ service: String, _ step: UInt64) -> Value?
    private var wants: [String: Want<Value>] = [:]
    /// Their services, in the order in which they were named.
    private var order: [String] = []
    /// Values that are nobody's to claim.
    private var reserved: Set<Value> = []
    /// Won, or found done, and not yet told by the watch.
    private var settled: [String: Value] = [:]
    /// Owners of values as answers told them, ahead of the watch.
    private var learned: [Value: String] = [:]
    private var underWay: [Claim] = []
    private var isTimerSet = false
    private var backoff = Backoff()

    init(candidate: @escaping (_ service: String, _ step: UInt64) -> Value?) { self.candidate = candidate }

    /// Claimants of this node that have no agreed value, in place of those named before.
    mutating func want(_ services: [Want<Value>], reserved: Set<Value> = [], random: UInt64) -> [Action] {
        wants = Dictionary(services.map { ($0.service, $0) }, uniquingKeysWith: { first, _ in first })
        self.reserved = reserved
        order = services.map(\.service)
        for (service, address) in settled where wants[service]?.demanded.map({ $0 == address }) ?? true {
            wants[service] = nil
        }
        return schedule(random % Self.spreadNanoseconds)
    }

    private mutating func schedule(_ pause: UInt64) -> [Action] {
        guard !wants.isEmpty, underWay.isEmpty, !isTimerSet else { return [] }
        isTimerSet = true
        return [.timer(nanoseconds: max(pause, 1))]
    }

    /// - Parameters:
    ///   - present: values of claimants as etcd has them.
    ///   - owners: claimants of values as etcd has them.
    mutating func timer(present: [String: Value], owners: [Value: String], random: UInt64) -> [Action] {
        isTimerSet = false
        guard underWay.isEmpty else { return [] }
        for service in settled.keys where present[service] != nil { settled[service] = nil }
        learned = learned.filter { owners[$0.key] == nil }
        var claims: [Claim] = []
        var chosen: Set<Value> = []
        for service in order {
            guard claims.count < Self.batchLimit else { break }
            guard let want = wants[service] else { continue }
            if let address = present[want.service], want.demanded ?? address == address {
                wants[want.service] = nil
                continue
            }
            let isFree = { (address: Value) in
                let owner = owners[address] ?? learned[address] ?? want.service
                return owner == want.service && !chosen.contains(address)
            }
            guard let address = find(want, isFree) else { continue }
            chosen.insert(address)
            claims.append(Claim(service: want.service, address: address, instead: present[want.service]))
        }
        underWay = claims
        return claims.isEmpty ? [] : [.claim(claims)]
    }

    private func find(_ want: Want<Value>, _ isFree: (Value) -> Bool) -> Value? {
        if let demanded = want.demanded { return isFree(demanded) ? demanded : nil }
        func mayBeTaken(_ value: Value) -> Bool { !reserved.contains(value) && isFree(value) }
        if let preferred = want.preferred, mayBeTaken(preferred) { return preferred }
        var step: UInt64 = 0
        while let value = candidate(want.service, step) {
            if mayBeTaken(value) { return value }
            step += 1
        }
        return nil
    }

    /// The answer to the claims under way, in their order.
    mutating func answered(_ outcomes: [Outcome], random: UInt64) -> [Action] {
        backoff.succeeded()
        for (claim, outcome) in zip(underWay, outcomes) {
            switch outcome {
            case .won: settle(claim.service, claim.address)
            case .lost(let present?, _) where claim.instead == nil: settle(claim.service, present)
            case .lost(_, let owner?): learned[claim.address] = owner
            // Something has changed meanwhile; the watch tells what.
            case .lost: break
            }
        }
        underWay = []
        return schedule(random % (Self.spreadNanoseconds / 4))
    }

    private mutating func settle(_ service: String, _ address: Value) {
        settled[service] = address
        wants[service] = nil
    }

    mutating func failed(random: UInt64) -> [Action] {
        underWay = []
        return schedule(backoff.next(random: random))
    }

    /// The watch has told of these claimants' values, or of others that may be free now.
    mutating func told(_ services: Set<String>, random: UInt64) -> [Action] {
        for service in services { settled[service] = nil }
        return schedule(random % Self.spreadNanoseconds)
    }
}

/// Virtual addresses, one for each service.
typealias VIPClaims = ClaimMachine<IPAddress>
/// Numbers of published ports that ask for none, one for each key of `PublishedNumber`.
typealias PortClaims = ClaimMachine<PublishedNumber>

extension ClaimMachine where Value == IPAddress {
    /// Addresses looked at for one service before it has to wait for the next attempt.
    private static var searchLimit: UInt64 { 1 << 16 }

    init(range: IPNetwork) {
        let allocator = VIPAllocator(range: range)
        let limit = min(allocator.capacity, Self.searchLimit)
        self.init { service, step in step < limit ? allocator.candidate(service, step: step) : nil }
    }
}

extension ClaimMachine where Value == PublishedNumber {
    init() { self.init { key, step in PublishedNumber.candidate(key, step: step) } }
}
