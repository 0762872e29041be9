public import NetAddress

/// Everything workers route by, immutable, compiled from the catalogue and the instances' health.
public final class Snapshot: Sendable {
    /// Grows with each compilation.
    public let generation: UInt64
    public let hosts: HostTable
    /// Of TLS sessions that are relayed by their server name.
    public let serverNames: ServerNameTable
    /// By pool id: how instances are spoken to where it is over TLS.
    public let upstreamTLS: [Int32: UpstreamTLS]
    /// By pool id.
    public let pools: PagedTable<Pool>
    /// By endpoint id: the incarnation that lives, 0 where none does.
    public let incarnations: PagedTable<UInt32>
    /// By endpoint id: the incarnation that may keep its flows, being healthy, drained or not; 0 where none is.
    public let flowKeepers: PagedTable<UInt32>
    /// Ids of endpoints whose instance is drained.
    public let draining: Set<Int32>
    /// Whether there are such: looked at for each exchange, without counting a reference.
    let isDraining: Bool
    public let listeners: [ListenerPlan]
    /// The generation since which the listeners are what they are.
    public let listenersGeneration: UInt64
    /// Keeps the pools' memory.
    private let storage: [[PoolStorage?]]

    public convenience init() {
        self.init(
            generation: 0, hosts: HostTable(), serverNames: ServerNameTable(), upstreamTLS: [:],
            pools: PagedTable(fill: .none),
            incarnations: PagedTable(fill: 0), flowKeepers: PagedTable(fill: 0), draining: [],
            listeners: [], listenersGeneration: 0, storage: [])
    }

    init(
        generation: UInt64, hosts: HostTable, serverNames: ServerNameTable, upstreamTLS: [Int32: UpstreamTLS],
        pools: PagedTable<Pool>,
        incarnations: PagedTable<UInt32>, flowKeepers: PagedTable<UInt32>, draining: Set<Int32>,
        listeners: [ListenerPlan], listenersGeneration: UInt64, storage: [[PoolStorage?]]
    ) {
        self.generation = generation
        self.hosts = hosts
        self.serverNames = serverNames
        self.upstreamTLS = upstreamTLS
        self.pools = pools
        self.incarnations = incarnations
        self.flowKeepers = flowKeepers
        self.draining = draining
        isDraining = !draining.isEmpty
        self.listeners = listeners
        self.listenersGeneration = listenersGeneration
        self.storage = storage
    }
}

/// An address that every worker listens on, and what it serves there.
public struct ListenerPlan: Hashable, Sendable {
    public enum Role: Hashable, Sendable {
        /// Host and path choose the service.
        case web
        /// The same over TLS.
        case secureWeb
        /// The port's pool, exchange by exchange, whatever the Host.
        case http(pool: Int32)
        /// The port's pool, bytes relayed.
        case relay(pool: Int32)
        /// The port's pool, datagrams by flow.
        case datagrams(pool: Int32)
    }

    /// What the address is, whatever layer serves it.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case web, published, vip
    }

    public let address: SocketAddress
    public let role: Role
    public let kind: Kind
    /// Who asked for it: a service's VIP port or published port, or the configuration.
    public let owner: String

    /// - Parameter isVIP: a service's VIP port, not a published one.
    public init(address: SocketAddress, role: Role, owner: String, isVIP: Bool = false) {
        self.address = address
        self.role = role
        kind = role == .web || role == .secureWeb ? .web : isVIP ? .vip : .published
        self.owner = owner
    }

    /// What no two listeners can share.
    public var key: ListenerKey {
        if case .datagrams = role { return ListenerKey(.udp, address) }
        return ListenerKey(.tcp, address)
    }
}

/// An address of one transport: TCP and UDP have their ports apart.
public struct ListenerKey: Hashable, Sendable {
    public let transport: PublishedPort.Transport
    public let address: SocketAddress

    public init(_ transport: PublishedPort.Transport, _ address: SocketAddress) {
        self.transport = transport
        self.address = address
    }
}

/// A name and the addresses it resolves to.
public struct ZoneEntry: Hashable, Sendable {
    /// Lower case, without a final dot.
    public let name: String
    public let addresses: [IPAddress]

    public init(name: String, addresses: [IPAddress]) {
        self.name = name
        self.addresses = addresses
    }
}

/// What a compilation changed in the names and their addresses.
public enum ZoneChange: Hashable, Sendable {
    case nothing
    /// These entries have other addresses; the names are the same.
    case addresses([ZoneEntry])
    case all
}
