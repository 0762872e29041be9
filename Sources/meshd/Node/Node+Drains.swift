import Configuration
import MeshCore
import Reactor
import Registry

/// How other nodes know that this one runs, and what it says of drain orders.
extension Node {
    /// How long this node counts as running without a sign of life.
    private static let leaseSeconds = 10

    /// Announces this node, then begins to read: who orders a drain either finds this node or is found by its reading.
    func present(in url: EtcdURL, then begin: @escaping () -> Void) {
        var isBegun = false
        let beginOnce = {
            guard !isBegun else { return }
            isBegun = true
            begin()
        }
        let announcer = EtcdAnnouncer(
            url, ttlSeconds: Self.leaseSeconds, seed: WallClock.nowNanoseconds(), on: loop,
            EtcdAnnouncer.Callbacks(
                announced: { [unowned self] in
                    presenceProblem = nil
                    beginOnce()
                },
                problem: { [unowned self] problem in
                    presenceProblem = problem
                    Log.warning("this node is not announced, no drain waits for it", ["cause": problem])
                    beginOnce()
                },
                withdrawn: { [unowned self] in leave?() }))
        presence = announcer
        present()
    }

    func present() {
        presence?.present(NodePresence(node: settings.node, drains: drains.standings), run: run)
    }

    /// Says that this node runs no more, and calls `done` when etcd knows or does not answer soon.
    func leaveRegistry(_ done: @escaping () -> Void) {
        guard let presence, presenceProblem == nil else { return done() }
        let patience = TimerHandler()
        let end = { [unowned self] in
            leave = nil
            loop.detach(patience)
            presence.stop()
            done()
        }
        patience.fired = end
        loop.attach(patience)
        loop.setDeadline(patience, after: 1_000_000_000)
        leave = end
        presence.withdraw(isSaid: false)
    }
}
