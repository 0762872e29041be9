import Registry

extension Metrics {
    static func docker(_ sources: [DockerSource], _ page: inout MetricsText) {
        func each(_ field: (DockerSource) -> Double) -> [([String: String], Double)] {
            sources.map { (["registry": $0.name], field($0)) }
        }
        page.gauge("meshd_docker_containers", "Containers that are instances.", each { Double($0.counters.instances) })
        page.counter("meshd_docker_reads_total", "Whole readings of the engine.", each { Double($0.counters.reads) })
        page.counter("meshd_docker_failures_total", "Attempts that failed.", each { Double($0.counters.failures) })
        page.counter("meshd_docker_events_total", "Events of the engine.", each { Double($0.counters.events) })
        page.counter("meshd_docker_inspects_total", "Containers looked at.", each { Double($0.counters.inspects) })
        page.gauge(
            "meshd_docker_malformed_containers", "Containers that cannot be instances; status names them.",
            each { Double($0.counters.malformedContainers) })
        page.gauge(
            "meshd_docker_held_instances", "Instances in force that the engine lost all at once.",
            each { Double($0.counters.heldInstances) })
        page.gauge(
            "meshd_docker_stopping_instances", "Instances whose containers were told to end and still run.",
            each { Double($0.counters.stoppingInstances) })
        page.counter(
            "meshd_docker_commands_total", "Commands begun in containers.", each { Double($0.commands.started) })
        page.gauge(
            "meshd_docker_commands_waiting", "Commands that wait for others to end.",
            each { Double($0.commands.waitingCount) })
    }

    static func announcing(_ agent: NodeAgent?, _ page: inout MetricsText) {
        func of(_ field: (NodeAgent.Counters) -> Double) -> [([String: String], Double)] {
            agent.map { [(["registry": $0.registry], field($0.counters))] } ?? []
        }
        page.gauge(
            "meshd_announced_instances", "Instances of this node that it announces.", of { Double($0.announced) })
        page.gauge(
            "meshd_unannounced_instances", "Instances of this node that others could not reach.",
            of { Double($0.unreachable.count) })
        page.counter("meshd_announce_failures_total", "Attempts to announce that failed.", of { Double($0.failures) })
        page.gauge(
            "meshd_announce_failing", "1 while the registry does not have what is announced.",
            of { $0.problem == nil ? 0 : 1 })
    }
}
