import L4Proxy
import L7Router
import MeshCore
import NetAddress
import Reactor

/// What the control loop tells a worker.
enum WorkerMessage: Sendable {
    /// Route by this snapshot; do not listen on the blocked addresses, which other programs hold.
    case install(Snapshot, blocked: Set<ListenerKey>)
    /// What new TLS handshakes choose from.
    case certificates(TLSCertificateTable)
    case ticketKeys(TLSTicketKeys)
    case instanceTLS([UpstreamTLS: TLSClientContext])
    case report(ticket: UInt64)
    /// A dial to this endpoint failed on some worker: tell of the next one that succeeds.
    case watchDials(id: Int32)
    /// Answer with `signOfLife`.
    case sign(round: UInt64)
    /// Another worker has left a passed socket to the others: accept what waits there.
    case lookAtPassedSockets
    /// Stop accepting; say `drained` when nothing is in flight any more.
    case drain
    /// Close what is left and end.
    case stop

    /// A newer message on the same subject makes an older one that still waits pointless.
    var subject: Int? {
        switch self {
        case .install: 0
        case .certificates: 1
        case .ticketKeys: 2
        case .instanceTLS: 3
        case .sign: 4
        case .lookAtPassedSockets: 5
        case .drain: 6
        case .stop: 7
        case .report, .watchDials: nil
        }
    }
}

/// What a worker tells the control loop.
enum ControlMessage: Sendable {
    case installed(worker: Int, generation: UInt64, failures: [ListenerFailure])
    case report(WorkerReport)
    case signOfLife(worker: Int, round: UInt64)
    case dialFailed(id: Int32, cause: String)
    case dialSucceeded(id: Int32)
    case acceptPaused(worker: Int, cause: String)
    case acceptResumed(worker: Int)
    /// This worker, being full, leaves passed sockets to the others for a while.
    case steppedAside(worker: Int)
    case drained(worker: Int)

    /// A newer message on the same subject makes an older one that still waits pointless.
    var subject: Int? {
        switch self {
        case .installed(let worker, _, _): worker * 8
        case .signOfLife(let worker, _): worker * 8 + 1
        case .acceptPaused(let worker, _), .acceptResumed(let worker): worker * 8 + 2
        case .steppedAside(let worker): worker * 8 + 3
        case .drained(let worker): worker * 8 + 4
        case .report, .dialFailed, .dialSucceeded: nil
        }
    }
}

struct ListenerFailure: Sendable, Hashable {
    let key: ListenerKey
    let owner: String
    let cause: String

    var address: SocketAddress { key.address }
}

/// One worker's counters and what it has in flight.
struct WorkerReport: Sendable {
    let worker: Int
    let ticket: UInt64
    let http: RouterCounters
    let relay: RelayCounters
    let datagrams: DatagramCounters
    let tls: TLSCounters
    let proxy: ProxyCounters
    let inFlight: [EndpointFlights]
    let turns: UInt64
    let bufferBytes: Int
    let handlers: Int
}
