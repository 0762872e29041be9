import MeshCore

// A route's values in the order of `RouteSpec`, as with services. Each choice begins with its number.

extension ImageWriter {
    mutating func put(_ route: RouteSpec) {
        put(route.scheme.rawValue)
        put(route.host)
        put(route.pathKind.rawValue)
        put(route.path)
        put(route.containerPort)
        put(all: route.conditions) { $0.put($1) }
        put(fixed: UInt64(bitPattern: Int64(route.priority)))
        put(route.transform)
    }

    private mutating func put(_ host: HostPattern) {
        switch host {
        case .exact(let name): put(choice: 0, name)
        case .wildcard(let suffix): put(choice: 1, suffix)
        case .glob(let pattern): put(choice: 2, pattern)
        case .any: put(UInt8(3))
        }
    }

    private mutating func put(choice: UInt8, _ text: String) {
        put(choice)
        put(text)
    }

    private mutating func put(_ condition: RouteCondition) {
        switch condition {
        case .method(let names):
            put(UInt8(0))
            put(all: names) { $0.put($1) }
        case .header(let name, let value):
            put(choice: 1, name)
            put(value)
        case .query(let name, let value):
            put(choice: 2, name)
            put(value)
        case .port(let port):
            put(UInt8(3))
            put(port)
        }
    }

    private mutating func put(_ match: TextMatch) {
        switch match {
        case .present: put(UInt8(0))
        case .exact(let value): put(choice: 1, value)
        case .prefix(let value): put(choice: 2, value)
        }
    }

    private mutating func put(_ transform: RouteTransform) {
        put(transform.stripPrefix) { $0.put($1) }
        put(transform.insertPrefix)
        put(transform.redirect) { $0.put($1) }
        put(transform.transportSecurity) { writer, policy in
            writer.put(number: UInt64(policy.maxAge))
            writer.put(policy.includesSubdomains)
            writer.put(policy.isPreloaded)
        }
    }

    private mutating func put(_ redirect: RouteRedirect) {
        switch redirect.place {
        case .https(let port):
            put(UInt8(0))
            put(port)
        case .location(let text): put(choice: 1, text)
        case .locationWithTarget(let text): put(choice: 2, text)
        }
        put(redirect.status) { $0.put($1) }
    }
}

extension ImageReader {
    mutating func route() throws(ImageFault) -> RouteSpec {
        let scheme = try one(of: RouteSpec.Scheme.self)
        let host = try hostPattern()
        guard let kind = PathKind(rawValue: try byte()) else { throw ImageFault("a kind of path is not known") }
        return RouteSpec(
            scheme: scheme, host: host, path: try rootedPath(), pathKind: kind, containerPort: try port(),
            conditions: try all { reader throws(ImageFault) in try reader.condition() },
            priority: Int(Int64(bitPattern: try fixed())), transform: try transform())
    }

    private mutating func hostPattern() throws(ImageFault) -> HostPattern {
        switch try byte() {
        case 0: return .exact(try text())
        case 1: return .wildcard(try text())
        case 2: return .glob(try text())
        case 3: return .any
        default: throw ImageFault("a kind of host is not known")
        }
    }

    private mutating func condition() throws(ImageFault) -> RouteCondition {
        switch try byte() {
        case 0: return .method(try all { reader throws(ImageFault) in try reader.text() })
        case 1: return .header(name: try text(), try match())
        case 2: return .query(name: try text(), try match())
        case 3: return .port(try port())
        default: throw ImageFault("a kind of condition is not known")
        }
    }

    private mutating func match() throws(ImageFault) -> TextMatch {
        switch try byte() {
        case 0: return .present
        case 1: return .exact(try text())
        case 2: return .prefix(try text())
        default: throw ImageFault("a kind of comparison is not known")
        }
    }

    private mutating func transform() throws(ImageFault) -> RouteTransform {
        RouteTransform(
            stripPrefix: try optionalText(), insertPrefix: try text(),
            redirect: try optional { reader throws(ImageFault) in try reader.redirect() },
            transportSecurity: try optional { reader throws(ImageFault) in
                TransportSecurity(
                    maxAge: UInt32(try reader.number(in: 0...Int(UInt32.max))),
                    includesSubdomains: try reader.flag(), isPreloaded: try reader.flag())
            })
    }

    private mutating func redirect() throws(ImageFault) -> RouteRedirect {
        let place: RouteRedirect.Place
        switch try byte() {
        case 0: place = .https(port: try port())
        case 1: place = .location(try text())
        case 2: place = .locationWithTarget(try text())
        default: throw ImageFault("a kind of redirect is not known")
        }
        let status = try optional { reader throws(ImageFault) in try reader.number(in: 301...308) }
        return RouteRedirect(place, status: status)
    }
}
