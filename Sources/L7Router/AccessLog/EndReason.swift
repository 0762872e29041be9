/// Why an exchange ended: a closed list. Tokens are error types of RFC 9209 section 2.3 where it has one that fits.
enum EndReason: CaseIterable {
    /// The response, whatever its status, was handed to the client whole; or a tunnel was ended by both sides.
    case ok
    /// The client left before the end of the response.
    case clientAbort
    /// The client did not send the rest of its request, or take its response, in time.
    case clientTimeout
    /// An upgraded connection was idle for too long.
    case tunnelIdleTimeout
    /// meshd was stopped before the end.
    case stopped
    case requestError
    case destinationNotFound
    case destinationUnavailable
    case destinationUnroutable
    case connectionRefused
    case connectionTimeout
    /// The instance ended the connection before its response, or that of a tunnel out of order.
    case connectionTerminated
    /// The instance paused for too long within a body.
    case connectionReadTimeout
    case responseTimeout
    /// The instance ended the connection within its response.
    case responseIncomplete
    case protocolError
    case upgradeFailed
    /// The instance had no stream left for another tunnel.
    case connectionLimit
    /// The instance's certificate is not trusted, or is of another name.
    case certificateError
    /// The handshake with the instance failed.
    case tlsError
    /// What the service demands of its instances' certificates cannot be used.
    case configurationError
    /// No buffer was left (`buffer-limit-mib`).
    case internalResponse
    /// A shortage of the machine's: descriptors, local ports, memory.
    case internalError

    var token: StaticString {
        switch self {
        case .ok: "ok"
        case .clientAbort: "client_abort"
        case .clientTimeout: "client_timeout"
        case .tunnelIdleTimeout: "tunnel_idle_timeout"
        case .stopped: "stopped"
        case .requestError: "http_request_error"
        case .destinationNotFound: "destination_not_found"
        case .destinationUnavailable: "destination_unavailable"
        case .destinationUnroutable: "destination_ip_unroutable"
        case .connectionRefused: "connection_refused"
        case .connectionTimeout: "connection_timeout"
        case .connectionTerminated: "connection_terminated"
        case .connectionReadTimeout: "connection_read_timeout"
        case .responseTimeout: "http_response_timeout"
        case .responseIncomplete: "http_response_incomplete"
        case .protocolError: "http_protocol_error"
        case .upgradeFailed: "http_upgrade_failed"
        case .connectionLimit: "connection_limit_reached"
        case .certificateError: "tls_certificate_error"
        case .tlsError: "tls_protocol_error"
        case .configurationError: "proxy_configuration_error"
        case .internalResponse: "proxy_internal_response"
        case .internalError: "proxy_internal_error"
        }
    }

    /// The error of `Proxy-Status` where meshd answers for this reason.
    var proxyStatus: StaticString { self == .clientTimeout ? "http_request_error" : token }
}
