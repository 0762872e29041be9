import AliasDNS
import HealthProber
import L4Proxy
import L7Router
import MeshCore
import Registry
import Reactor

/// The metrics page (Prometheus text exposition format 0.0.4). Every metric's name is here and nowhere else.
enum Metrics {
    static func page(_ state: NodeState) -> String {
        var page = MetricsText()
        node(state, &page)
        http(state.reports.map(\.http), &page)
        tls(state, &page)
        http2(state.reports.map(\.http.http2), &page)
        relay(state.reports.map(\.relay), &page)
        datagrams(state.reports.map(\.datagrams), &page)
        proxies(state.reports.map(\.proxy), &page)
        workers(state.reports, &page)
        instances(state, &page)
        drains(state, &page)
        registries(state, &page)
        probes(state, &page)
        limits(state, &page)
        publishedPorts(state, &page)
        shortages(state.reports, &page)
        accessLog(state, &page)
        if let dns = state.dns { names(dns, &page) }
        return page.text
    }

    private static func node(_ state: NodeState, _ page: inout MetricsText) {
        page.gauge("meshd_info", "Version and node name.", [(["version": Version.text, "node": state.node], 1)])
        page.gauge("meshd_uptime_seconds", "Seconds since start.", Double(state.uptimeNanoseconds) / 1e9)
        page.gauge("meshd_ready", "1 when every worker routes by a snapshot.", state.control.isReady ? 1 : 0)
        page.gauge("meshd_snapshot_generation", "Newest compiled snapshot.", Double(state.control.snapshot.generation))
        page.gauge(
            "meshd_snapshot_compile_seconds", "Time the newest snapshot took to compile.",
            Double(state.control.compileNanoseconds) / 1e9)
        page.gauge(
            "meshd_problems", "Things that could not be had; status names them.", Double(state.control.problems.count))
    }

    private static func publishedPorts(_ state: NodeState, _ page: inout MetricsText) {
        var counts: [StatusPage.Standing: Int] = [:]
        for port in state.control.compiler.published.values.joined() {
            counts[StatusPage.standing(port, state), default: 0] += 1
        }
        page.gauge(
            "meshd_published_ports", "Published ports by how they stand on this node.",
            StatusPage.Standing.allCases.map { (["state": $0.rawValue], Double(counts[$0] ?? 0)) })
    }

    private static func limits(_ state: NodeState, _ page: inout MetricsText) {
        let probes = state.control.prober.counters
        page.gauge(
            "meshd_accept_paused_workers", "Workers that accept no connections, being out of descriptors.",
            Double(state.control.pausedWorkers.count))
        page.counter(
            "meshd_thread_messages_dropped_total", "Messages between threads lost because a loop did not read them.",
            Double(state.messagesDropped))
        page.gauge("meshd_probes_waiting", "Probes that wait for others to end.", Double(probes.waiting))
        page.counter(
            "meshd_probes_not_made_total", "Probes without a verdict, for want of descriptors, ports or buffers.",
            Double(probes.probesNotMade))
    }

    private static func accessLog(_ state: NodeState, _ page: inout MetricsText) {
        let unqueued = state.reports.reduce(0) { $0 + $1.http.accessLinesDropped }
        page.counter(
            "meshd_access_log_lines_total", "Lines of the access log written.", Double(state.accessLog?.written ?? 0))
        page.counter(
            "meshd_access_log_dropped_lines_total", "Lines of the access log lost: queue full, or not written.",
            Double(unqueued + (state.accessLog?.dropped ?? 0)))
    }

    private static func shortages(_ reports: [WorkerReport], _ page: inout MetricsText) {
        func sum(_ field: (ShortageCounters) -> UInt64) -> Double {
            Double(reports.reduce(0) { $0 + field($1.http.shortages) + field($1.relay.shortages) })
        }
        page.counter(
            "meshd_dial_shortages_total", "Dials not made for want of something of this machine's.",
            [
                (["of": "descriptors"], sum(\.descriptors)), (["of": "local_ports"], sum(\.localPorts)),
                (["of": "memory"], sum(\.memory)),
            ])
    }

