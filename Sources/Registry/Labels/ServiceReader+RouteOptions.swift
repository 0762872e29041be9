import MeshCore

extension ServiceReader {
    private static let optionNames = ["match", "strip_prefix", "rewrite", "redirect", "hsts"]

    /// Takes out `routing.port_PORT.OPTION`, before what is left of `routing.port_` is read as routes.
    static func takeRouteOptions(_ labels: inout LabelSet) throws(CatalogueProblem) -> [UInt16: [String: Label]] {
        var options: [UInt16: [String: Label]] = [:]
        for name in optionNames {
            for (portText, label) in labels.takeAll(prefix: "routing.port_", suffix: ".\(name)") {
                guard let port = PortText.port(portText) else {
                    throw label.problem("\(OneLine.quoted(portText)) is not a container port (1 to 65535)")
                }
                options[port, default: [:]][name] = label
            }
        }
        return options
    }

    /// Applies the options of each container port to its routes.
    mutating func applyRouteOptions(
        _ all: [UInt16: [String: Label]], _ findings: inout Findings
    ) throws(CatalogueProblem) {
        for (port, labels) in all.sorted(by: { $0.key < $1.key }) {
            let indices = spec.routes.indices.filter { spec.routes[$0].containerPort == port }
            if indices.isEmpty, let label = labels.min(by: { $0.key < $1.key })?.value {
                findings.warn(label.problem("container port \(port) has no route, so this has no effect"))
            }
            let conditions = try labels["match"].map { label throws(CatalogueProblem) in
                try label.text { text throws(TextFault) in try RouteOptionText.conditions(text) }
            }
            for index in indices {
                spec.routes[index].conditions = conditions ?? []
                spec.routes[index].transform = try Self.transform(labels, spec.routes[index])
            }
        }
    }

    private static func transform(
        _ labels: [String: Label], _ route: RouteSpec
    ) throws(CatalogueProblem) -> RouteTransform {
        var transform = RouteTransform()
        let context = route.path == "/" ? nil : route.path
        if let label = labels["strip_prefix"] {
            switch label.value.trimmed() {
            case "true": transform.stripPrefix = context
            case "false": break
            default:
                let prefix = try label.text { text throws(TextFault) in try RouteOptionText.prefix(text) }
                transform.stripPrefix = prefix.isEmpty ? nil : prefix
            }
        }
        if let label = labels["rewrite"] {
            transform.insertPrefix = try label.text { text throws(TextFault) in try RouteOptionText.prefix(text) }
            if labels["strip_prefix"] == nil { transform.stripPrefix = context }
        }
        if let label = labels["redirect"] {
            transform.redirect = try label.text { text throws(TextFault) in try RouteOptionText.redirect(text) }
        }
        if let label = labels["hsts"] {
            transform.transportSecurity = try label.text { text throws(TextFault) in
                try RouteOptionText.transportSecurity(text)
            }
        }
        return transform
    }
}

extension Label {
    /// What `parse` makes of the value; its fault gets the label's place.
    func text<R>(_ parse: (String) throws(TextFault) -> R) throws(CatalogueProblem) -> R {
        do throws(TextFault) {
            return try parse(value)
        } catch {
            throw problem(error.message)
        }
    }

    /// `true` or `false`.
    func flag() throws(CatalogueProblem) -> Bool {
        switch value.trimmed().lowercased() {
        case "true": return true
        case "false": return false
        default: throw problem("\(OneLine.quoted(value)) is not true or false")
        }
    }
}
