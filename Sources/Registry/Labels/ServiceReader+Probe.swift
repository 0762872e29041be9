import JSONCodec
import MeshCore

extension ServiceReader {
    /// Reads the `probe.` labels (semantics 1.4).
    mutating func readProbe(_ labels: inout LabelSet, _ findings: inout Findings) throws(CatalogueProblem) {
        let url = labels.take("probe.url")
        let command = labels.take("probe.cmd")
        let (settings, first) = try Self.probeSettings(&labels)
        if let url, command != nil {
            throw url.problem("a service has probe.url or probe.cmd, not both")
        }
        if let command {
            var probe = settings
            do throws(TextFault) {
                probe.kind = .command(try CommandText.words(command.value.trimmed()))
            } catch {
                throw command.problem(error.message)
            }
            spec.probe = probe
        } else if let url {
            var probe = settings
            do throws(TextFault) {
                probe.kind = try ProbeText.parse(url.value.trimmed())
                if ProbeText.isSecure(url.value.trimmed()) { probe.tls = UpstreamTLS(serverName: "") }
            } catch {
                throw url.problem(error.message)
            }
            if let port = probe.kind.containerPort { tcpPorts.insert(port) }
            spec.probe = probe
        } else if let first {
            findings.warn(first.problem("there is neither probe.url nor probe.cmd, so this has no effect"))
        }
    }

    /// The numbers of a probe, and one label they come from.
    private static func probeSettings(
        _ labels: inout LabelSet
    ) throws(CatalogueProblem) -> (ProbeSpec, first: Label?) {
        var probe = ProbeSpec(kind: .tcp(containerPort: 80))
        var first: Label?
        if let label = labels.take("probe.initial_delay_seconds") {
            probe.initialDelaySeconds = try label.seconds(0...86_400)
            first = label
        }
        if let label = labels.take("probe.timeout_seconds") {
            probe.timeoutSeconds = try label.seconds(0.001...3_600)
            first = first ?? label
        }
        if let label = labels.take("probe.interval_seconds") {
            probe.intervalSeconds = try label.seconds(0.1...86_400)
            first = first ?? label
        }
        if let label = labels.take("probe.rise") {
            probe.rise = try label.integer(1...100)
            first = first ?? label
        }
        if let label = labels.take("probe.fall") {
            probe.fall = try label.integer(1...100)
            first = first ?? label
        }
        return (probe, first)
    }
}

extension ProbeSpec.Kind {
    /// `nil`: of a command.
    var containerPort: UInt16? {
        switch self {
        case .http(let port, _), .tcp(let port), .grpc(let port, _): port
        case .command: nil
        }
    }
}

/// The text of `probe.cmd`.
enum CommandText {
    private static let byteLimit = 4_096
    private static let wordLimit = 64

    /// A line for the container's shell, or, where it begins with `[`, a JSON array of words that need no shell.
    static func words(_ text: some StringProtocol) throws(TextFault) -> [String] {
        guard !text.isEmpty, text.utf8.count <= byteLimit, !text.utf8.contains(0) else {
            throw TextFault("a command has 1 to \(byteLimit) bytes")
        }
        guard text.hasPrefix("[") else { return ["/bin/sh", "-c", String(text)] }
        let words = (try? JSONValue.parse(String(text)))?.items?.map(\.text) ?? []
        let areTexts = words.allSatisfy { $0?.utf8.contains(0) == false }
        guard (1...wordLimit).contains(words.count), words.first != "", areTexts else {
            throw TextFault("\(OneLine.quoted(text)) is no JSON array of 1 to \(wordLimit) texts")
        }
        return words.compactMap(\.self)
    }
}

/// The text of `probe.url`.
enum ProbeText {
    private static let form =
        "write http(s)://container[:PORT][/PATH], grpc://container[:PORT][/SERVICE] or tcp://container:PORT"
    private static let pathLimit = 1_024

    static func parse(_ text: some StringProtocol) throws(TextFault) -> ProbeSpec.Kind {
        let (schemeText, rest) = RouteText.splitScheme(text)
        guard let scheme = schemeText?.lowercased() else {
            throw TextFault("\(OneLine.quoted(text)) has no scheme; \(form)")
        }
        switch scheme {
        case "http": return try http(rest)
        case "tcp": return try tcp(rest)
        case "grpc": return try grpc(rest)
        case "https": return try http(rest, defaultPort: 443)
        default: throw TextFault("\(OneLine.quoted(scheme)) is not a scheme of probes; \(form)")
        }
    }

    static func isSecure(_ text: some StringProtocol) -> Bool {
        RouteText.splitScheme(text).scheme?.lowercased() == "https"
    }

    private static func http(_ rest: Substring, defaultPort: UInt16 = 80) throws(TextFault) -> ProbeSpec.Kind {
        let slash = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let path = rest[slash...]
        guard path.utf8.count <= pathLimit, path.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != 0x23 }) else {
            throw TextFault("the path of a probe has up to \(pathLimit) visible ASCII characters other than '#'")
        }
        let port = try port(rest[..<slash]) ?? defaultPort
        // An empty path is requested as `/` (RFC 9112 section 3.2.1).
        return .http(containerPort: port, path: path.hasPrefix("/") ? String(path) : "/\(path)")
    }

    private static func tcp(_ rest: Substring) throws(TextFault) -> ProbeSpec.Kind {
        guard let port = try port(rest) else { throw TextFault("a tcp:// probe names its port; \(form)") }
        return .tcp(containerPort: port)
    }

    /// `container[:PORT][/SERVICE]`; without a service the server as a whole is asked for (grpc.health.v1).
    private static func grpc(_ rest: Substring) throws(TextFault) -> ProbeSpec.Kind {
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let port = try port(rest[..<slash]) ?? 80
        let service = rest[slash...].dropFirst()
        guard service.utf8.count <= 256, service.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw TextFault("the service of a grpc:// probe has up to 256 visible ASCII characters")
        }
        return .grpc(containerPort: port, service: String(service))
    }

    /// The port behind the literal word `container`, which stands for the instance's address.
    private static func port(_ authority: Substring) throws(TextFault) -> UInt16? {
        let colon = authority.firstIndex(of: ":") ?? authority.endIndex
        guard authority[..<colon] == "container" else {
            throw TextFault("the host of a probe is the word 'container', not \(OneLine.quoted(authority[..<colon]))")
        }
        guard colon < authority.endIndex else { return nil }
        let text = authority[authority.index(after: colon)...]
        guard let port = PortText.port(text) else {
            throw TextFault("\(OneLine.quoted(text)) is not a port (1 to 65535); \(form)")
        }
        return port
    }
}