    private static func http(_ all: [RouterCounters], _ page: inout MetricsText) {
        func sum(_ field: (RouterCounters) -> UInt64) -> Double { Double(all.reduce(0) { $0 + field($1) }) }
        page.counter("meshd_http_connections_total", "Client connections accepted.", sum(\.connectionsAccepted))
        page.gauge("meshd_http_connections", "Client connections open.", sum(\.connectionsOpen))
        page.counter("meshd_http_requests_total", "Requests begun.", sum(\.requests))
        page.counter(
            "meshd_http_responses_total", "Responses by class.",
            [
                (["class": "1xx"], sum(\.responses.0)), (["class": "2xx"], sum(\.responses.1)),
                (["class": "3xx"], sum(\.responses.2)), (["class": "4xx"], sum(\.responses.3)),
                (["class": "5xx"], sum(\.responses.4)),
            ])
        page.counter("meshd_http_answers_made_total", "Answers that meshd made itself.", sum(\.madeHere))
        page.counter("meshd_http_retries_total", "Requests sent again.", sum(\.retries))
        page.counter("meshd_http_malformed_requests_total", "Requests refused as malformed.", sum(\.malformedRequests))
        page.counter(
            "meshd_http_malformed_responses_total", "Responses refused as malformed.", sum(\.malformedResponses))
        page.counter("meshd_http_client_aborts_total", "Exchanges whose client left.", sum(\.clientAborts))
        page.counter("meshd_http_cut_responses_total", "Responses that could not be finished.", sum(\.cutResponses))
        page.counter("meshd_http_timeouts_total", "Timeouts of either side.", sum(\.timeouts))
        page.counter(
            "meshd_http_tunnel_idle_timeouts_total", "Upgraded connections ended because they were idle.",
            sum(\.tunnelIdleTimeouts))
        page.counter("meshd_http_upgrades_total", "Connections upgraded.", sum(\.upgrades))
        page.counter("meshd_http_received_bytes_total", "Body bytes from clients.", sum(\.bytesFromClients))
        page.counter("meshd_http_sent_bytes_total", "Bytes to clients.", sum(\.bytesToClients))
        page.counter("meshd_upstream_connections_total", "Connections to instances.", sum(\.instanceConnectionsOpened))
        page.gauge("meshd_upstream_connections", "Connections to instances open.", sum(\.instanceConnectionsOpen))
        page.counter("meshd_upstream_dial_failures_total", "Dials for HTTP that failed.", sum(\.dialFailures))
        page.counter(
            "meshd_upstream_unanswered_total", "Connections to instances that acknowledged nothing any more.",
            sum(\.unanswered))
        page.counter("meshd_buffers_refused_total", "Buffer leases refused at the limit.", sum(\.buffersRefused))
        latency(all, &page)
    }

    private static func http2(_ all: [HTTP2Counters], _ page: inout MetricsText) {
        func sum(_ field: (HTTP2Counters) -> UInt64) -> Double { Double(all.reduce(0) { $0 + field($1) }) }
        page.counter("meshd_http2_connections_total", "Client connections that speak HTTP/2.", sum(\.connections))
        page.gauge("meshd_http2_connections", "Client connections that speak HTTP/2, open.", sum(\.connectionsOpen))
        page.counter("meshd_http2_streams_total", "Streams that clients have opened.", sum(\.streams))
        page.gauge("meshd_http2_streams", "Streams open.", sum(\.streamsOpen))
        page.counter(
            "meshd_http2_upstream_streams_total", "Requests sent to instances by HTTP/2.", sum(\.upstreamStreams))
        page.counter(
            "meshd_http2_tunnels_refused_total", "Times that an instance had no stream left for another tunnel.",
            sum(\.tunnelsRefused))
        page.counter(
            "meshd_http2_resets_total", "Streams reset, by who did it.",
            [(["by": "client"], sum(\.resetsReceived)), (["by": "meshd"], sum(\.resetsSent))])
        page.counter(
            "meshd_http2_connections_ended_total", "Connections ended for what the client did, by cause.",
            [
                (["cause": "rapid_reset"], sum(\.rapidResets)), (["cause": "frame_flood"], sum(\.frameFloods)),
                (["cause": "head_flood"], sum(\.headFloods)), (["cause": "timeout"], sum(\.timeouts)),
            ])
        page.counter(
            "meshd_http2_protocol_errors_total", "Frames and fields that break the protocol.", sum(\.protocolErrors))
    }

