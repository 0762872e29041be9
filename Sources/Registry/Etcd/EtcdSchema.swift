import MeshCore
import NetAddress

/// Where things are below the prefix (docs/etcd.md).
struct EtcdSchema: Sendable, Equatable {
    /// Ends with `/`.
    let root: String

    init(_ url: EtcdURL) { root = url.prefix + "/" }

    init(root: String) { self.root = root }

    enum Place: Equatable {
        case service(String)
        case instance(InstanceKey)
        /// An order to give an instance no new connections.
        case drain(InstanceKey)
        case vipOfService(String)
        case vipAddress(IPAddress)
        /// By the key of `PublishedNumber`.
        case portOfService(String)
        case portNumber(PublishedNumber)
        /// Somebody else's, or a later version's.
        case reserved
        /// The reason why the key means nothing.
        case unknown(String)
    }

    /// Keys of other parts of the mesh, and of parts to come.
    private static let reserved: Set<Substring> = ["alive", "certificates", "locks", "nodes"]

    /// The first key that nodes watch. What lies before, `alive/`, changes often and is read by who waits for a drain.
    var firstWatched: [UInt8] { Array("\(root)alive0".utf8) }

    /// A node that runs, under its lease.
    func alive(_ run: String) -> String { "\(root)alive/\(run)" }

    func service(_ name: String) -> String { "\(root)services/\(name)" }
    func instance(_ key: InstanceKey) -> String { "\(root)instances/\(key.service)/\(key.id)" }
    func instances(of service: String) -> String { "\(root)instances/\(service)/" }
    func drains(of service: String) -> String { "\(root)drains/\(service)/" }
    func drain(_ key: InstanceKey) -> String { "\(root)drains/\(key.service)/\(key.id)" }
    func vip(of service: String) -> String { "\(root)vips/services/\(service)" }
    func vip(_ address: IPAddress) -> String { "\(root)vips/addresses/\(address)" }
    func port(of key: String) -> String { "\(root)ports/services/\(key)" }
    func ports(of service: String) -> String { "\(root)ports/services/\(service)/" }
    func port(_ number: PublishedNumber) -> String {
        "\(root)ports/numbers/\(number.transport.rawValue)/\(number.port)"
    }

    func place(_ key: String) -> Place {
        guard key.utf8.starts(with: root.utf8) else { return .unknown("outside the prefix") }
        let rest = key.utf8.dropFirst(root.utf8.count)
        // No place has more than six parts.
        let parts = rest.split(separator: UInt8(ascii: "/"), maxSplits: 6, omittingEmptySubsequences: false).map {
            Substring($0)
        }
        let first = parts.first ?? ""
        switch (first, parts.count) {
        case ("services", 2): return named(parts[1]) { .service($0) }
        case ("instances", 3): return instance(parts) { .instance($0) }
        case ("drains", 3): return instance(parts) { .drain($0) }
        case ("vips", 3) where parts[1] == "services": return named(parts[2]) { .vipOfService($0) }
        case ("vips", 3) where parts[1] == "addresses":
            return IPAddress(parts[2]).map { .vipAddress($0) }
                ?? .unknown("\(OneLine.quoted(parts[2])) is no IP address")
        case ("ports", 5...6) where parts[1] == "services": return port(parts[2...])
        case ("ports", 4) where parts[1] == "numbers":
            let transport = PublishedNumber.Transport(rawValue: String(parts[2]))
            let port = PortText.port(parts[3])
            let number = transport.flatMap { transport in port.flatMap { PublishedNumber(transport, $0) } }
            return number.map { .portNumber($0) } ?? .unknown("a number's key is \(root)ports/numbers/PROTOCOL/NUMBER")
        case ("services", _): return .unknown("a service's key is \(root)services/NAME")
        case ("instances", _): return .unknown("an instance's key is \(root)instances/SERVICE/ID")
        case ("drains", _): return .unknown("a drain order's key is \(root)drains/SERVICE/ID")
        default: return Self.reserved.contains(first) ? .reserved : .unknown("nothing is known below \(root)\(first)")
        }
    }

    private func named(_ text: Substring, _ place: (String) -> Place) -> Place {
        let name = String(text)
        guard ServiceReader.isValidName(name) else {
            return .unknown("a service name has 1 to 128 letters, digits, '.', '_' and '-'")
        }
        return place(name)
    }

    private func port(_ parts: ArraySlice<Substring>) -> Place {
        named(parts[2]) { _ in
            let key = parts.joined(separator: "/")
            let address = parts.count < 4 ? nil : IPAddress(parts[5])
            guard PortText.port(parts[3]) != nil, PublishedNumber.transport(of: key) != nil,
                address?.description == (parts.count < 4 ? nil : String(parts[5]))
            else { return .unknown("a published port's key is \(root)ports/services/SERVICE/PORT/PROTOCOL[/ADDRESS]") }
            return .portOfService(key)
        }
    }

    private func instance(_ parts: [Substring], _ place: (InstanceKey) -> Place) -> Place {
        named(parts[1]) { service in
            let id = String(parts[2])
            guard InstanceText.isName(id) else {
                return .unknown("an instance's ID has 1 to 128 visible ASCII characters other than '/'")
            }
            return place(InstanceKey(service: service, id: id))
        }
    }
}

/// Names of instances, nodes, zones and versions.
enum InstanceText {
    static func isName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }
}
