import NetAddress

/// The demo's sample catalogue: a Compose file as an operator would write it.
struct DemoCatalogue {
    /// The container port of every service: above 1024, so that VIP ports need no privilege.
    static let containerPort: UInt16 = 8000

    let publishedPort: UInt16
    /// Service → its instances.
    let instances: [String: [DemoInstance]]

    private static let routes = [
        "restserver": "restserver.local;api.company.com", "shopping": "shopping.company.com",
        "payment": "payment.company.com;shopping.company.com/pay", "catchall": "*.company.com",
    ]

    var text: String {
        var lines = ["# A Compose file; meshd reads labels, ports and x-mesh-instances.", "services:"]
        for name in Self.routes.keys.sorted() {
            lines += [
                "  \(name):", "    labels:",
                "      aliyun.routing.port_\(Self.containerPort): \"\(Self.routes[name]!)\"",
            ]
            lines += [
                "      aliyun.probe.url: http://container:\(Self.containerPort)/",
                "      mesh.probe.interval_seconds: \"0.5\"",
            ]
            if name == "restserver" { lines += ["    ports: [\"127.0.0.1:\(publishedPort):\(Self.containerPort)\"]"] }
            let list = (instances[name] ?? []).map { "\"\($0.address)\"" }.joined(separator: ", ")
            lines.append("    x-mesh-instances: [\(list)]")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