    private static func latency(_ all: [RouterCounters], _ page: inout MetricsText) {
        var buckets = [UInt64](repeating: 0, count: RouterCounters.latencyBounds.count + 1)
        for counters in all {
            for index in buckets.indices { buckets[index] += counters.latencyBuckets[index] }
        }
        page.histogram(
            "meshd_http_request_duration_seconds", "From a whole head to the end of the response.",
            bounds: RouterCounters.latencyBounds.map { Double($0) / 1e9 }, buckets: buckets,
            sum: Double(all.reduce(0) { $0 &+ $1.latencySumNanoseconds }) / 1e9)
    }

    private static func relay(_ all: [RelayCounters], _ page: inout MetricsText) {
        func sum(_ field: (RelayCounters) -> UInt64) -> Double { Double(all.reduce(0) { $0 + field($1) }) }
        page.counter("meshd_tcp_sessions_total", "Relayed connections accepted.", sum(\.sessionsAccepted))
        page.gauge("meshd_tcp_sessions", "Relayed connections open.", sum(\.sessionsOpen))
        page.counter(
            "meshd_tcp_sessions_refused_total", "Ended because no instance could be reached.", sum(\.sessionsRefused))
        page.counter("meshd_tcp_dial_failures_total", "Dials for relaying that failed.", sum(\.dialFailures))
        page.counter("meshd_tcp_idle_timeouts_total", "Ended by the idle timeout.", sum(\.idleTimeouts))
        page.counter("meshd_tcp_resets_total", "Ended by a reset.", sum(\.resets))
        page.counter(
            "meshd_tcp_unanswered_total", "Ended because one side acknowledged nothing any more.", sum(\.unanswered))
        page.counter("meshd_tcp_received_bytes_total", "Bytes from clients.", sum(\.bytesFromClients))
        page.counter("meshd_tcp_sent_bytes_total", "Bytes to clients.", sum(\.bytesToClients))
    }

    private static func datagrams(_ all: [DatagramCounters], _ page: inout MetricsText) {
        func sum(_ field: (DatagramCounters) -> UInt64) -> Double { Double(all.reduce(0) { $0 + field($1) }) }
        page.counter("meshd_udp_flows_total", "UDP flows begun.", sum(\.flowsBegun))
        page.gauge("meshd_udp_flows", "UDP flows open.", sum(\.flowsOpen))
        page.counter("meshd_udp_flows_evicted_total", "Ended at the limit to make room.", sum(\.flowsEvicted))
        page.counter("meshd_udp_flows_moved_total", "Ended because their instance left.", sum(\.flowsMoved))
        page.counter(
            "meshd_udp_flow_failures_total", "Ended because the instance was unreachable.", sum(\.flowFailures))
        page.counter(
            "meshd_udp_dropped_datagrams_total", "Datagrams that went nowhere.",
            [
                (["cause": "limit"], sum(\.droppedAtLimit)), (["cause": "no_instance"], sum(\.droppedWithoutInstance)),
                (["cause": "socket"], sum(\.droppedBySocket)),
            ])
        page.counter("meshd_udp_received_datagrams_total", "Datagrams from clients.", sum(\.datagramsFromClients))
        page.counter("meshd_udp_sent_datagrams_total", "Datagrams to clients.", sum(\.datagramsToClients))
        page.counter("meshd_udp_received_bytes_total", "Bytes from clients.", sum(\.bytesFromClients))
        page.counter("meshd_udp_sent_bytes_total", "Bytes to clients.", sum(\.bytesToClients))
    }

    private static func proxies(_ all: [ProxyCounters], _ page: inout MetricsText) {
        page.counter(
            "meshd_proxy_headers_total", "PROXY headers taken from trusted peers.",
            Double(all.reduce(0) { $0 + $1.headers }))
        page.counter(
            "meshd_proxy_headers_refused_total", "Connections closed for a broken or late PROXY header.",
            Double(all.reduce(0) { $0 + $1.refused }))
    }

