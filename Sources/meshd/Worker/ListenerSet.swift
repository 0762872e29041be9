import L4Proxy
import L7Router
import MeshCore
import NetAddress
import Reactor

/// One worker's listening sockets, kept in step with the snapshot's plans.
final class ListenerSet {
    private struct Open {
        let listener: TCPListener
        let binding: PortBinding
    }

    private let loop: EventLoop
    private let gate: AcceptGate
    private let http: HTTPWorker
    private let relay: RelayWorker
    private let tls: TLSFront
    private let proxies: ProxyGate
    private let limit: Int
    private let vipRange: IPNetwork
    private let passed: [SocketAddress: Socket]
    private let steppedAside: () -> Void
    private var open: [SocketAddress: Open] = [:]
    private var plans: [ListenerPlan] = []
    private var isFinished = false

    init(
        loop: EventLoop, gate: AcceptGate, http: HTTPWorker, relay: RelayWorker, tls: TLSFront, proxies: ProxyGate,
        limit: Int, vipRange: IPNetwork, passed: [SocketAddress: Socket], steppedAside: @escaping () -> Void
    ) {
        self.loop = loop
        self.gate = gate
        self.http = http
        self.relay = relay
        self.tls = tls
        self.proxies = proxies
        self.limit = limit
        self.vipRange = vipRange
        self.passed = passed
        self.steppedAside = steppedAside
    }

    /// Opens what is new, closes what is gone, and returns what could not be opened; what is beyond the limit is told
    /// of in one piece. A listener whose role alone
    /// changed stays open, and its connections live on.
    func install(_ wanted: [ListenerPlan]) -> [ListenerFailure] {
        guard !isFinished, wanted != plans else { return [] }
        plans = wanted
        var failures: [ListenerFailure] = []
        var surplus: [ListenerPlan] = []
        let addresses = Set(wanted.map(\.address))
        for (address, entry) in open where !addresses.contains(address) {
            entry.binding.retire()
            entry.listener.finish()
            open[address] = nil
        }
        for plan in wanted {
            if let present = open[plan.address] {
                present.binding.serve(plan.role)
                continue
            }
            guard open.count < limit else {
                surplus.append(plan)
                continue
            }
            do throws(SystemError) {
                open[plan.address] = try listen(plan)
            } catch {
                failures.append(ListenerFailure(key: plan.key, owner: plan.owner, cause: "\(error)"))
            }
        }
        if let first = surplus.first {
            let cause = "\(surplus.count) listeners are more than the descriptor limit allows, from this one on"
            failures.append(ListenerFailure(key: first.key, owner: first.owner, cause: cause))
        }
        // What failed is tried again with the next install.
        if !failures.isEmpty { plans = [] }
        return failures
    }

    private func listen(_ plan: ListenerPlan) throws(SystemError) -> Open {
        let passed = passed[plan.address]
        let socket: Socket
        if let passed {
            socket = try passed.duplicate()
        } else {
            socket = try Socket.listen(
                plan.address, shared: true, isVirtual: vipRange.contains(plan.address.ip))
        }
        let binding = PortBinding(plan.role, port: plan.address.port)
        let serve: ProxyGate.Serve = { [http, relay, tls] socket, origin in
            if binding.isRelay {
                relay.serve(socket, origin, binding)
            } else if binding.isSecure {
                tls.serve(socket, origin, binding)
            } else {
                http.serve(socket, origin, binding)
            }
        }
        let listener = try TCPListener(
            socket, on: loop, isSharedSocket: passed != nil, steppedAside: steppedAside, mayAccept: gate.mayAccept,
            refused: gate.refused,
            accepted: { [gate, proxies, kind = plan.kind] socket, peer in
                gate.accepted()
                proxies.admit(socket, peer ?? SocketAddress(.anyV4, 0), kind, serve)
            })
        return Open(listener: listener, binding: binding)
    }

    /// Accepts what another worker has left waiting at a passed socket.
    func lookAtPassedSockets() {
        for address in passed.keys { open[address]?.listener.look() }
    }

    /// Takes what the kernel has accepted and closes every listener. Bindings stay: what is in flight goes on.
    func finish() {
        isFinished = true
        for entry in open.values { entry.listener.finish() }
        open = [:]
    }
}
