public import NetAddress

/// What became of one published port on this node.
public struct PublishedPortState: Hashable, Sendable {
    /// With the number that was chosen where none was asked for; 0 where none is left.
    public let published: PublishedPort
    /// Whether the number was chosen here.
    public let isDynamic: Bool
    /// Where this node listens for it; `nil` where it does not.
    public let address: SocketAddress?
    /// Why it cannot be had; `nil` where it can, or where this node takes no part.
    public let clash: String?
    /// Whether the nodes are about to agree on its number.
    public let isAwaited: Bool
}

/// Which service has which published port. Who has one keeps it for as long as it wants it: a service that comes later
/// and wants the same is told so, and disturbs nobody.
struct PublishedPorts {
    struct Service {
        let name: String
        let ports: [PublishedPort]
        /// Whether an instance of it runs on this node.
        let isHere: Bool
    }

    private struct Place: Hashable {
        let address: SocketAddress
        let transport: PublishedPort.Transport
    }

    private struct Claim: Hashable {
        let service: String
        let containerPort: UInt16
    }

    private var holders: [Place: Claim] = [:]
    private var numbers: [PublishedPort.Transport: PortAllocator] = [.tcp: PortAllocator(), .udp: PortAllocator()]
    private var asked: Set<String> = []
    /// Numbers that services ask for by name.
    private(set) var reserved: Set<PublishedNumber> = []
    /// What was agreed on since the ports were settled may make them others.
    private(set) var isStale = false
    private(set) var states: [String: [PublishedPortState]] = [:]

    // MARK: - Numbers

    /// Chosen numbers by what they were chosen for: `shop/80/tcp`, with an address behind it where one is named.
    var assigned: [String: UInt16] {
        numbers.values.reduce(into: [:]) { $0.merge($1.assigned, uniquingKeysWith: { first, _ in first }) }
    }

    mutating func restore(_ saved: [String: UInt16]) {
        for (key, port) in saved.sorted(by: { $0.key < $1.key }) {
            let parts = key.split(separator: "/")
            guard parts.count >= 3, let transport = PublishedPort.Transport(rawValue: String(parts[2])) else {
                continue
            }
            numbers[transport]?.restore(key, port)
        }
    }

    mutating func agree(_ changes: [String: UInt16?]) {
        isStale = true
        for transport in PublishedPort.Transport.allCases {
            numbers[transport]?.agree(changes.filter { PublishedNumber.transport(of: $0.key) == transport })
        }
    }

    /// Ports that wait for the nodes to agree on their number, by key.
    var wants: [PortWant] {
        numbers.flatMap { transport, allocator in
            allocator.awaited.map { key in
                let present = allocator.assigned[key].flatMap { PublishedNumber(transport, $0) }
                return PortWant(service: key, preferred: present)
            }
        }.sorted { $0.service < $1.service }
    }

    private static func key(_ service: String, _ port: PublishedPort) -> String {
        "\(service)/\(port.containerPort)/\(port.transport.rawValue)" + (port.address.map { "/\($0)" } ?? "")
    }

    private mutating func chooseNumbers(_ services: [Service]) -> [String: UInt16] {
        var wanted: [(key: String, transport: PublishedPort.Transport)] = []
        reserved = []
        for service in services {
            for port in service.ports {
                if port.isDynamic {
                    wanted.append((Self.key(service.name, port), port.transport))
                } else if let number = PublishedNumber(port.transport, port.port) {
                    reserved.insert(number)
                }
            }
        }
        let keys = Set(wanted.map(\.key))
        for key in asked.subtracting(keys) { for transport in numbers.keys { numbers[transport]?.release(key) } }
        asked = keys
        var chosen: [String: UInt16] = [:]
        let taken = reserved
        // Agreed ones first: one may belong to another key until now.
        for isAgreed in [true, false] {
            for (key, transport) in wanted where numbers[transport]?.isAgreed(key) == isAgreed {
                chosen[key] = numbers[transport]?.assign(key) { port in
                    PublishedNumber(transport, port).map(taken.contains) ?? false
                }
            }
        }
        return chosen
    }

    // MARK: - Places

    /// Settles all ports anew.
    ///
    /// - Parameters:
    ///   - services: in the order of their names.
    ///   - publishAddress: for ports that name no address.
    ///   - fixed: addresses that are not to be had, with their owners.
    mutating func update(_ services: [Service], publishAddress: IPAddress, fixed: [ListenerKey: String]) {
        isStale = false
        let chosen = chooseNumbers(services)
        func resolved(_ service: String, _ port: PublishedPort) -> PublishedPort {
            guard port.isDynamic else { return port }
            var port = port
            port.port = chosen[Self.key(service, port)] ?? 0
            return port
        }
        func place(_ service: Service, _ port: PublishedPort) -> Place? {
            guard port.port > 0, port.mode == .ingress || service.isHere else { return nil }
            return Place(
                address: SocketAddress(port.address ?? publishAddress, port.port), transport: port.transport)
        }
        var claims: [Place: (first: Claim, all: Set<Claim>)] = [:]
        // Chosen numbers come first: they may be in use already under a number that is only now asked for by name.
        for isDynamic in [true, false] {
            for service in services {
                for port in service.ports where port.isDynamic == isDynamic {
                    guard let place = place(service, resolved(service.name, port)) else { continue }
                    let claim = Claim(service: service.name, containerPort: port.containerPort)
                    claims[place, default: (claim, [])].all.insert(claim)
                }
            }
        }
        let before = holders
        holders = [:]
        for (place, (first, all)) in claims {
            holders[place] = before[place].flatMap { all.contains($0) ? $0 : nil } ?? first
        }
        states = [:]
        for service in services where !service.ports.isEmpty {
            states[service.name] = service.ports.map { port in
                let resolved = resolved(service.name, port)
                return state(resolved, port.isDynamic, place(service, resolved), service.name, fixed)
            }
        }
    }

    private func state(
        _ port: PublishedPort, _ isDynamic: Bool, _ place: Place?, _ service: String, _ fixed: [ListenerKey: String]
    ) -> PublishedPortState {
        var clash: String?
        let isAwaited = port.port == 0 && numbers[port.transport]?.awaited.contains(Self.key(service, port)) == true
        if isAwaited {
            clash = nil
        } else if port.port == 0 {
            let range = PortAllocator.range
            clash = "no port from \(range.lowerBound) to \(range.upperBound) is free"
        } else if let place {
            if let owner = fixed[ListenerKey(port.transport, place.address)] {
                clash = "\(place.address) is already taken by \(owner)"
            } else if let holder = holders[place],
                holder != Claim(service: service, containerPort: port.containerPort)
            {
                let owner = "service \(holder.service), published port \(port.port)"
                clash = "\(place.address) is already taken by \(owner)"
            }
        }
        return PublishedPortState(
            published: port, isDynamic: isDynamic, address: clash == nil ? place?.address : nil, clash: clash,
            isAwaited: isAwaited)
    }
}