    private static func workers(_ reports: [WorkerReport], _ page: inout MetricsText) {
        func each(_ field: (WorkerReport) -> Int) -> [([String: String], Double)] {
            reports.map { (["worker": "\($0.worker)"], Double(field($0))) }
        }
        page.counter("meshd_worker_turns_total", "Turns of the event loop.", each { Int($0.turns) })
        page.gauge("meshd_worker_buffer_bytes", "Bytes leased from the buffer pool.", each(\.bufferBytes))
        page.gauge("meshd_worker_handlers", "Descriptors and timers on the loop.", each(\.handlers))
    }

    private static func instances(_ state: NodeState, _ page: inout MetricsText) {
        let states = InstanceState.allCases.sorted { $0.rawValue < $1.rawValue }
        var samples: [([String: String], Double)] = []
        for (name, entry) in state.control.catalogue.entries.sorted(by: { $0.key < $1.key }) {
            var counts = state.control.prober.counts(service: name)
            for instance in entry.instances where instance.isDraining {
                counts[state.control.prober.state(instance.key), default: 1] -= 1
                counts[.draining, default: 0] += 1
            }
            for possible in states {
                samples.append((["service": name, "state": possible.rawValue], Double(counts[possible] ?? 0)))
            }
        }
        page.gauge("meshd_instances", "Instances by service and state.", samples)
    }

    private static func drains(_ state: NodeState, _ page: inout MetricsText) {
        let done = state.drains.values.count(where: \.isDone)
        page.gauge(
            "meshd_drains", "Drain orders in force, by whether anything is in flight from this node.",
            [(["state": "done"], Double(done)), (["state": "waiting"], Double(state.drains.count - done))])
    }

    private static func registries(_ state: NodeState, _ page: inout MetricsText) {
        func each(_ field: (SourceStatus) -> Double) -> [([String: String], Double)] {
            state.sources.map { (["registry": $0.name], field($0)) }
        }
        page.counter("meshd_registry_events_total", "Events received.", each { Double($0.events) })
        page.counter("meshd_registry_read_failures_total", "Reads that failed.", each { Double($0.failures) })
        page.gauge(
            "meshd_registry_last_read_failed", "1 while the last good state is in force because the newest was not.",
            each { $0.problem == nil ? 0 : 1 })
        page.gauge(
            "meshd_registry_age_seconds", "Seconds since the last good state.",
            each { source in source.ageNanoseconds(state.nowNanoseconds).map { Double($0) / 1e9 } ?? -1 })
        page.gauge(
            "meshd_registry_from_disk", "1 while the catalogue kept on disk is in force.",
            each { $0.isFromDisk ? 1 : 0 })
        page.counter(
            "meshd_registry_keep_failures_total", "Catalogues that could not be written to disk.",
            Double(state.keepFailures))
        etcd(state.sources.compactMap(\.etcd), &page)
        docker(state.sources.compactMap(\.docker), &page)
        announcing(state.agent, &page)
    }

    private static func etcd(_ sources: [EtcdSource], _ page: inout MetricsText) {
        func each(_ field: (EtcdSource.Counters) -> Double) -> [([String: String], Double)] {
            sources.map { (["registry": $0.name], field($0.counters)) }
        }
        page.gauge("meshd_etcd_revision", "Revision up to which everything is known.", each { Double($0.revision) })
        page.counter("meshd_etcd_reads_total", "Whole readings of the prefix.", each { Double($0.reads) })
        page.counter("meshd_etcd_watches_total", "Watches begun.", each { Double($0.watches) })
        page.counter("meshd_etcd_failures_total", "Attempts that failed.", each { Double($0.failures) })
        page.counter("meshd_etcd_changes_total", "Changes of keys taken in.", each { Double($0.changes) })
        page.counter("meshd_etcd_vips_claimed_total", "VIPs claimed for services.", each { Double($0.vipsClaimed) })
        page.counter(
            "meshd_etcd_ports_claimed_total", "Numbers claimed for published ports.", each { Double($0.portsClaimed) })
        page.gauge(
            "meshd_etcd_malformed_entries", "Keys that cannot be read; status names them.",
            each { Double($0.malformedEntries) })
        page.gauge(
            "meshd_etcd_held_instances", "Instances in force that etcd lost all at once.",
            each { Double($0.heldInstances) })
    }

