import MeshCore
import NetAddress

/// How the nodes agree on the VIP of each service: whoever comes first writes the service's key and the address's key
/// in one transaction that takes place only where neither is there. Pure.
///
/// A claim is not made at once but after a random time, so that of many nodes that hear of a service one is mostly
/// first and the others find its claim done.
struct VIPClaims {
    struct Claim: Equatable {
        let service: String
        let address: IPAddress
        /// The service's address until now, given up in the same transaction.
        let instead: IPAddress?
    }

    enum Outcome: Equatable {
        case won
        /// What stands in the way: the service's address, and whose the wanted address is.
        case lost(present: IPAddress?, owner: String?)
    }

    enum Action: Equatable {
        /// At most `batchLimit`, of different services and addresses.
        case claim([Claim])
        /// One timer; a new one replaces it.
        case timer(nanoseconds: UInt64)
    }

    /// Each counts two in etcd's limit of 128 operations.
    static let batchLimit = 32
    static let spreadNanoseconds: UInt64 = 100_000_000
    /// Addresses looked at for one service before it has to wait for the next attempt.
    static let searchLimit: UInt64 = 1 << 16

    private let allocator: VIPAllocator
    private var wants: [String: VIPWant] = [:]
    /// Won, or found done, and not yet told by the watch.
    private var settled: [String: IPAddress] = [:]
    /// Owners of addresses as answers told them, ahead of the watch.
    private var learned: [IPAddress: String] = [:]
    private var underWay: [Claim] = []
    private var isTimerSet = false
    private var backoff = Backoff()

    init(range: IPNetwork) { allocator = VIPAllocator(range: range) }

    /// Services of this node that have no agreed address, in place of those named before.
    mutating func want(_ services: [VIPWant], random: UInt64) -> [Action] {
        wants = Dictionary(services.map { ($0.service, $0) }, uniquingKeysWith: { first, _ in first })
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
    ///   - present: addresses of services as etcd has them.
    ///   - owners: services of addresses as etcd has them.
    mutating func timer(present: [String: IPAddress], owners: [IPAddress: String], random: UInt64) -> [Action] {
        isTimerSet = false
        guard underWay.isEmpty else { return [] }
        for service in settled.keys where present[service] != nil { settled[service] = nil }
        learned = learned.filter { owners[$0.key] == nil }
        var claims: [Claim] = []
        var chosen: Set<IPAddress> = []
        for want in wants.values.sorted(by: { $0.service < $1.service }) where claims.count < Self.batchLimit {
            if let address = present[want.service], want.demanded ?? address == address {
                wants[want.service] = nil
                continue
            }
            let isFree = { (address: IPAddress) in
                let owner = owners[address] ?? learned[address] ?? want.service
                return owner == want.service && !chosen.contains(address)
            }
            guard let address = candidate(want, isFree) else { continue }
            chosen.insert(address)
            claims.append(Claim(service: want.service, address: address, instead: present[want.service]))
        }
        underWay = claims
        return claims.isEmpty ? [] : [.claim(claims)]
    }

    private func candidate(_ want: VIPWant, _ isFree: (IPAddress) -> Bool) -> IPAddress? {
        if let demanded = want.demanded { return isFree(demanded) ? demanded : nil }
        if let preferred = want.preferred, isFree(preferred) { return preferred }
        for step in 0..<min(allocator.capacity, Self.searchLimit) {
            let address = allocator.candidate(want.service, step: step)
            if isFree(address) { return address }
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

    private mutating func settle(_ service: String, _ address: IPAddress) {
        settled[service] = address
        wants[service] = nil
    }

    mutating func failed(random: UInt64) -> [Action] {
        underWay = []
        return schedule(backoff.next(random: random))
    }

    /// The watch has told of these services' addresses, or of others that may be free now.
    mutating func told(_ services: Set<String>, random: UInt64) -> [Action] {
        for service in services { settled[service] = nil }
        return schedule(random % Self.spreadNanoseconds)
    }
}
