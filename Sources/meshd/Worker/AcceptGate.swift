import L4Proxy
import L7Router
import Reactor

/// Decides whether a worker may accept: its part of the descriptors and of the client connections that are allowed.
///
/// Accepting begins again at 15/16 of where it stopped, or, where the system had refused, with the first connection
/// that it grants. Either change is told once.
final class AcceptGate {
    private let plan: WorkerPlan
    private let loop: EventLoop
    private let http: HTTPWorker
    private let relay: RelayWorker
    private let tls: TLSFront
    private let proxies: ProxyGate
    private var isFull = false
    /// The system gave no descriptor, whatever this worker's part is.
    private var isRefused = false

    init(
        _ plan: WorkerPlan, _ loop: EventLoop, _ http: HTTPWorker, _ relay: RelayWorker, _ tls: TLSFront,
        _ proxies: ProxyGate
    ) {
        self.plan = plan
        self.loop = loop
        self.http = http
        self.relay = relay
        self.tls = tls
        self.proxies = proxies
    }

    func mayAccept() -> Bool {
        let used = loop.handlerCount - http.streamsOpen
        let clients = http.connectionsOpen + relay.sessionsOpen + tls.handshakesOpen + proxies.waiting
        if isFull {
            guard used < plan.descriptorShare * 15 / 16, clients < max(1, plan.connectionLimit / 16 * 15) else {
                return false
            }
            isFull = false
            resumeIfFree()
        } else if used >= plan.descriptorShare || clients >= plan.connectionLimit {
            if !isRefused { pause("\(used) descriptors in use, \(clients) client connections") }
            isFull = true
            return false
        }
        return true
    }

    func refused(_ error: SystemError) {
        if !isRefused && !isFull { pause("\(error)") }
        isRefused = true
    }

    func accepted() {
        guard isRefused else { return }
        isRefused = false
        resumeIfFree()
    }

    private func pause(_ cause: String) { plan.control.post(.acceptPaused(worker: plan.index, cause: cause)) }

    private func resumeIfFree() {
        if !isFull && !isRefused { plan.control.post(.acceptResumed(worker: plan.index)) }
    }
}
