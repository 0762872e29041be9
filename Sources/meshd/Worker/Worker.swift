import L4Proxy
import L7Router
import MeshCore
import NetAddress
import Reactor

/// A worker's way to the access log.
struct AccessLogPlan: Sendable {
    let format: AccessLog.Format
    let queue: LogQueue
    let writer: LogWriter
}

/// What a worker thread needs to make its world.
struct WorkerPlan: Sendable {
    let index: Int
    let router: RouterOptions
    let relay: RelayOptions
    let datagrams: DatagramOptions
    let tls: TLSFrontOptions
    let trust: ProxyTrust
    let accessLog: AccessLogPlan?
    let bufferLimitBytes: Int
    /// Descriptors this worker may use before it stops accepting.
    let descriptorShare: Int
    /// Client connections this worker may have before it stops accepting.
    let connectionLimit: Int
    let vipRange: IPNetwork
    /// Listening sockets that the process was started with, by address.
    let passedSockets: [SocketAddress: Socket]
    let seed: UInt64
    /// For ids of requests and traces, which must differ all over the cluster.
    let random: RandomBits
    let inbox: Mailbox<WorkerMessage>
    let control: Mailbox<ControlMessage>
}

/// Where a worker is to listen. Kept from one snapshot to the next: few of them change it.
private struct Wanted {
    let generation: UInt64
    let blocked: Set<ListenerKey>
    let streams: [ListenerPlan]
    let datagrams: [ListenerPlan]

    init(_ snapshot: Snapshot, _ blocked: Set<ListenerKey>) {
        generation = snapshot.listenersGeneration
        self.blocked = blocked
        let plans = snapshot.listeners.filter { !blocked.contains($0.key) }
        streams = plans.filter { $0.key.transport == .tcp }
        datagrams = plans.filter { $0.key.transport == .udp }
    }
}

/// One worker: a loop, its picks, its listeners and both proxies. Made on its own thread and never leaves it.
final class Worker {
    private let plan: WorkerPlan
    private let loop: EventLoop
    private let balancer: Balancer
    private let http: HTTPWorker
    private let relay: RelayWorker
    private let datagrams: DatagramWorker
    private let tls: TLSFront
    private let proxies: ProxyGate
    private let accessLog: AccessLog?
    private let listeners: ListenerSet
    private let dials: DialWatch
    private var wanted = Wanted(Snapshot(), [])

    init(_ plan: WorkerPlan) throws(SystemError) {
        self.plan = plan
        let loop = try EventLoop(bufferLimitBytes: plan.bufferLimitBytes)
        self.loop = loop
        balancer = Balancer(seed: plan.seed)
        accessLog = plan.accessLog.map { AccessLog($0.format, to: $0.queue, of: $0.writer, on: loop) }
        let dials = DialWatch(plan.control)
        self.dials = dials
        http = HTTPWorker(
            loop: loop, balancer: balancer, options: plan.router, accessLog: accessLog, random: plan.random,
            dialed: dials.dialed)
        relay = RelayWorker(loop: loop, balancer: balancer, options: plan.relay, dialed: dials.dialed)
        var limits = plan.datagrams
        // The rest is for connections: floods of flows must not keep them out.
        limits.flowLimit = min(limits.flowLimit, max(plan.descriptorShare / 4, 1))
        limits.vipRange = plan.vipRange
        datagrams = DatagramWorker(loop: loop, balancer: balancer, options: limits, dialed: dials.dialed)
        tls = TLSFront(loop: loop, http: http, options: plan.tls)
        tls.relay = { [relay] socket, origin, pool, handler, sawPeerClose in
            relay.serve(socket, origin, pool: pool, replacing: handler, sawPeerClose: sawPeerClose)
        }
        proxies = ProxyGate(loop, plan.trust)
        let gate = AcceptGate(plan, loop, http, relay, tls, proxies)
        // The other half is for connections.
        listeners = ListenerSet(
            loop: loop, gate: gate, http: http, relay: relay, tls: tls, proxies: proxies,
            limit: plan.descriptorShare / 2,
            vipRange: plan.vipRange, passed: plan.passedSockets,
            steppedAside: { plan.control.post(.steppedAside(worker: plan.index)) })
        try plan.inbox.open(on: loop) { [unowned self] in receive($0) }
    }

    func run() { loop.run() }

    private func receive(_ message: WorkerMessage) {
        switch message {
        case .install(let snapshot, let blocked): install(snapshot, blocked)
        case .certificates(let table): tls.install(table)
        case .ticketKeys(let keys): tls.install(keys)
        case .instanceTLS(let contexts): http.install(contexts)
        case .report(let ticket): report(ticket)
        case .watchDials(let id): dials.watch(id)
        case .sign(let round): plan.control.post(.signOfLife(worker: plan.index, round: round))
        case .lookAtPassedSockets: listeners.lookAtPassedSockets()
        case .drain: drain()
        case .stop: stop()
        }
    }

    private func install(_ snapshot: Snapshot, _ blocked: Set<ListenerKey>) {
        balancer.install(snapshot)
        if snapshot.listenersGeneration != wanted.generation || blocked != wanted.blocked {
            wanted = Wanted(snapshot, blocked)
        }
        var failures = listeners.install(wanted.streams)
        failures += datagrams.install(wanted.datagrams).map { plan, error in
            ListenerFailure(key: plan.key, owner: plan.owner, cause: "\(error)")
        }
        http.snapshotChanged()
        dials.forgetGone(snapshot)
        plan.control.post(.installed(worker: plan.index, generation: snapshot.generation, failures: failures))
    }

    private func report(_ ticket: UInt64) {
        plan.control.post(
            .report(
                WorkerReport(
                    worker: plan.index, ticket: ticket, http: http.counted(), relay: relay.counted(),
                    datagrams: datagrams.counted(), tls: tls.counted(), proxy: proxies.counters,
                    inFlight: balancer.inFlightByEndpoint(), turns: loop.turns,
                    bufferBytes: loop.buffers.leasedBytes, handlers: loop.handlerCount)))
    }

    private func drain() {
        listeners.finish()
        let control = plan.control
        let index = plan.index
        proxies.drain { [tls, http, relay, datagrams] in
            tls.drain { http.drain { relay.drain { datagrams.drain { control.post(.drained(worker: index)) } } } }
        }
    }

    private func stop() {
        listeners.finish()
        tls.closeAll()
        http.closeAll()
        relay.closeAll()
        datagrams.closeAll()
        accessLog?.flush()
        loop.stop()
    }
}
