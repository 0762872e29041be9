/// What can be in flight on an instance.
public enum FlightKind: String, Sendable, CaseIterable {
    /// An HTTP request and its response.
    case exchanges
    /// An upgraded HTTP connection.
    case tunnels
    /// A relayed TCP connection.
    case sessions
    /// A UDP flow.
    case flows
}

/// How much of each kind is in flight.
public struct FlightCounts: Hashable, Sendable {
    public var exchanges = 0
    public var tunnels = 0
    public var sessions = 0
    public var flows = 0

    public init(exchanges: Int = 0, tunnels: Int = 0, sessions: Int = 0, flows: Int = 0) {
        self.exchanges = exchanges
        self.tunnels = tunnels
        self.sessions = sessions
        self.flows = flows
    }

    public var total: Int { exchanges + tunnels + sessions + flows }
    public var isEmpty: Bool { total == 0 }

    public subscript(kind: FlightKind) -> Int {
        get {
            switch kind {
            case .exchanges: exchanges
            case .tunnels: tunnels
            case .sessions: sessions
            case .flows: flows
            }
        }
        set {
            switch kind {
            case .exchanges: exchanges = newValue
            case .tunnels: tunnels = newValue
            case .sessions: sessions = newValue
            case .flows: flows = newValue
            }
        }
    }

    /// Kinds of which there is something, in a fixed order.
    public var present: [(kind: FlightKind, count: Int)] {
        FlightKind.allCases.map { ($0, self[$0]) }.filter { $0.1 > 0 }
    }

    public static func += (sum: inout Self, more: Self) {
        for kind in FlightKind.allCases { sum[kind] += more[kind] }
    }
}

/// What one worker has in flight on one endpoint.
public struct EndpointFlights: Hashable, Sendable {
    public let endpoint: EndpointName
    public let counts: FlightCounts

    public init(endpoint: EndpointName, counts: FlightCounts) {
        self.endpoint = endpoint
        self.counts = counts
    }
}

/// Names an endpoint for as long as the process runs, also when it is gone from the catalogue.
public struct EndpointName: Hashable, Sendable {
    public let id: Int32
    public let incarnation: UInt32

    public init(id: Int32, incarnation: UInt32) {
        self.id = id
        self.incarnation = incarnation
    }
}
