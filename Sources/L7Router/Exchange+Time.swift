import MeshCore
import Reactor

// How long either side is waited for.

extension Exchange {
    /// From the sent request to the head of the response: what the caller of a gRPC call allows, else the setting.
    var headTimeout: UInt64 { callDeadline == .max ? worker.options.responseTimeout : untilCallDeadline }

    /// An instance that is silent for so long is looked at: whether its machine is still there.
    private static let lookNanoseconds: UInt64 = 3_000_000_000

    /// From now on the instance owes the head of its response.
    func awaitAnswer(_ instance: InstanceConnection, _ nanoseconds: UInt64) {
        answerDue = loop.nowNanoseconds.addingWithSaturation(nanoseconds)
        loop.setDeadline(instance, after: min(nanoseconds, Self.lookNanoseconds))
    }

    /// An instance whose machine is gone without a word, or the way to it, says no end. What it was asked may be asked
    /// elsewhere long before its time is over.
    func look() {
        guard let instance else { return }
        guard instance.isUnanswered else {
            instance.keepAlive()
            return loop.setDeadline(instance, after: min(answerDue - loop.nowNanoseconds, Self.lookNanoseconds))
        }
        worker.counters.unanswered += 1
        let failure = SystemError("send", SystemError.timedOut)
        if let endpoint {
            worker.dialed(endpoint, failure)
            tried.insert(endpoint.id)
        }
        if instance.giveUp() { return }
        instanceFailed(failure)
    }

    /// Between two pieces of a body. A gRPC stream may be as silent as an idle tunnel, up to the caller's deadline.
    var silenceTimeout: UInt64 {
        guard isGRPC else { return worker.options.bodyTimeout }
        let idle = worker.options.tunnelIdleTimeout
        return min(idle == 0 ? .max : max(idle, worker.options.bodyTimeout), untilCallDeadline)
    }

    /// For a connection to an instance.
    var dialTimeout: UInt64 { min(worker.options.connectTimeout, untilCallDeadline) }

    var isPastCallDeadline: Bool { untilCallDeadline == 0 }

    private var untilCallDeadline: UInt64 {
        guard callDeadline != .max else { return .max }
        return callDeadline > loop.nowNanoseconds ? callDeadline - loop.nowNanoseconds : 0
    }
}

extension UInt64 {
    /// The largest value where the sum is larger.
    func addingWithSaturation(_ other: UInt64) -> UInt64 {
        let (sum, isTooLarge) = addingReportingOverflow(other)
        return isTooLarge ? .max : sum
    }
}
