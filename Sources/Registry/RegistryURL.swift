/// Where services and instances are announced: the value of `--registry`.
public enum RegistryURL: Hashable, Sendable, CustomStringConvertible {
    /// `file:PATH`, a Compose file.
    case file(path: String)
    /// Keys below a prefix of an etcd cluster.
    case etcd(EtcdURL)
    /// The containers of a Docker engine.
    case docker(DockerURL)

    /// Why a text names no registry this version can watch.
    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        public let message: String
        public var description: String { message }

        public init(message: String) { self.message = message }
    }

    private static let laterSchemes: Set<String> = ["swarm", "zookeeper", "consul", "dns"]

    /// Reads `file:PATH`, `file:///PATH`, `etcd://` and `etcds://` as `EtcdURL` says, or `docker://` and `dockers://`
    /// as `DockerURL` says.
    public init(_ text: String) throws(Problem) {
        guard let colon = text.firstIndex(of: ":") else {
            throw Problem(message: "\(OneLine.quoted(text)) has no scheme; a file is written file:PATH")
        }
        let scheme = text[..<colon].lowercased()
        let rest = text[text.index(after: colon)...]
        if scheme == "etcd" || scheme == "etcds" {
            self = .etcd(try EtcdURL(rest: rest, isSecure: scheme == "etcds"))
            return
        }
        if scheme == "docker" || scheme == "dockers" {
            self = .docker(try DockerURL(rest: rest, isSecure: scheme == "dockers"))
            return
        }
        guard scheme == "file" else {
            let reason = Self.laterSchemes.contains(scheme) ? "is not supported in this version" : "is not known"
            throw Problem(
                message: "registry scheme \(OneLine.quoted(scheme)) \(reason); use file:PATH, etcd:// or docker://")
        }
        if rest.hasPrefix("//"), !rest.hasPrefix("///") {
            throw Problem(message: "\(OneLine.quoted(text)) names a host; write file:PATH or file:///PATH")
        }
        let path = rest.hasPrefix("///") ? String(rest.dropFirst(2)) : String(rest)
        guard !path.isEmpty, !path.hasSuffix("/"), !path.utf8.contains(0) else {
            throw Problem(message: "\(OneLine.quoted(text)) names no file")
        }
        self = .file(path: path)
    }

    /// The text form, also the name of the source in its events.
    public var description: String {
        switch self {
        case .file(let path): "file:\(path)"
        case .etcd(let url): url.description
        case .docker(let url): url.description
        }
    }
}
