/// Every name of meshd's outer surface that these tests lean on and that could be spelled otherwise.
enum Flag {
    static let headTimeout = "--head-timeout-seconds"
    static let idleTimeout = "--idle-timeout-seconds"
    static let bodyTimeout = "--body-timeout-seconds"
    static let connectTimeout = "--connect-timeout-seconds"
    static let responseTimeout = "--response-timeout-seconds"
    static let grace = "--grace-seconds"
}

enum Metric {
    static let lastReadFailed = "meshd_registry_last_read_failed"
    /// Parts of names that `/metrics` must show at least once each.
    static let kinds = [
        "requests_total", "responses_total", "_bucket{", "connections", "bytes", "instances", "generation",
    ]
}

/// Error types of RFC 9209 section 2.3 as meshd spells them in `Proxy-Status`.
enum ProxyError {
    static let badRequest = "http_request_error"
    static let unknownHost = "destination_not_found"
    static let unavailable = "destination_unavailable"
    static let refused = "connection_refused"
    static let connectTimeout = "connection_timeout"
    static let incomplete = "http_response_incomplete"
    static let responseTimeout = "http_response_timeout"
    static let protocolError = "http_protocol_error"
}

/// How `status` names the states of instances.
enum InstanceState {
    static func isServing(_ state: String?) -> Bool { ["healthy", "up", "ready"].contains(state) }

    static func isStarting(_ state: String?) -> Bool { state == "starting" }

    /// Listed, and neither serving nor starting.
    static func isOut(_ state: String?) -> Bool { state != nil && !isServing(state) && !isStarting(state) }
}
