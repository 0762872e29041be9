import AliasDNS
import HealthProber
import MeshCore
import Reactor
import Registry

/// How a source stands: when it was last heard, and what is wrong with it.
struct SourceStatus {
    let name: String
    var lastEventNanoseconds: UInt64?
    var problem: String?
    var events = 0
    var failures = 0
    /// Where the source is etcd.
    var etcd: EtcdSource?
}

/// What the admin pages show, taken at one moment on the control loop.
struct NodeState {
    let node: String
    let nowNanoseconds: UInt64
    let uptimeNanoseconds: UInt64
    let control: ControlPlane
    let sources: [SourceStatus]
    let reports: [WorkerReport]
    let dns: AliasDNSCounters?
    /// What a request that no route takes is answered.
    let unknownHostStatus: Int
    /// Certificates in force with the second (since 1970) in which each ends.
    let certificates: [(label: String, notAfter: Int64)]

    /// In flight by endpoint id, over all workers that reported.
    func inFlight() -> [Int32: Int] {
        reports.reduce(into: [:]) { $0.merge($1.inFlight, uniquingKeysWith: +) }
    }

    /// In flight by instance.
    func inFlightByInstance() -> [InstanceKey: Int] {
        var sums: [InstanceKey: Int] = [:]
        for (id, count) in inFlight() {
            if let owner = control.compiler.endpointOwner(id) { sums[owner.instance, default: 0] += count }
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
