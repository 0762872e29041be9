import MeshCore
import NetAddress
import YAML

/// One entry of `ports`, before ranges are spread out.
private struct PortEntry {
    enum Published {
        case range(ClosedRange<UInt16>)
        /// The mesh chooses.
        case dynamic
        /// One of several, which Compose lets the platform choose.
        case oneOf
    }

    var address: IPAddress?
    var published = Published.dynamic
    var target: ClosedRange<UInt16>
    var transport = PublishedPort.Transport.tcp
    var mode = PublishedPort.Mode.ingress

    /// The published port of each target; 0: chosen by the mesh.
    var pairs: [(published: UInt16, target: UInt16)] {
        switch published {
        case .range(let range): Array(zip(range, target)).map { ($0.0, $0.1) }
        case .dynamic: target.map { (0, $0) }
        case .oneOf: []
        }
    }
}

extension ServiceReader {
    mutating func readPorts(_ list: Cursor, _ findings: inout Findings) throws(CatalogueProblem) {
        var seen = Set(spec.publishedPorts.map(Self.identity))
        for item in try list.items() {
            let parsed = item.isMapping ? try longPort(item, &findings) : try shortPort(item, &findings)
            guard let entry = parsed else { continue }
            try findings.count(entry.target, item)
            note(entry.target, entry.transport)
            if case .oneOf = entry.published {
                findings.warn(item.problem("a range onto one container port is not published; name one port, or none"))
            }
            for (port, target) in entry.pairs {
                let place = PublishedPort(
                    address: entry.address, port: port, containerPort: target, transport: entry.transport,
                    mode: entry.mode)
                guard seen.insert(Self.identity(place)).inserted else {
                    let name = port == 0 ? "\(target)" : "\(port)"
                    throw item.problem("\(name)/\(entry.transport.rawValue) is published twice")
                }
                spec.publishedPorts.append(place)
            }
        }
    }

    /// Reads `mesh.publish`: items of the short form joined with `;`, for who has labels and nothing else.
    mutating func readPublished(_ labels: inout LabelSet, _ findings: inout Findings) throws(CatalogueProblem) {
        guard let label = labels.takeMesh("publish") else { return }
        let place = label.place.node
        let items = label.value.split(separator: ";").map { $0.trimmed() }.filter { !$0.isEmpty }.map {
            YAMLNode(.scalar(text: String($0), isPlain: false), line: place.line, column: place.column)
        }
        let list = YAMLNode(.sequence(items), line: place.line, column: place.column)
        try readPorts(Cursor(file: label.place.file, path: label.place.path, node: list), &findings)
    }

    /// What may be there once: a published port, or a container port with one that is chosen.
    private static func identity(_ port: PublishedPort) -> PublishedPort {
        PublishedPort(
            address: port.address, port: port.port, containerPort: port.isDynamic ? port.containerPort : 0,
            transport: port.transport)
    }

    mutating func note(_ ports: ClosedRange<UInt16>, _ transport: PublishedPort.Transport) {
        if transport == .udp { udpPorts.formUnion(ports) } else { tcpPorts.formUnion(ports) }
    }

    mutating func readExposed(_ list: Cursor, _ findings: inout Findings) throws(CatalogueProblem) {
        for item in try list.items() {
            let text = try item.text()
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let range = parts.first.flatMap({ PortText.range($0) }) else {
                throw item.problem("\(OneLine.quoted(text)) is not a port or range of ports")
            }
            try findings.count(range, item)
            let transport = parts.count == 2 ? PublishedPort.Transport(rawValue: parts[1].lowercased()) : .tcp
            // Other transports, such as sctp, concern other programs.
            if let transport { note(range, transport) }
        }
    }

    // MARK: - Short form

