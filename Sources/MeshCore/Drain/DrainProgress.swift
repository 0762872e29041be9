/// How far a drain has come on all nodes, as one reading of the registry told it. Pure.
public struct DrainProgress: Equatable, Sendable {
    /// A node that runs, with what it says of orders.
    public struct Node: Equatable, Sendable {
        public let name: String
        public let standings: [InstanceKey: DrainBarrier.Standing]

        public init(name: String, standings: [InstanceKey: DrainBarrier.Standing]) {
            self.name = name
            self.standings = standings
        }
    }

    /// What one node still has, or has not said, of the orders.
    public struct Rest: Equatable, Sendable {
        public let node: String
        /// Orders that the node has not looked at yet.
        public var silent: [InstanceKey] = []
        public var left: [(instance: InstanceKey, counts: FlightCounts)] = []

        public var isDone: Bool { silent.isEmpty && left.isEmpty }

        public static func == (a: Self, b: Self) -> Bool {
            a.node == b.node && a.silent == b.silent
                && a.left.elementsEqual(b.left) { $0.instance == $1.instance && $0.counts == $1.counts }
        }
    }

    /// Those in force, with their numbers.
    public let orders: [InstanceKey: Int64]
    public let nodes: [Node]

    public init(orders: [InstanceKey: Int64], nodes: [Node]) {
        self.orders = orders
        self.nodes = nodes
    }

    /// One for each node, by name.
    public var rests: [Rest] {
        nodes.sorted { $0.name < $1.name }.map { node in
            var rest = Rest(node: node.name)
            for (key, order) in orders.sorted(by: { $0.key < $1.key }) {
                // What a node says of an earlier order tells nothing of this one.
                guard let standing = node.standings[key], standing.order == order, let left = standing.left else {
                    rest.silent.append(key)
                    continue
                }
                if !left.isEmpty { rest.left.append((key, left)) }
            }
            return rest
        }
    }
}
