/// One route of a service: requests for `host` below `path` go to `containerPort` of its instances.
public struct RouteSpec: Hashable, Sendable {
    public enum Scheme: String, Hashable, Sendable, CaseIterable {
        case http, https, ws, wss, tcp
    }

    public var scheme: Scheme
    public var host: HostPattern
    /// What the path must be, in the way of `pathKind`; begins with `/`.
    public var path: String
    public var pathKind: PathKind
    public var containerPort: UInt16
    /// All of them must hold.
    public var conditions: [RouteCondition]
    /// Among routes that are equally specific the larger one wins.
    public var priority: Int
    public var transform: RouteTransform

    public init(
        scheme: Scheme = .http, host: HostPattern, path: String = "/", pathKind: PathKind = .prefix,
        containerPort: UInt16, conditions: [RouteCondition] = [], priority: Int = 0,
        transform: RouteTransform = RouteTransform()
    ) {
        self.scheme = scheme
        self.host = host
        self.path = path
        self.pathKind = pathKind
        self.containerPort = containerPort
        self.conditions = conditions
        self.priority = priority
        self.transform = transform
    }

    /// Whether it takes requests over TLS only. A route that sends plain requests to `https` has to meet them.
    public var isSecureOnly: Bool { (scheme == .https || scheme == .wss) && !transform.redirectsToHTTPS }
}

/// How a route's path is compared with a request's.
public enum PathKind: UInt8, Hashable, Sendable, BitwiseCopyable {
    /// Whole segments: `/cart` takes `/cart` and `/cart/1`, not `/cartoon`. No `/` at the end unless that is all.
    case prefix
    case exact
    /// `*` stands for any octets, `/` included, also for none.
    case glob
}

/// Which values of the Host header a route takes. Names are lower case.
public enum HostPattern: Hashable, Sendable, CustomStringConvertible {
    case exact(String)
    /// `*.company.com` holds `company.com`: any name with one or more labels before it.
    case wildcard(String)
    /// A name with `*` in other places, each standing for any octets, also for none: `www.*`, `*company.com`.
    case glob(String)
    /// `*`: every host that nothing else matches.
    case any

    public var description: String {
        switch self {
        case .exact(let name): name
        case .wildcard(let suffix): "*.\(suffix)"
        case .glob(let pattern): pattern
        case .any: "*"
        }
    }
}

/// What a route demands of a request beside host and path.
public enum RouteCondition: Hashable, Sendable, CustomStringConvertible {
    /// One of these methods, as written.
    case method([String])
    /// A field of this name, in any case, with such a value.
    case header(name: String, TextMatch)
    /// A member `name` or `name=value` of the query, percent decoded, with such a value.
    case query(name: String, TextMatch)
    /// The port of the Host header; without one it is 0.
    case port(UInt16)

    public var description: String {
        switch self {
        case .method(let names): "method=\(names.joined(separator: ","))"
        case .header(let name, let value): "header=\(name)\(value.text(behind: ":"))"
        case .query(let name, let value): "query=\(name)\(value.text(behind: "="))"
        case .port(let port): "port=\(port)"
        }
    }
}

/// How a value is compared: case matters.
public enum TextMatch: Hashable, Sendable {
    case present
    case exact(String)
    case prefix(String)

    fileprivate func text(behind mark: String) -> String {
        switch self {
        case .present: ""
        case .exact(let value): mark + value
        case .prefix(let value): "\(mark)\(value)*"
        }
    }
}

/// What becomes of a request that took the route, and of its answer.
public struct RouteTransform: Hashable, Sendable {
    /// Taken off the path where the path begins with it, in whole segments; `nil`: nothing is.
    public var stripPrefix: String?
    /// Put before what is left of the path; no `/` at the end, empty for nothing.
    public var insertPrefix: String
    public var redirect: RouteRedirect?
    /// Sent over TLS only (RFC 6797 section 7.2).
    public var transportSecurity: TransportSecurity?

    public init(
        stripPrefix: String? = nil, insertPrefix: String = "", redirect: RouteRedirect? = nil,
        transportSecurity: TransportSecurity? = nil
    ) {
        self.stripPrefix = stripPrefix
        self.insertPrefix = insertPrefix
        self.redirect = redirect
        self.transportSecurity = transportSecurity
    }

    public var isEmpty: Bool { self == RouteTransform() }

    var redirectsToHTTPS: Bool {
        if case .https = redirect?.place { true } else { false }
    }
}

/// An answer that sends the client elsewhere.
public struct RouteRedirect: Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        /// The same host and target over TLS, at this port; requests over TLS are served.
        case https(port: UInt16)
        case location(String)
        /// Followed by the request's path without its first `/`, and its query.
        case locationWithTarget(String)
    }

    public var place: Place
    /// 301, 302, 303, 307 or 308; `nil`: one that fits the method.
    public var status: Int?

    public init(_ place: Place, status: Int? = nil) {
        self.place = place
        self.status = status
    }
}

/// A Strict-Transport-Security policy (RFC 6797 section 6.1).
public struct TransportSecurity: Hashable, Sendable, BitwiseCopyable {
    /// Seconds.
    public var maxAge: UInt32
    public var includesSubdomains: Bool
    public var isPreloaded: Bool

    public init(maxAge: UInt32, includesSubdomains: Bool = false, isPreloaded: Bool = false) {
        self.maxAge = maxAge
        self.includesSubdomains = includesSubdomains
        self.isPreloaded = isPreloaded
    }
}
