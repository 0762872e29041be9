import MeshCore

extension ServiceReader {
    /// Reads `routing.port_PORT` with its options, `routing.weight` and `routing.session_sticky` (semantics 1.1 to
    /// 1.3).
    mutating func readRoutes(_ labels: inout LabelSet, _ findings: inout Findings) throws(CatalogueProblem) {
        var places: [RouteSpec: UInt16] = [:]
        let options = try Self.takeRouteOptions(&labels)
        for (portText, label) in labels.takeAll(prefix: "routing.port_") {
            guard let port = PortText.port(portText) else {
                throw label.problem("\(OneLine.quoted(portText)) is not a container port (1 to 65535)")
            }
            tcpPorts.insert(port)
            let routes = try Self.routes(label, port, routingDomain)
            if routes.isEmpty { findings.warn(label.problem("names no host; it has no effect")) }
            for route in routes {
                try checkSole(route, &places, label)
                spec.routes.append(route)
                addLocalAlias(route)
            }
        }
        try applyRouteOptions(options, &findings)
        if let label = labels.take("routing.weight") { spec.weight = try label.integer(0...100) }
        if let label = labels.take("routing.session_sticky") {
            spec.isSticky = try label.flag()
            isStickySaid = true
        }
    }

    private static func routes(
        _ label: Label, _ port: UInt16, _ routingDomain: String?
    ) throws(CatalogueProblem) -> [RouteSpec] {
        var routes: [RouteSpec] = []
        for item in label.value.split(separator: ";") {
            let text = item.trimmed()
            guard !text.isEmpty else { continue }
            do throws(TextFault) {
                routes.append(try RouteText.parse(text, containerPort: port, routingDomain: routingDomain))
            } catch {
                throw label.problem(error.message)
            }
        }
        return routes
    }

    /// The same (scheme, host, context) may not lead to two places of one service.
    private func checkSole(
        _ route: RouteSpec, _ places: inout [RouteSpec: UInt16], _ label: Label
    ) throws(CatalogueProblem) {
        var bare = route
        bare.containerPort = 0
        guard let other = places.updateValue(route.containerPort, forKey: bare) else { return }
        let text = "\(route.scheme.rawValue)://\(route.host)\(route.path)"
        let place = other == route.containerPort ? "is there twice" : "already leads to container port \(other)"
        throw label.problem("the route \(OneLine.quoted(text)) \(place)")
    }

    /// Names below `.local` are for inside the mesh: they resolve to the service's VIP (semantics 2).
    private mutating func addLocalAlias(_ route: RouteSpec) {
        if case .exact(let host) = route.host, host.hasSuffix(".local") { addAlias(host) }
    }

    mutating func addAlias(_ name: String) {
        if aliasNames.insert(name).inserted { spec.aliases.append(name) }
    }
}

extension Label {
    /// A whole number within `range`.
    func integer(_ range: ClosedRange<Int>) throws(CatalogueProblem) -> Int {
        guard let number = NumberText.integer(value.trimmed()), range.contains(number) else {
            let bounds = "\(range.lowerBound) to \(range.upperBound)"
            throw problem("\(OneLine.quoted(value)) is not a whole number from \(bounds)")
        }
        return number
    }

    /// Seconds as a decimal number within `range`.
    func seconds(_ range: ClosedRange<Double>) throws(CatalogueProblem) -> Double {
        guard let number = NumberText.decimal(value.trimmed()), range.contains(number) else {
            let bounds = "\(Self.text(range.lowerBound)) to \(Self.text(range.upperBound))"
            throw problem("\(OneLine.quoted(value)) is not a number of seconds from \(bounds)")
        }
        return number
    }

    private static func text(_ number: Double) -> String {
        number == number.rounded() ? "\(Int(number))" : "\(number)"
    }
}
