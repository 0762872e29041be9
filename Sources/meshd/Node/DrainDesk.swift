import MeshCore
import Registry

/// Takes orders to drain from operators: for all nodes through the registry they share, without one for this node.
final class DrainDesk {
    enum Outcome {
        case done([InstanceKey])
        case unknown(String)
        case refused(String)
    }

    private let node: String
    private let control: ControlPlane
    private let keeper: DrainKeeper
    private let registry: () -> EtcdSource?

    init(node: String, _ control: ControlPlane, _ keeper: DrainKeeper, registry: @escaping () -> EtcdSource?) {
        self.node = node
        self.control = control
        self.keeper = keeper
        self.registry = registry
    }

    /// What an order is for: `SERVICE`, or `SERVICE/INSTANCE`.
    struct Target {
        let service: String
        /// `nil`: all instances that the service has when the order is given.
        let id: String?

        init?(_ text: String) {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard !parts[0].isEmpty, parts.count == 1 || !parts[1].isEmpty else { return nil }
            (service, id) = (parts[0], parts.count == 2 ? parts[1] : nil)
        }

        func concerns(_ key: InstanceKey) -> Bool { key.service == service && (id == nil || key.id == id) }
    }

    func order(_ target: Target, lastsSeconds: Int, _ done: @escaping (Outcome) -> Void) {
        let entry = control.catalogue.entries[target.service]
        let keys = (entry?.instances ?? []).map(\.key).filter(target.concerns)
        guard !keys.isEmpty else { return done(.unknown(unknown(target, entry))) }
        guard let registry = registry() else {
            keeper.order(keys, lastsSeconds: lastsSeconds)
            return done(.done(keys))
        }
        registry.order(drainOf: keys, by: node, lastsSeconds: lastsSeconds) {
            done($0.map { .refused($0.description) } ?? .done(keys))
        }
    }

    private func unknown(_ target: Target, _ entry: Catalogue.Entry?) -> String {
        guard entry != nil else { return "no service '\(target.service)'" }
        guard let id = target.id else { return "service '\(target.service)' has no instance" }
        return "service '\(target.service)' has no instance '\(id)'"
    }

    /// Takes orders back that are in force.
    func cancel(_ target: Target, _ done: @escaping (Outcome) -> Void) {
        let keys = keeper.standings.keys.filter(target.concerns).sorted()
        guard !keys.isEmpty else { return done(.unknown("nothing of '\(target.service)' is drained")) }
        keeper.cancel(keys)
        guard let registry = registry() else { return done(.done(keys)) }
        registry.cancel(drainOf: keys) { done($0.map { .refused($0.description) } ?? .done(keys)) }
    }

    /// How far all nodes have come.
    func progress(_ target: Target, _ done: @escaping (Result<DrainProgress, EtcdSource.Refusal>) -> Void) {
        if let registry = registry() {
            return registry.progress(of: target.service, wanted: target.concerns, done: done)
        }
        let standings = keeper.standings.filter { target.concerns($0.key) }
        let own = DrainProgress.Node(name: node, standings: standings)
        done(.success(DrainProgress(orders: standings.mapValues(\.order), nodes: [own])))
    }
}
