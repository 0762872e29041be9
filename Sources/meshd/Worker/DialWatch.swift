import MeshCore
import Reactor

/// Passes on what dials tell of instances: each failure, and the first success after a failure on any worker.
///
/// Failures count in a row over all workers, so a success matters on each of them, but only while failures are pending:
/// the control loop says when that is (`watchDials`). A dial that succeeds otherwise costs no message.
final class DialWatch {
    private let control: Mailbox<ControlMessage>
    /// Endpoints whose next success is news.
    private var failing: Set<Int32> = []

    init(_ control: Mailbox<ControlMessage>) { self.control = control }

    func dialed(_ endpoint: Endpoint, _ failure: SystemError?) {
        if let failure {
            failing.insert(endpoint.id)
            control.post(.dialFailed(id: endpoint.id, cause: "\(failure)"))
        } else if !failing.isEmpty, failing.remove(endpoint.id) != nil {
            control.post(.dialSucceeded(id: endpoint.id))
        }
    }

    func watch(_ id: Int32) { failing.insert(id) }

    func forgetGone(_ snapshot: Snapshot) {
        if !failing.isEmpty { failing = failing.filter { snapshot.incarnations[Int($0)] != 0 } }
    }
}
