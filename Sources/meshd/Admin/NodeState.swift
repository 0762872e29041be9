import AliasDNS
import HealthProber
import MeshCore
import Reactor
import Registry

/// How a source stands: when it was last heard, and what is wrong with it.
struct SourceStatus {
    let name: String
    var lastEventNanoseconds: UInt64?
    /// How old the state was when it came: above 0 only where it came from disk.
    var ageOnArrivalNanoseconds: UInt64 = 0
    /// The catalogue kept on disk is in force, because the source has told nothing yet.
    var isFromDisk = false
    var problem: String?
    var events = 0
    var failures = 0
    /// Where the source is etcd.
    var etcd: EtcdSource?
    /// Where the source is a Docker engine.
    var docker: DockerSource?

    /// Since the source told the state in force; `nil` where there is none.
    func ageNanoseconds(_ now: UInt64) -> UInt64? {
        lastEventNanoseconds.map { (now &- $0) &+ ageOnArrivalNanoseconds }
    }
}

/// What the admin pages show, taken at one moment on the control loop.
struct NodeState {
    let node: String
    let nowNanoseconds: UInt64
    let uptimeNanoseconds: UInt64
    let control: ControlPlane
    let sources: [SourceStatus]
    /// Catalogues that could not be written to disk.
    let keepFailures: Int
    let reports: [WorkerReport]
    let dns: AliasDNSCounters?
    let accessLog: LogWriter.Counts?
    /// Where this node announces what its engines run.
    let agent: NodeAgent?
    /// Messages between threads that were lost because a loop did not read them.
    let messagesDropped: UInt64
    /// What a request that no route takes is answered.
    let unknownHostStatus: Int
    /// Certificates in force with the second (since 1970) in which each ends.
    let certificates: [(label: String, notAfter: Int64)]
    /// Drain orders in force, as they stand on this node.
    let drains: [InstanceKey: DrainBarrier.Standing]
    /// Why other nodes do not know that this one runs.
    let presenceProblem: String?

    /// In flight by instance, over all workers that reported.
    func inFlightByInstance() -> [InstanceKey: Int] {
        var sums: [InstanceKey: Int] = [:]
        for flight in reports.lazy.flatMap(\.inFlight) {
            guard let owner = control.compiler.endpointOwner(flight.endpoint.id) else { continue }
            sums[owner.instance, default: 0] += flight.counts.total
        }
        return sums
    }

    /// An instance's state as shown: draining overrides what probes say.
    func state(_ instance: InstanceSpec) -> (state: InstanceState, cause: String?) {
        if instance.isDraining { return (.draining, nil) }
        let status = control.prober.status(instance.key)
        return (status.state, status.cause)
    }
}
