public import NetAddress

/// Gives each service an address of the VIP range for as long as it lives.
///
/// The address is hashed from the name, so that it is the same after a restart and on every node; where two names meet
/// on one address, the later one takes the next free.
public struct VIPAllocator {
    private let range: IPNetwork
    public private(set) var assigned: [String: IPAddress] = [:]
    private var taken: [IPAddress: String] = [:]
    /// Addresses that the nodes have agreed on; `nil`: this node chooses by itself.
    private var agreed: [String: IPAddress]?
    /// Services without an agreed address.
    private var awaited: [String: VIPWant] = [:]
    /// Services that lost an address which others have agreed to be another's.
    private var evicted: Set<String> = []
    /// Whether the last search found nothing and nothing was released since.
    private var isUsedUp = false

    public init(range: IPNetwork) { self.range = range }

    /// Usable addresses: the first and the last of the range are left out.
    public var capacity: UInt64 {
        range.hostBits >= 63 ? 1 << 62 : max(1 << UInt64(range.hostBits), 3) - 2
    }

    /// The service's address; `nil` where the range is used up or the demanded address is another service's. It then
    /// has no address at all: the one it may have had is free.
    public mutating func assign(_ service: String, demanded: IPAddress? = nil) -> IPAddress? {
        if let agreed { return assign(service, demanded, agreed) }
        if let present = assigned[service], demanded == nil || demanded == present { return present }
        guard let address = demanded ?? firstFree(service) else { return nil }
        release(service)
        if taken[address] != nil { return nil }
        assigned[service] = address
        taken[address] = service
        return address
    }

    public mutating func release(_ service: String) {
        awaited[service] = nil
        if let address = assigned.removeValue(forKey: service) {
            taken[address] = nil
            isUsedUp = false
        }
    }

    // MARK: - Agreement

    /// Whether addresses are the nodes' common choice.
    public var isAgreeing: Bool { agreed != nil }

    /// Services that wait for the nodes to agree on their address, by name.
    public var wants: [VIPWant] { awaited.values.sorted { $0.service < $1.service } }

    /// Takes in what the nodes have agreed on; `nil` as an address: nothing any more. From the first call on no
    /// address is chosen here: a service keeps what it has until one is agreed on.
    public mutating func agree(_ changes: [String: IPAddress?]) {
        var addresses = agreed ?? [:]
        for (service, address) in changes { addresses[service] = address }
        agreed = addresses
    }

    /// Services whose address went to the one it was agreed to be, since the last call.
    public mutating func takeEvicted() -> Set<String> {
        defer { evicted = [] }
        return evicted
    }

    /// The address that a service would have after `step` others were taken.
    public func candidate(_ service: String, step: UInt64) -> IPAddress {
        range.address(at: 1 + (Self.hash(service) % capacity &+ step) % capacity)
    }

    private mutating func assign(
        _ service: String, _ demanded: IPAddress?, _ agreed: [String: IPAddress]
    ) -> IPAddress? {
        let present = assigned[service]
        let address = agreed[service]
        if address == nil || demanded ?? address != address {
            awaited[service] = VIPWant(service: service, demanded: demanded, preferred: present)
        } else {
            awaited[service] = nil
        }
        guard let address, address != present else { return present }
        if let owner = taken[address] {
            // Two services with one agreed address: somebody has written keys by hand.
            guard agreed[owner] != address else { return present }
            release(owner)
            evicted.insert(owner)
        }
        if let present { taken[present] = nil }
        assigned[service] = address
        taken[address] = service
        return address
    }

    private mutating func firstFree(_ service: String) -> IPAddress? {
        if isUsedUp { return nil }
        let start = Self.hash(service) % capacity
        // Of more addresses than are taken at least one is free; those taken outside the range only add to the count.
        for step in 0..<min(capacity, UInt64(taken.count) + 1) {
            let address = range.address(at: 1 + (start + step) % capacity)
            if taken[address] == nil { return address }
        }
        isUsedUp = true
        return nil
    }

    /// FNV-1a with a final mix; its values are part of what operators see and must never change.
    static func hash(_ name: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        hash ^= hash >> 32
        // A shift binds tighter than a product.
        return (hash &* 0x9e37_79b9_7f4a_7c15) >> 16
    }
}
