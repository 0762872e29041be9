import JSONCodec
import NetAddress

extension DockerAnswer {
    /// Labels, networks and ports of one container that are looked at; one with more is malformed.
    static let maximumMembers = 4_096

    /// Reads `GET /containers/ID/json`. What is missing is taken as empty, what is of another kind than it must be is
    /// a failure.
    static func container(_ body: [UInt8]) throws(DockerFailure) -> DockerContainer {
        let value = try json(body)
        guard let id = value["Id"]?.text, DockerRequest.isID(id) else { throw .malformed("a container without Id") }
        guard let name = value["Name"]?.text else { throw .malformed("a container without Name") }
        var container = DockerContainer(id: id, name: String(name.hasPrefix("/") ? name.dropFirst() : name[...]))
        container.created = String((value["Created"]?.text ?? "").prefix(64).prefix { $0 != "Z" })
        try readState(value["State"], &container)
        container.networkMode = value["HostConfig"]?["NetworkMode"]?.text ?? "default"
        if let signal = value["Config"]?["StopSignal"]?.text.flatMap({ DockerSignal.number($0) }) {
            container.stopSignal = signal
        }
        if let seconds = value["Config"]?["StopTimeout"]?.integer {
            container.stopTimeoutSeconds = Int(min(max(seconds, -1), 86_400))
        }
        for member in try members(value["Config"]?["Labels"], "Labels") {
            guard let text = member.value.text else { throw .malformed("a label that is no text") }
            container.labels[member.name] = text
        }
        for member in try members(value["Config"]?["ExposedPorts"], "ExposedPorts") {
            try note(member.name, &container)
        }
        try readNetworks(value["NetworkSettings"], &container)
        return container
    }

    private static func members(_ value: JSONValue?, _ name: String) throws(DockerFailure) -> [JSONMember] {
        guard let value, value != .null else { return [] }
        guard let members = value.members else { throw .malformed("\(name) is no object") }
        guard members.count <= maximumMembers else { throw .malformed("\(name) has more than \(maximumMembers)") }
        return members
    }

    private static func readState(_ state: JSONValue?, _ container: inout DockerContainer) throws(DockerFailure) {
        guard let isRunning = state?["Running"]?.bool else { throw .malformed("a container without State.Running") }
        // One that is being restarted is said to run, without a process.
        let isRestarting = state?["Restarting"]?.bool ?? false
        container.isRunning = isRunning && !isRestarting
        container.startedAt = String((state?["StartedAt"]?.text ?? "").prefix(64))
        container.startedAtSeconds = seconds(container.startedAt)
        container.isPaused = state?["Paused"]?.bool ?? false
        switch state?["Health"]?["Status"]?.text {
        case "healthy": container.health = .healthy
        case "unhealthy": container.health = .unhealthy
        case "starting": container.health = .starting
        default: container.health = .none
        }
    }

    /// Seconds since 1970 of a time in UTC (RFC 3339 section 5.6); `nil` for any other text.
    static func seconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8.prefix(19))
        guard bytes.count == 19, text.hasSuffix("Z") else { return nil }
        func number(_ from: Int, _ count: Int) -> Int64? {
            var value: Int64 = 0
            for byte in bytes[from..<from + count] {
                guard (0x30...0x39).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            return value
        }
        guard let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
            let minute = number(14, 2), let second = number(17, 2), year >= 1970, (1...12).contains(month)
        else { return nil }
        // Days before a month of a year that begins in March.
        let shifted = month <= 2 ? year - 1 : year
        let sinceMarch = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + sinceMarch - 719_468
        return days * 86_400 + hour * 3_600 + minute * 60 + second
    }

    /// `80/tcp`; other protocols than TCP and UDP concern other programs.
    private static func port(_ text: String) -> (port: UInt16, isUDP: Bool)? {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let port = parts.first.flatMap({ PortText.port($0) }) else { return nil }
        switch parts.count == 2 ? parts[1] : "tcp" {
        case "tcp": return (port, false)
        case "udp": return (port, true)
        default: return nil
        }
    }

    private static func note(_ text: String, _ container: inout DockerContainer) throws(DockerFailure) {
        guard let (port, isUDP) = port(text) else { return }
        if isUDP { container.udpPorts.append(port) } else { container.tcpPorts.append(port) }
    }

    private static func readNetworks(
        _ settings: JSONValue?, _ container: inout DockerContainer
    ) throws(DockerFailure) {
        for member in try members(settings?["Networks"], "Networks") {
            let texts = ["IPAddress", "GlobalIPv6Address"].compactMap { member.value[$0]?.text }
            let addresses = texts.compactMap { IPAddress($0) }.filter { !$0.isUnspecified }
            container.networks.append(DockerContainer.Network(name: member.name, addresses: addresses))
        }
        container.networks.sort { $0.name < $1.name }
        for member in try members(settings?["Ports"], "Ports") {
            guard let (port, isUDP) = port(member.name) else { continue }
            for item in member.value.items?.prefix(maximumMembers) ?? [] {
                guard let hostPort = item["HostPort"]?.text.flatMap({ PortText.port($0) }) else { continue }
                let address = item["HostIp"]?.text.flatMap { IPAddress($0) }
                container.bindings.append(
                    DockerContainer.Binding(
                        containerPort: port, isUDP: isUDP,
                        hostAddress: address.flatMap { $0.isUnspecified ? nil : $0 }, hostPort: hostPort))
            }
        }
    }
}
