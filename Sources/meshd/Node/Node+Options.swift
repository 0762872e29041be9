import Configuration
import HTTPCodec
import L4Proxy
import L7Router
import MeshCore
import Reactor

extension Node {
    private func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(seconds * 1e9) }

    func routerOptions() -> RouterOptions {
        var options = RouterOptions()
        options.limits = MessageLimits(
            targetBytes: min(8192, settings.maxHeadBytes), fields: settings.maxHeaders, headBytes: settings.maxHeadBytes
        )
        options.headTimeout = nanoseconds(settings.headTimeoutSeconds)
        options.bodyTimeout = nanoseconds(settings.bodyTimeoutSeconds)
        options.connectTimeout = nanoseconds(settings.connectTimeoutSeconds)
        options.responseTimeout = nanoseconds(settings.responseTimeoutSeconds)
        options.idleTimeout = nanoseconds(settings.idleTimeoutSeconds)
        options.instanceIdleTimeout = nanoseconds(settings.upstreamIdleTimeoutSeconds)
        options.tunnelIdleTimeout = nanoseconds(settings.tunnelIdleTimeoutSeconds)
        options.retries = settings.retries
        options.dialAttempts = settings.dialAttempts
        options.unknownHostStatus = settings.unknownHostStatus
        options.http2.concurrentStreams = settings.http2ConcurrentStreams
        options.http2.resetsPerSecond = settings.http2ResetsPerSecond
        options.http2.controlFramesPerSecond = settings.http2ControlFramesPerSecond
        options.forwarding = forwardingOptions()
        options.sessionKey = SessionKey(secret: settings.sessionSecret ?? "")
        if settings.tls.hstsMaxAgeSeconds > 0 {
            options.transportSecurity = TransportSecurity(maxAge: UInt32(clamping: settings.tls.hstsMaxAgeSeconds))
        }
        options.httpsPort = UInt16(clamping: settings.tls.redirectPort)
        return options
    }

    private func forwardingOptions() -> ForwardingOptions {
        var options = ForwardingOptions()
        options.fields =
            switch settings.forwardingHeaders {
            case .xForwarded: .xForwarded
            case .forwarded: .forwarded
            case .both: .both
            case .none: .none
            }
        options.trustedProxies = settings.trustedProxies
        options.generatesTraceParent = settings.traceParent == .generate
        options.tellsClientRequestID = settings.tellsClientRequestID
        return options
    }

    func relayOptions() -> RelayOptions {
        var options = RelayOptions()
        options.connectTimeout = nanoseconds(settings.connectTimeoutSeconds)
        options.idleTimeout = nanoseconds(settings.tcpIdleTimeoutSeconds)
        options.dialAttempts = settings.dialAttempts
        return options
    }

    func datagramOptions() -> DatagramOptions {
        var options = DatagramOptions()
        options.idleTimeout = nanoseconds(settings.udpIdleTimeoutSeconds)
        options.flowLimit = max(1, settings.maxUDPFlows / settings.workers)
        return options
    }

    func proxyTrust() -> ProxyTrust {
        ProxyTrust(
            networks: settings.proxyProtocolFrom,
            kinds: Set(settings.proxyProtocolOn.compactMap(ListenerPlan.Kind.init(rawValue:))),
            timeoutNanoseconds: nanoseconds(settings.headTimeoutSeconds))
    }

    func accessLogFormat() -> L7Router.AccessLog.Format {
        switch settings.accessLogFormat {
        case .json: .json
        case .combined: .combined
        }
    }

    /// Opens the file, with a queue for each worker; `nil` without a log.
    func makeLogWriter() throws -> LogWriter? {
        guard let path = accessLogPath() else { return nil }
        let queues = (0..<settings.workers).map { _ in LogQueue() }
        return try Self.naming("--access-log \(path)") { () throws(SystemError) in
            try LogWriter(path: path, queues: queues)
        }
    }

    private func accessLogPath() -> String? {
        switch settings.accessLog {
        case .off: nil
        case .stdout: "stdout"
        case .file(let path): path
        }
    }
}
