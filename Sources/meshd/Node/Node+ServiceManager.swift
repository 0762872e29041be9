import MeshCore
import Reactor
import Registry

/// What the service manager hears of the node, and the reload that it may ask for.
extension Node {
    func becameReady() {
        isManagerTold = true
        manager.ready()
    }

    func installedEverywhere(_ generation: UInt64) {
        guard !isStopping, isManagerTold else { return }
        guard let end = reloadEnd, generation >= end else { return manager.statusChanged() }
        reloadEnd = nil
        manager.ready()
    }

    /// For the service manager, one line.
    var statusText: String {
        let count = control.problems.count
        let problems = count == 0 ? "no problems" : count == 1 ? "1 problem" : "\(count) problems"
        let phase = isStopping ? "stopping" : control.isReady ? "serving" : "starting"
        return "\(phase), \(control.catalogue.entries.count) services, generation \(control.snapshot.generation), "
            + problems + (sourceStatus.contains { $0.problem != nil } ? ", a catalogue is broken" : "")
    }

    /// Reads every catalogue file and certificate at once. The service manager hears that it began, and that it ended
    /// when every worker routes by what was read.
    func reload() {
        guard !isStopping, isManagerTold else { return }
        Log.info("reloading")
        manager.reloading()
        for source in sources { (source as? FileSource)?.refresh() }
        certificates?.reload()
        control.compile()
        reloadEnd = control.snapshot.generation
        if let oldest = control.installed.min() { installedEverywhere(oldest) }
    }
}
