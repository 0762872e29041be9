/// A Compose catalogue as text.
struct Catalogue {
    var services: [Service] = []

    struct Service {
        var name: String
        var labels: [(String, String)] = []
        /// Short forms as text, long ones as `{…}`.
        var ports: [String] = []
        /// Container ports that are not published.
        var expose: [String] = []
        var instances: [String] = []
        /// Host and ports of a service outside the cluster.
        var external: (host: String, ports: [UInt16])?

        /// A service whose container port 8080 is routed by `routes` and found at the given instances.
        static func web(_ name: String, _ routes: String, _ instances: [HTTPInstance]) -> Service {
            Service(
                name: name, labels: [("aliyun.routing.port_8080", routes)], instances: instances.map(\.address))
        }

        /// A service that is only a TCP port 7000, on its VIP.
        static func tcp(_ name: String, _ instances: [TCPInstance]) -> Service {
            Service(
                name: name, labels: [("mesh.vip.7000.protocol", "tcp")], expose: ["7000"],
                instances: instances.map(\.address))
        }

        func label(_ key: String, _ value: String) -> Service {
            var copy = self
            copy.labels.append((key, value))
            return copy
        }

        func publishing(_ port: UInt16, to containerPort: UInt16) -> Service {
            var copy = self
            copy.ports.append("\(port):\(containerPort)")
            return copy
        }

        /// A fast probe: `HTTPInstance.probePath`, every 0.2 s, back after one pass.
        func probed(delay: String = "0", timeout: String = "2") -> Service {
            label("aliyun.probe.url", "http://container:8080\(HTTPInstance.probePath)")
                .label("aliyun.probe.initial_delay_seconds", delay)
                .label("aliyun.probe.timeout_seconds", timeout)
                .label("mesh.probe.interval_seconds", "0.2")
                .label("mesh.probe.rise", "1")
        }

        var lines: [String] {
            var lines = ["  \(name):", "    image: example/\(name)"]
            if !labels.isEmpty {
                lines.append("    labels:")
                lines += labels.map { "      \($0.0): \"\($0.1)\"" }
            }
            if !ports.isEmpty {
                lines.append("    ports:")
                lines += ports.map { $0.hasPrefix("{") ? "      - \($0)" : "      - \"\($0)\"" }
            }
            if !expose.isEmpty { lines.append("    expose: [\(expose.joined(separator: ", "))]") }
            if let external {
                lines += ["    external:", "      host: \(external.host)", "      ports:"]
                lines += external.ports.map { "        - \($0)" }
            }
            if !instances.isEmpty {
                lines.append("    x-mesh-instances:")
                lines += instances.map { $0.hasPrefix("{") ? "      - \($0)" : "      - \"\($0)\"" }
            }
            return lines
        }
    }

    init(_ services: [Service]) { self.services = services }

    var text: String {
        guard !services.isEmpty else { return "version: \"2\"\nservices: {}\n" }
        return (["version: \"2\"", "services:"] + services.flatMap(\.lines)).joined(separator: "\n") + "\n"
    }

    subscript(_ name: String) -> Service {
        get { services.first { $0.name == name } ?? Service(name: name) }
        set {
            services.removeAll { $0.name == name }
            services.append(newValue)
        }
    }
}
