public import MeshCore
import YAML

/// The services and instances of a Compose file.
public struct ComposeCatalogue: Sendable, Equatable {
    /// In the order of the file.
    public let services: [ServiceSpec]
    public let instances: [InstanceSpec]
    /// What was understood but has no effect, or no full one; at most `maximumWarnings`.
    public let warnings: [CatalogueProblem]

    public static let maximumWarnings = 1_000
    /// Ports that `ports` and `expose` name in one file, ranges counted in full; more are a problem.
    public static let maximumPorts = 1_000_000
    /// Largest file, in bytes.
    public static let maximumBytes = 16 << 20

    /// Reads a Compose file, version 2 or 3 form.
    ///
    /// - Parameters:
    ///   - file: the name used in problems.
    ///   - routingDomain: what a route's host without a dot is completed with; `nil`: it stays bare.
    public static func parse(
        _ bytes: [UInt8], file: String, routingDomain: String?
    ) throws(CatalogueProblem) -> ComposeCatalogue {
        let root: YAMLNode
        do throws(YAMLProblem) {
            root = try YAMLNode.parse(bytes, limits: YAMLLimits(bytes: maximumBytes))
        } catch {
            throw CatalogueProblem(
                file: file, line: error.line, column: error.column, key: error.path.joined(separator: "."),
                message: error.message)
        }
        var reader = CatalogueReader(routingDomain: routingDomain?.lowercased())
        try reader.document(Cursor(file: file, path: "", node: root))
        return ComposeCatalogue(
            services: reader.services, instances: reader.instances, warnings: reader.findings.warnings)
    }
}

/// What has come up in the file so far, bounded.
struct Findings {
    private(set) var warnings: [CatalogueProblem] = []
    private var toldOnce: Set<String> = []
    private var portCount = 0

    /// Counts ports before a range is spread out: a few bytes of text name 65,535 of them.
    mutating func count(_ ports: ClosedRange<UInt16>, _ place: Cursor) throws(CatalogueProblem) {
        portCount += ports.count
        guard portCount <= ComposeCatalogue.maximumPorts else {
            throw place.problem("more than \(ComposeCatalogue.maximumPorts) ports in 'ports' and 'expose' of the file")
        }
    }

    /// The last place is kept for saying that there are more.
    mutating func warn(_ warning: CatalogueProblem) {
        let room = ComposeCatalogue.maximumWarnings - warnings.count
        if room > 1 {
            warnings.append(warning)
        } else if room == 1 {
            warnings.append(
                CatalogueProblem(
                    file: warning.file, line: warning.line, column: warning.column, key: warning.key,
                    message: "further warnings are left out"))
        }
    }

    /// Warns the first time a subject comes up in the file.
    mutating func warnOnce(_ subject: String, _ warning: CatalogueProblem) {
        if toldOnce.count < ComposeCatalogue.maximumWarnings, toldOnce.insert(subject).inserted { warn(warning) }
    }
}

/// Reads the document and what must be unique across its services.
private struct CatalogueReader {
    /// Where a port is taken on the nodes.
    struct Endpoint: Hashable {
        let published: PublishedPort
        init(_ port: PublishedPort) {
            published = PublishedPort(
                address: port.address, port: port.port, containerPort: 0, transport: port.transport)
        }
    }

    let routingDomain: String?
    var services: [ServiceSpec] = []
    var instances: [InstanceSpec] = []
    var findings = Findings()
    private var owners: [Endpoint: String] = [:]

    init(routingDomain: String?) { self.routingDomain = routingDomain }

    mutating func document(_ root: Cursor) throws(CatalogueProblem) {
        guard root.node.isNull || root.node.pairs != nil else {
            throw root.problem("a Compose file is a mapping with the key 'services'")
        }
        guard let list = root["services"] else {
            throw root.renamed("services").problem(
                "the key is missing; a Compose file names its services below it (the version 1 form is not read)")
        }
        guard list.node.pairs != nil else {
            throw list.problem("must be a mapping of service names; write {} for none")
        }
        for entry in try list.entries() { try service(entry) }
    }

    private mutating func service(_ entry: Cursor.Entry) throws(CatalogueProblem) {
        guard ServiceReader.isValidName(entry.key) else {
            throw entry.keyProblem("a service name has 1 to 128 letters, digits, '.', '_' and '-'")
        }
        var reader = ServiceReader(name: entry.key, routingDomain: routingDomain)
        try reader.read(entry.value, &findings)
        // Of two in host mode each may have a node of its own.
        for port in reader.spec.publishedPorts where !port.isDynamic && port.mode == .ingress {
            if let owner = owners[Endpoint(port)] {
                let name = "\(port.port)/\(port.transport.rawValue)"
                let place = entry.value["ports"] ?? entry.value
                findings.warn(place.problem("\(name) is already published by service '\(owner)'"))
            } else {
                owners[Endpoint(port)] = entry.key
            }
        }
        services.append(reader.spec)
        instances += reader.instances
    }
}