    /// Reads `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]`; `nil` where the protocol is not one of ours.
    private func shortPort(_ item: Cursor, _ findings: inout Findings) throws(CatalogueProblem) -> PortEntry? {
        let text = try item.text()
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let named = parts.count == 2 ? String(parts[1]) : "tcp"
        guard let transport = try transport(named, item, &findings) else { return nil }
        let fields = Self.fields(parts.first ?? "")
        guard (1...3).contains(fields.count), let target = fields.last.flatMap({ PortText.range($0) }) else {
            throw item.problem("\(OneLine.quoted(text)) is not [[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]")
        }
        var entry = PortEntry(target: target, transport: transport)
        if fields.count == 3 {
            guard let address = Self.address(fields[0]) else {
                throw item.problem("\(OneLine.quoted(fields[0])) is not an IP address")
            }
            entry.address = address
        }
        if fields.count >= 2, !fields[fields.count - 2].isEmpty {
            entry.published = try published(fields[fields.count - 2], target, item)
        }
        return entry
    }

    /// Splits at colons outside brackets.
    private static func fields(_ text: Substring) -> [Substring] {
        guard text.hasPrefix("["), let close = text.firstIndex(of: "]") else {
            return text.split(separator: ":", omittingEmptySubsequences: false)
        }
        let after = text.index(after: close)
        guard after < text.endIndex, text[after] == ":" else { return [] }
        let rest = text[text.index(after: after)...].split(separator: ":", omittingEmptySubsequences: false)
        return [text[..<after]] + rest
    }

    private static func address(_ text: some StringProtocol) -> IPAddress? {
        if text.hasPrefix("["), text.hasSuffix("]") {
            return IPAddress(text.dropFirst().dropLast()).flatMap { $0.isV4 ? nil : $0 }
        }
        return IPAddress(text)
    }

    private func transport(
        _ text: String, _ item: Cursor, _ findings: inout Findings
    ) throws(CatalogueProblem) -> PublishedPort.Transport? {
        let name = text.lowercased()
        if let transport = PublishedPort.Transport(rawValue: name) { return transport }
        guard name == "sctp" else { throw item.problem("\(OneLine.quoted(text)) is not a protocol; use tcp or udp") }
        findings.warn(item.problem("sctp is not served"))
        return nil
    }

    /// A range as long as the target's; one onto a single target port leaves the choice open.
    private func published(
        _ text: some StringProtocol, _ target: ClosedRange<UInt16>, _ item: Cursor
    ) throws(CatalogueProblem) -> PortEntry.Published {
        if text == "0" { return .dynamic }
        guard let range = PortText.range(text) else {
            throw item.problem("\(OneLine.quoted(text)) is not a port or range of ports")
        }
        guard range.count == target.count || target.count == 1 else {
            throw item.problem("\(range.count) published ports lead to \(target.count) container ports")
        }
        return range.count == target.count ? .range(range) : .oneOf
    }

    // MARK: - Long form

    private func longPort(_ item: Cursor, _ findings: inout Findings) throws(CatalogueProblem) -> PortEntry? {
        guard let target = item["target"] else { throw item.problem("'target', the container port, is missing") }
        let port = try target.port()
        var entry = PortEntry(target: port...port)
        if let named = item["protocol"] {
            guard let transport = try transport(try named.text(), named, &findings) else { return nil }
            entry.transport = transport
        }
        if let published = item["published"], !published.isNull {
            let text = try published.text()
            if !text.isEmpty { entry.published = try self.published(text, entry.target, published) }
        }
        if let host = item["host_ip"], !host.isNull {
            let text = try host.text()
            guard let address = Self.address(text) else {
                throw host.problem("\(OneLine.quoted(text)) is not an IP address")
            }
            entry.address = address
        }
        if let mode = item["mode"] { entry.mode = try self.mode(mode) }
        return entry
    }

    private func mode(_ mode: Cursor) throws(CatalogueProblem) -> PublishedPort.Mode {
        let text = try mode.text()
        guard let known = PublishedPort.Mode(rawValue: text) else {
            throw mode.problem("\(OneLine.quoted(text)) is not a mode; use ingress or host")
        }
        return known
    }
}
