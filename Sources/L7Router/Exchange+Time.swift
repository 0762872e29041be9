import Reactor

// How long either side is waited for.

extension Exchange {
    /// From the sent request to the head of the response: what the caller of a gRPC call allows, else the setting.
    var headTimeout: UInt64 { callDeadline == .max ? worker.options.responseTimeout : untilCallDeadline }

    /// Between two pieces of a body. A gRPC stream may be as silent as an idle tunnel, up to the caller's deadline.
    var silenceTimeout: UInt64 {
        guard isGRPC else { return worker.options.bodyTimeout }
        let idle = worker.options.tunnelIdleTimeout
        return min(idle == 0 ? .max : max(idle, worker.options.bodyTimeout), untilCallDeadline)
    }

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
