import MeshCore
import Registry

extension StatusPage {
    static func announcing(_ agent: NodeAgent) -> JSON {
        .object([
            ("registry", .string(agent.registry)), ("instances", .int(agent.counters.announced)),
            ("unreachable", .array(agent.counters.unreachable.map { .string($0.description) })),
            ("problem", .optional(agent.counters.problem)),
        ])
    }

    static func announcingLines(_ agent: NodeAgent) -> [String] {
        let problem = agent.counters.problem.map { ", FAILED: \($0)" } ?? ""
        return ["announcing \(agent.counters.announced) instances in \(agent.registry)\(problem)"]
            + agent.counters.unreachable.map { "  not announced: \($0), on its machine's own network" }
    }

    static func docker(_ source: DockerSource) -> [(String, JSON)] {
        [
            ("containers", .int(source.counters.instances)), ("heldInstances", .int(source.counters.heldInstances)),
            ("malformedContainers", .int(source.counters.malformedContainers)),
            ("malformed", .array(source.malformedContainers(limit: malformedLimit).map { .string($0) })),
        ]
    }

    static func dockerLines(_ source: DockerSource) -> [String] {
        var lines = ["  \(source.counters.instances) containers of the mesh"]
        if source.counters.heldInstances > 0 {
            lines.append("  held in force: \(source.counters.heldInstances) instances that went all at once")
        }
        lines += source.malformedContainers(limit: malformedLimit).map { "  malformed: \($0)" }
        let more = source.counters.malformedContainers - malformedLimit
        return more > 0 ? lines + ["  malformed: \(more) more"] : lines
    }
}