    private static func probes(_ state: NodeState, _ page: inout MetricsText) {
        let counters = state.control.prober.counters
        page.counter("meshd_probes_passed_total", "Probes passed.", Double(counters.probesPassed))
        page.counter("meshd_probes_failed_total", "Probes failed, timeouts included.", Double(counters.probesFailed))
        page.counter("meshd_probes_timed_out_total", "Probes failed at their timeout.", Double(counters.probesTimedOut))
    }

    private static func names(_ dns: AliasDNSCounters, _ page: inout MetricsText) {
        page.counter(
            "meshd_dns_queries_total", "Queries by transport.",
            [(["transport": "udp"], Double(dns.queriesUDP)), (["transport": "tcp"], Double(dns.queriesTCP))])
        page.counter(
            "meshd_dns_answers_total", "Answers by code.",
            [
                (["code": "NOERROR"], Double(dns.noError)), (["code": "FORMERR"], Double(dns.formatErrors)),
                (["code": "SERVFAIL"], Double(dns.serverFailures)), (["code": "NXDOMAIN"], Double(dns.noSuchName)),
                (["code": "NOTIMP"], Double(dns.notImplemented)), (["code": "REFUSED"], Double(dns.refused)),
                (["code": "BADVERS"], Double(dns.badVersion)), (["code": "other"], Double(dns.otherRcode)),
            ])
        page.counter("meshd_dns_forwarded_total", "Queries forwarded.", Double(dns.forwarded))
        page.counter(
            "meshd_dns_forward_timeouts_total", "Forwarded queries without an answer.", Double(dns.forwardTimeouts))
        page.counter(
            "meshd_dns_forward_failures_total", "Attempts at an upstream that failed other than by time.",
            Double(dns.forwardFailures))
        page.counter(
            "meshd_dns_foreign_replies_total", "Messages from upstreams that matched no question.",
            Double(dns.foreignReplies))
        page.counter(
            "meshd_dns_clients_closed_total", "TCP clients whose connection was ended here.",
            Double(dns.clientsClosed))
        page.counter("meshd_dns_truncated_total", "Answers cut to the client's UDP size.", Double(dns.truncated))
        page.counter("meshd_dns_dropped_total", "Datagrams that got no answer.", Double(dns.dropped))
        page.counter(
            "meshd_dns_forward_overflows_total", "Queries refused because too many were being forwarded.",
            Double(dns.forwardOverflows))
        page.counter("meshd_dns_malformed_total", "Queries that could not be read.", Double(dns.malformed))
    }
}

/// Lines of the text format.
struct MetricsText {
    private(set) var text = ""

    mutating func counter(_ name: String, _ help: String, _ value: Double) {
        write(name, help, "counter", [([:], value)])
    }

    mutating func counter(_ name: String, _ help: String, _ values: [([String: String], Double)]) {
        write(name, help, "counter", values)
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Double) { write(name, help, "gauge", [([:], value)]) }

    mutating func gauge(_ name: String, _ help: String, _ values: [([String: String], Double)]) {
        write(name, help, "gauge", values)
    }

    mutating func histogram(_ name: String, _ help: String, bounds: [Double], buckets: [UInt64], sum: Double) {
        head(name, help, "histogram")
        var total: UInt64 = 0
        for (index, count) in buckets.enumerated() {
            total += count
            let bound = index < bounds.count ? "\(bounds[index])" : "+Inf"
            line("\(name)_bucket", ["le": bound], Double(total))
        }
        line("\(name)_sum", [:], sum)
        line("\(name)_count", [:], Double(total))
    }

    private mutating func write(_ name: String, _ help: String, _ kind: String, _ values: [([String: String], Double)])
    {
        head(name, help, kind)
        for (labels, value) in values { line(name, labels, value) }
    }

    private mutating func head(_ name: String, _ help: String, _ kind: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
    }

    private mutating func line(_ name: String, _ labels: [String: String], _ value: Double) {
        text += name
        if !labels.isEmpty {
            let parts = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }
            text += "{" + parts.joined(separator: ",") + "}"
        }
        // Whole numbers without a fraction, as people expect of counts.
        text += value == value.rounded() && abs(value) < 1e15 ? " \(Int(value))\n" : " \(value)\n"
    }

    private static func escaped(_ value: String) -> String {
        var result = ""
        for character in value {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
        return result
    }
}
