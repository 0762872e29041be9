/// This node's part of the drain barrier: for each order to drain an instance, whether anything is still in flight to
/// it from here. Pure.
///
/// An order is looked at once every worker has been sent a snapshot that obeys it: what a worker counts behind that
/// snapshot can only become less. An order that was found with nothing in flight stays done.
public struct DrainBarrier: Sendable {
    /// How an order stands.
    public struct Standing: Hashable, Sendable {
        /// Which order: the registry's revision of it, or a number of this node's.
        public let order: Int64
        /// What is in flight from here; `nil` while nobody has looked.
        public internal(set) var left: FlightCounts?

        public init(order: Int64, left: FlightCounts? = nil) {
            self.order = order
            self.left = left
        }

        public var isDone: Bool { left?.isEmpty == true }
    }

    private struct Entry {
        var standing: Standing
        /// Of the instance when the order was obeyed; `nil` before.
        var endpoints: Set<EndpointName>?
    }

    /// The orders that one count of what is in flight is good for.
    public struct Look: Sendable {
        fileprivate let orders: [InstanceKey: Int64]
    }

    /// First and longest pause between two looks.
    static let pauseNanoseconds: (UInt64, UInt64) = (10_000_000, 250_000_000)

    private var entries: [InstanceKey: Entry] = [:]
    private var pause = DrainBarrier.pauseNanoseconds.0

    public init() {}

    public var standings: [InstanceKey: Standing] { entries.mapValues(\.standing) }

    /// Whether an order is not done, and looking would tell more.
    public var isWaiting: Bool { entries.values.contains { !$0.standing.isDone } }

    /// The orders in force, in place of those before; one with another number is a new one.
    ///
    /// - Returns: whether something is different.
    public mutating func ordered(_ orders: [InstanceKey: Int64]) -> Bool {
        var isNew = false
        for key in entries.keys where orders[key] == nil {
            entries[key] = nil
            isNew = true
        }
        for (key, order) in orders where entries[key]?.standing.order != order {
            entries[key] = Entry(standing: Standing(order: order), endpoints: nil)
            pause = Self.pauseNanoseconds.0
            isNew = true
        }
        return isNew
    }

    /// Every worker has been sent a snapshot that obeys all orders so far.
    ///
    /// - Parameter endpoints: those of an instance.
    public mutating func obeyed(_ endpoints: (InstanceKey) -> [EndpointName]) {
        for (key, entry) in entries where entry.endpoints == nil { entries[key]?.endpoints = Set(endpoints(key)) }
    }

    /// Begins a count; `nil` where there is nothing to count for.
    public func look() -> Look? {
        let open = entries.filter { !$0.value.standing.isDone && $0.value.endpoints != nil }
        return open.isEmpty ? nil : Look(orders: open.mapValues(\.standing.order))
    }

    /// Takes in what all workers have in flight, counted since the look began.
    ///
    /// - Parameter flights: `nil`: a worker did not answer.
    /// - Returns: whether something is different.
    public mutating func counted(_ look: Look, _ flights: [EndpointFlights]?) -> Bool {
        guard let flights else { return false }
        var isNew = false
        for (key, order) in look.orders {
            guard let entry = entries[key], entry.standing.order == order, let endpoints = entry.endpoints else {
                continue
            }
            var left = FlightCounts()
            for flight in flights where endpoints.contains(flight.endpoint) { left += flight.counts }
            guard left != entry.standing.left else { continue }
            entries[key]?.standing.left = left
            isNew = true
        }
        return isNew
    }

    /// How long to wait before the next look.
    public mutating func nextPauseNanoseconds() -> UInt64 {
        defer { pause = min(pause * 2, Self.pauseNanoseconds.1) }
        return pause
    }
}
