import MeshCore

extension ServiceReader {
    /// Reads the labels of custom routing, `proxy.NAME` (semantics 1.7). What another label says, too, it says better.
    mutating func readProxyLabels(_ labels: inout LabelSet, _ findings: inout Findings) throws(CatalogueProblem) {
        let policyIsSet = labels.has("balance")
        let hosts = labels.take("proxy.VIRTUAL_HOST")
        let excluded = try Self.ports(labels.take("proxy.EXCLUDE_PORTS"))
        let tcp = labels.take("proxy.TCP_PORTS")
        let tcpPorts = try Self.ports(tcp)
        var options = RouteSpec(host: .any, containerPort: 1)
        if let label = labels.take("proxy.VIRTUAL_HOST_WEIGHT") { options.priority = try label.integer(0...1_000_000) }
        if let label = labels.take("proxy.FORCE_SSL"), label.isOn {
            options.transform.redirect = RouteRedirect(.https(port: 443))
        }
        if let label = labels.take("proxy.HSTS_MAX_AGE") {
            options.transform.transportSecurity = try label.text { text throws(TextFault) in
                try RouteOptionText.transportSecurity(text)
            }
        }
        if let label = labels.take("proxy.COOKIE"), !label.value.trimmed().isEmpty { readCookie(label, &findings) }
        if let label = labels.take("proxy.BALANCE") { readBalance(label, policyIsSet, &findings) }
        let checks = (labels.take("proxy.HEALTH_CHECK"), labels.take("proxy.HTTP_CHECK"))
        if let hosts {
            let port = virtualPort(hosts, excluded.union(tcpPorts), &findings)
            try readVirtualHosts(hosts, port, options)
            readChecks(checks.0, checks.1, port, &findings)
        } else if let label = checks.0 ?? checks.1 {
            findings.warn(label.problem("there is no VIRTUAL_HOST, so this has no effect"))
        }
        if let tcp { findings.warnOnce("TCP_PORTS", tcp.problem("publish the port with 'ports'; this has no effect")) }
    }

    private static func ports(_ label: Label?) throws(CatalogueProblem) -> Set<UInt16> {
        guard let label else { return [] }
        var ports: Set<UInt16> = []
        for item in label.value.split(separator: ",") {
            // `2222/ssl`
            let text = item.trimmed().prefix { $0 != "/" }
            guard let port = PortText.port(text) else {
                throw label.problem("\(OneLine.quoted(item)) is not a port (1 to 65535)")
            }
            ports.insert(port)
        }
        return ports
    }

    /// The one port that virtual hosts lead to: 80 where it is among several.
    private mutating func virtualPort(_ label: Label, _ excluded: Set<UInt16>, _ findings: inout Findings) -> UInt16 {
        let ports = tcpPorts.subtracting(excluded).sorted()
        let port = ports.contains(80) ? 80 : ports.first ?? 80
        if ports.count > 1 {
            findings.warn(
                label.problem("of several ports virtual hosts lead to container port \(port); see EXCLUDE_PORTS"))
        }
        tcpPorts.insert(port)
        return port
    }

    private mutating func readVirtualHosts(
        _ label: Label, _ port: UInt16, _ options: RouteSpec
    ) throws(CatalogueProblem) {
        for item in label.value.split(separator: ",") {
            let text = item.trimmed()
            guard !text.isEmpty else { continue }
            var route = try label.text { _ throws(TextFault) in
                try VirtualHostText.parse(text, containerPort: port)
            }
            route.priority = options.priority
            route.transform = options.transform
            if !spec.routes.contains(route) { spec.routes.append(route) }
        }
    }

    private mutating func readCookie(_ label: Label, _ findings: inout Findings) {
        guard isStickySaid else {
            spec.isSticky = true
            return
        }
        if !spec.isSticky { findings.warn(label.problem("routing.session_sticky is there too and is used instead")) }
    }

    private mutating func readBalance(_ label: Label, _ policyIsSet: Bool, _ findings: inout Findings) {
        guard !policyIsSet else { return findings.warn(label.problem("mesh.balance is there too and is used instead")) }
        switch label.value.trimmed().lowercased() {
        case "roundrobin", "static-rr": spec.policy = .weightedRoundRobin
        case "leastconn": spec.policy = .leastConnections
        case "source": spec.policy = .sourceHash
        case let other: findings.warn(label.problem("\(OneLine.quoted(other)) is not served; roundrobin is used"))
        }
    }

    private mutating func readChecks(
        _ health: Label?, _ http: Label?, _ port: UInt16, _ findings: inout Findings
    ) {
        guard let label = http ?? health else { return }
        guard spec.probe == nil else {
            return findings.warn(label.problem("probe.url is there too and is used instead"))
        }
        var probe = ProbeSpec(kind: .tcp(containerPort: port))
        if let http {
            // `GET /status HTTP/1.1\r\n...`
            let words = http.value.split { $0 == " " || $0 == "\t" }
            let path = words.count > 1 ? words[1].prefix { $0 != "\\" && $0 != "\r" && $0 != "\n" } : "/"
            let isPath = path.hasPrefix("/") && path.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x23 }
            guard words.first?.uppercased() == "GET", isPath else {
                return findings.warn(http.problem("only 'GET /PATH' is served; there is no probe"))
            }
            probe.kind = .http(containerPort: port, path: String(path))
        }
        if let health { Self.readCheckNumbers(health, &probe, &findings) }
        spec.probe = probe
    }

    /// `check inter 2000 rise 2 fall 3`, times in milliseconds or with `s` or `ms`.
    private static func readCheckNumbers(_ label: Label, _ probe: inout ProbeSpec, _ findings: inout Findings) {
        var words = label.value.split(separator: " ")[...]
        while let word = words.popFirst() {
            if word == "check" { continue }
            let number = words.first.flatMap { NumberText.integer($0.prefix { $0.isNumber }) }
            switch (word, number) {
            case ("rise", let count?) where (1...100).contains(count): probe.rise = count
            case ("fall", let count?) where (1...100).contains(count): probe.fall = count
            case ("inter", let count?):
                let isSeconds = words.first.map { $0.hasSuffix("s") && !$0.hasSuffix("ms") } ?? false
                probe.intervalSeconds = min(max(isSeconds ? Double(count) : Double(count) / 1_000, 0.1), 86_400)
            default:
                findings.warn(label.problem("\(OneLine.quoted(word)) has no effect"))
                continue
            }
            words = words.dropFirst()
        }
    }
}

extension Label {
    /// Whether a switch of custom routing is on: anything but nothing, `false`, `no` and `0`.
    fileprivate var isOn: Bool { !["", "false", "no", "0", "off"].contains(value.trimmed().lowercased()) }
}
