import L7Router
import Reactor

extension Metrics {
    static func tls(_ state: NodeState, _ page: inout MetricsText) {
        let all = state.reports.map(\.tls)
        func sum(_ field: (TLSCounters) -> UInt64) -> Double { Double(all.reduce(0) { $0 + field($1) }) }
        page.counter("meshd_tls_handshakes_total", "TLS handshakes completed.", sum(\.handshakes))
        page.counter("meshd_tls_resumed_total", "Handshakes that a ticket shortened.", sum(\.resumed))
        page.counter(
            "meshd_tls_handshake_failures_total", "Handshakes that came to no end, by cause.",
            [
                (["cause": "refused"], sum(\.failed)), (["cause": "abandoned"], sum(\.abandoned)),
                (["cause": "timeout"], sum(\.timedOut)), (["cause": "limit"], sum(\.crowdedOut)),
            ])
        page.gauge("meshd_tls_handshakes", "Handshakes under way.", sum(\.underWay))
        page.counter(
            "meshd_tls_passed_through_total", "Sessions relayed by their server name.", sum(\.passedThrough))
        let now = Int64(WallClock.nowNanoseconds() / 1_000_000_000)
        page.gauge(
            "meshd_tls_certificate_expiry_seconds", "Seconds until a certificate ends.",
            state.certificates.map { (["certificate": $0.label], Double($0.notAfter - now)) })
    }
}
