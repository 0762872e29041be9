import Glibc

/// Load from the client's namespace: streams of every kind through every node, each with one request in flight.
final class MeshLoad {
    struct Stream {
        let name: String
        /// Answered requests, by instance.
        let instances: [String: Int]
        let failures: [Lost]

        var good: Int { instances.values.reduce(0, +) }
        var kind: Kind? { Kind(rawValue: String(name.dropLast(2))) }
        /// The number of the node that it goes through.
        var node: Int { name.last?.wholeNumberValue ?? 0 }
    }

    /// A request without a good answer. Times are those of `monotonicSeconds`.
    struct Lost: CustomStringConvertible {
        let opened: Double
        let began: Double
        let ended: Double
        let text: String

        var description: String { "opened \(opened), began \(began), ended \(ended): \(text)" }
    }

    /// What a stream sends, and where.
    enum Kind: String, CaseIterable {
        /// Requests on one connection, to a VIP.
        case http
        /// Requests with a connection each, to a published port and by their Host.
        case fresh, hosted
        /// Requests that may not be repeated: on one connection to a VIP; each on a relayed one to a published port.
        case post, relayed
        /// Requests with a connection each to containers: by their Host, to a VIP and to a published port.
        case container, containerVIP, containerPort
        /// Lines on one TCP connection, to a VIP and a published port.
        case session, published
        /// Datagrams of one flow, to a VIP and a published port.
        case udp, publishedUDP

        /// How the program calls it.
        var language: String {
            switch self {
            case .http: "http"
            case .fresh, .hosted: "fresh"
            case .post: "post"
            case .relayed: "relayed"
            case .container, .containerVIP, .containerPort: "plain"
            case .session, .published: "session"
            case .udp, .publishedUDP: "udp"
            }
        }

        /// The service whose VIP is asked, or none, and the port.
        var target: (service: String?, port: Int) {
            switch self {
            case .http, .post: ("web", 80)
            case .relayed: (nil, 8081)
            case .container: (nil, 80)
            case .containerVIP: ("web", 8080)
            case .containerPort: (nil, 7080)
            case .fresh: (nil, 8080)
            case .hosted: (nil, 80)
            case .session: ("line", 7000)
            case .published: (nil, 7070)
            case .udp: ("datagram", 5300)
            case .publishedUDP: (nil, 5353)
            }
        }

        /// Lost requests are made good by another instance.
        var isRepeated: Bool { [.http, .fresh, .hosted].contains(self) }
        var isTCP: Bool { [.session, .published].contains(self) }
    }

    private let child: ChildProcess
    private let path: String

    init(_ cluster: MeshCluster, kinds: [Kind] = [.http, .fresh, .session, .udp]) throws {
        path = "\(cluster.directory.path)/load-\(monotonicSeconds())"
        let streams = try cluster.nodes.flatMap { node in
            try kinds.map { kind in
                let address = try kind.target.service.map { try cluster.vip($0) } ?? node.address
                let source = "192.0.2.10\(node.number)"
                return "\(kind.rawValue)-\(node.number),\(kind.language),\(source),\(address),\(kind.target.port)"
            }
        }
        let words = ["/usr/bin/python3", PythonProgram.path("mesh_load.py"), path] + streams
        child = try cluster.client.start(words, "load")
        try awaitGood(5)
    }

    func streams() throws -> [Stream] {
        if let status = child.poll(), status != 0 { throw Failure("load ended with \(status): \(child.errors)") }
        let text = TextFile.read(path)
        guard !text.isEmpty else { return [] }
        return try JSONValue(parsing: text).children.map { stream in
            guard let name = stream["name"]?.text, case .object(let counts)? = stream["instances"] else {
                throw Failure("load said \(text.prefix(300))")
            }
            return Stream(
                name: name, instances: counts.compactMapValues(\.whole),
                failures: try (stream["failures"]?.children ?? []).map(Self.lost))
        }
    }

    private static func lost(_ value: JSONValue) throws -> Lost {
        let parts = value.children
        guard parts.count == 4, let opened = parts[0].real, let began = parts[1].real, let ended = parts[2].real else {
            throw Failure("a failure without times")
        }
        return Lost(opened: opened, began: began, ended: ended, text: parts[3].text ?? "")
    }

    /// Every stream that `condition` takes gets `count` more good answers.
    func awaitGood(
        _ count: Int = 20, within seconds: Double = 30, where condition: (Stream) -> Bool = { _ in true }
    ) throws {
        let before = Dictionary(uniqueKeysWithValues: try streams().map { ($0.name, $0.good) })
        var behind: [Stream] = []
        try eventually(
            within: seconds, "\(count) more answers on \(behind.map { "\($0.name): \($0.failures.suffix(3))" })"
        ) {
            let now = try streams()
            behind = now.filter { condition($0) && $0.good < (before[$0.name] ?? 0) + count }
            return !now.isEmpty && behind.isEmpty
        }
    }

    /// Ends the load; every stream has ended.
    func stop() throws -> [Stream] {
        child.signal(SIGTERM)
        try demandEqual(try child.waitExit(within: 20), 0, "exit of the load: \(child.errors)")
        return try streams()
    }
}

extension [MeshLoad.Stream] {
    /// No request failed.
    func demandNoLoss() throws {
        for stream in self {
            try demand(
                stream.failures.isEmpty, "\(stream.name) lost \(stream.failures.count): \(stream.failures.prefix(5))")
        }
    }

    /// Nothing failed but what was in flight at `moment`, one request a stream at most.
    func demandOnlyInFlight(at moment: Double) throws {
        for stream in self {
            try demand(
                stream.failures.count <= 1 && stream.failures.allSatisfy { $0.began <= moment },
                "\(stream.name) lost what was not in flight at \(moment): \(stream.failures.prefix(5))")
        }
    }

    /// No connection failed but those that were open at `moment`, each at most once.
    func demandOnlyOpen(at moment: Double) throws {
        for stream in self {
            try demand(
                stream.failures.count <= 1 && stream.failures.allSatisfy { $0.opened <= moment },
                "\(stream.name) lost what was not open at \(moment): \(stream.failures.prefix(5))")
        }
    }
}
