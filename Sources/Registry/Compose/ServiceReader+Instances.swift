import MeshCore
import NetAddress

extension ServiceReader {
    // MARK: - external

    /// Reads `external: {host, ports}`: each host is an instance outside the mesh, its ports are reached as they are.
    mutating func readExternal(_ external: Cursor) throws(CatalogueProblem) {
        guard external.isMapping else { throw external.problem("must be a mapping with 'host' and 'ports'") }
        try checkKeys(external, ["host", "ports"])
        guard let host = external["host"] else { throw external.problem("'host' is missing") }
        guard let ports = external["ports"] else { throw external.problem("'ports' is missing") }
        let list = ports.isList ? try ports.items() : [ports]
        for item in list { tcpPorts.insert(try item.port()) }
        let hosts = host.isList ? try host.items() : [host]
        guard !list.isEmpty else { throw ports.problem("names no port") }
        guard !hosts.isEmpty else { throw host.problem("names no host") }
        for item in hosts {
            let text = try item.text()
            guard let address = Self.instanceAddress(text) else {
                throw item.problem("\(OneLine.quoted(text)) is not an IP address; host names are not supported yet")
            }
            try add(InstanceSpec(id: text, service: spec.name, address: address), item)
        }
    }

    private func checkKeys(_ mapping: Cursor, _ known: Set<String>) throws(CatalogueProblem) {
        for entry in try mapping.entries() where !known.contains(entry.key) {
            throw entry.keyProblem("unknown key; known are \(known.sorted().joined(separator: ", "))")
        }
    }

    // MARK: - x-mesh-instances

    mutating func readInstances(_ list: Cursor) throws(CatalogueProblem) {
        let items = try list.items()
        // All port maps first: they count towards the service's one container port.
        for item in items {
            guard let ports = item["ports"] else { continue }
            for entry in try ports.entries() { tcpPorts.insert(try containerPort(entry)) }
        }
        for item in items {
            let instance = item.isMapping ? try mappedInstance(item) : try plainInstance(item)
            try add(instance, item)
        }
    }

    private mutating func add(_ instance: InstanceSpec, _ place: Cursor) throws(CatalogueProblem) {
        guard instanceIDs.insert(instance.id).inserted else {
            throw place.problem("instance \(OneLine.quoted(instance.id)) is listed twice; give one an 'id'")
        }
        guard !instance.address.isUnspecified else {
            throw place.problem("\(instance.address) is no address of an instance")
        }
        instances.append(instance)
    }

    /// `ADDRESS` or `ADDRESS:PORT`.
    private func plainInstance(_ item: Cursor) throws(CatalogueProblem) -> InstanceSpec {
        let text = try item.text()
        let (address, solePort) = try place(text, item)
        return InstanceSpec(id: text, service: spec.name, address: address, solePort: solePort)
    }

    private func place(_ text: String, _ item: Cursor) throws(CatalogueProblem) -> (IPAddress, solePort: UInt16?) {
        // One colon is never an address alone; not trying it makes long lists cheaper.
        let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
        if colons != 1, let address = Self.instanceAddress(text) { return (address, nil) }
        guard let socket = SocketAddress(text), socket.port != 0 else {
            throw item.problem("\(OneLine.quoted(text)) is not ADDRESS or ADDRESS:PORT with an IP address")
        }
        let count = tcpPorts.union(udpPorts).count
        guard count == 1 else {
            let advice = "write {address: \(socket.ip), ports: {CONTAINER_PORT: \(socket.port)}}"
            throw item.problem("ADDRESS:PORT needs a service with one container port, this one has \(count); \(advice)")
        }
        return (socket.ip, socket.port)
    }

    private static func instanceAddress(_ text: String) -> IPAddress? {
        if text.hasPrefix("["), text.hasSuffix("]") { return IPAddress(text.dropFirst().dropLast()) }
        return IPAddress(text)
    }

    private func mappedInstance(_ item: Cursor) throws(CatalogueProblem) -> InstanceSpec {
        try checkKeys(item, ["address", "ports", "node", "zone", "weight", "version", "id"])
        guard let address = item["address"] else { throw item.problem("'address' is missing") }
        let text = try address.text()
        let (ip, solePort) = try place(text, address)
        var instance = InstanceSpec(id: text, service: spec.name, address: ip, solePort: solePort)
        if let ports = item["ports"] {
            instance.portMap = try portMap(ports)
            if let first = instance.portMap.min(by: { $0.key < $1.key }), solePort == nil {
                instance.id = SocketAddress(ip, first.value).description
            }
        }
        if let id = item["id"] { instance.id = try name(id) }
        if let node = item["node"] { instance.node = try name(node) }
        if let zone = item["zone"] { instance.zone = try name(zone) }
        if let version = item["version"] { instance.version = try name(version) }
        if let weight = item["weight"] { instance.weight = try weight.integer(0...1_000) }
        return instance
    }

    private func portMap(_ ports: Cursor) throws(CatalogueProblem) -> [UInt16: UInt16] {
        var map: [UInt16: UInt16] = [:]
        for entry in try ports.entries() { map[try containerPort(entry)] = try entry.value.port() }
        return map
    }

    private func containerPort(_ entry: Cursor.Entry) throws(CatalogueProblem) -> UInt16 {
        guard let port = PortText.port(entry.key) else {
            throw entry.keyProblem("\(OneLine.quoted(entry.key)) is not a container port (1 to 65535)")
        }
        return port
    }

    private func name(_ item: Cursor) throws(CatalogueProblem) -> String {
        let text = try item.text()
        guard (1...128).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw item.problem("must be 1 to 128 visible ASCII characters without spaces")
        }
        return text
    }
}
