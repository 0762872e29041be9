import MeshCore
import Reactor

/// Orders to drain instances, on the control loop: the registry's and this node's own. Has the snapshots obey them,
/// and finds out when nothing is in flight any more.
final class DrainKeeper: Handler {
    private struct Local {
        let order: Int64
        let untilNanoseconds: UInt64
    }

    private let control: ControlPlane
    private let reports: Reports
    private let workerCount: Int
    private var barrier = DrainBarrier()
    private var ofRegistry: [InstanceKey: Int64] = [:]
    private var local: [InstanceKey: Local] = [:]
    private var nextLocal: Int64 = 1
    private var isLooking = false
    private let expiry = TimerHandler()
    /// Told when an order came, went, or has less in flight.
    var changed: () -> Void = {}

    init(_ control: ControlPlane, _ reports: Reports, workerCount: Int) {
        self.control = control
        self.reports = reports
        self.workerCount = workerCount
        super.init()
        control.loop.attach(self)
        control.loop.attach(expiry)
        expiry.fired = { [unowned self] in dropExpired() }
    }

    /// How each order in force stands on this node.
    var standings: [InstanceKey: DrainBarrier.Standing] { barrier.standings }

    // MARK: - Orders

    /// The registry's orders, in place of those before.
    func registryOrders(_ orders: [InstanceKey: Int64]) {
        ofRegistry = orders
        settle()
    }

    /// Orders of this node alone.
    func order(_ keys: [InstanceKey], lastsSeconds: Int) {
        let until = control.loop.nowNanoseconds &+ UInt64(lastsSeconds) * 1_000_000_000
        for key in keys {
            local[key] = Local(order: nextLocal, untilNanoseconds: until)
            nextLocal += 1
        }
        settle()
        armExpiry()
    }

    func cancel(_ keys: [InstanceKey]) {
        for key in keys { local[key] = nil }
        settle()
    }

    private func settle() {
        let orders = ofRegistry.merging(local.mapValues(\.order), uniquingKeysWith: { first, _ in first })
        let isNew = barrier.ordered(orders)
        control.drain(Set(orders.keys))
        if control.isSettled { obeyed() }
        if isNew { changed() }
    }

    private func armExpiry() {
        if let next = local.values.map(\.untilNanoseconds).min() { control.loop.setDeadline(expiry, at: next) }
    }

    private func dropExpired() {
        let now = control.loop.nowNanoseconds
        local = local.filter { $0.value.untilNanoseconds > now }
        settle()
        armExpiry()
    }

    // MARK: - The barrier

    /// A snapshot that obeys every order so far was sent to the workers.
    func compiled() {
        dropGone()
        obeyed()
    }

    /// An order of this node's own goes with its instance.
    private func dropGone() {
        let gone = local.keys.filter { key in
            control.catalogue.entries[key.service]?.instances.contains { $0.id == key.id } != true
        }
        if !gone.isEmpty { cancel(gone) }
    }

    private func obeyed() {
        barrier.obeyed { control.compiler.endpoints(of: $0) }
        look()
    }

    override func deadlineReached() { look() }

    /// Asks the workers. What they count behind the snapshot, which they got before, can only become less.
    private func look() {
        guard !isLooking, let look = barrier.look() else { return }
        isLooking = true
        reports.gather { [unowned self] reports in
            isLooking = false
            let flights = reports.count == workerCount ? reports.flatMap(\.inFlight) : nil
            if barrier.counted(look, flights) { changed() }
            guard barrier.isWaiting else { return }
            control.loop.setDeadline(self, after: barrier.nextPauseNanoseconds())
        }
    }
}
