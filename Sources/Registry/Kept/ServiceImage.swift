import MeshCore
import NetAddress

// A service's values in the order of `ServiceSpec`. Another order or another field is another version of the image.

extension ImageWriter {
    mutating func put(_ service: ServiceSpec) {
        put(service.name)
        put(all: service.aliases) { $0.put($1) }
        put(all: service.routes) { $0.put($1) }
        put(all: service.publishedPorts) { $0.put($1) }
        put(all: service.containerPorts) { $0.put($1) }
        put(all: service.vipProtocols.sorted { $0.key < $1.key }) { writer, entry in
            writer.put(entry.key)
            writer.put(entry.value.rawValue)
        }
        put(service.policy.rawValue)
        put(service.probe) { $0.put($1) }
        put(service.scale) { $0.put($1) }
        put(service.weight)
        put(service.isSticky)
        put(service.vip) { $0.put($1) }
        put(service.preference) { writer, preference in
            writer.put(preference.place.rawValue)
            writer.put(preference.spillBelowPercent)
        }
        put(service.slowStartSeconds)
        put(service.certificate) { $0.put($1) }
        put(service.instanceProtocol.rawValue)
        put(service.upstreamTLS) { $0.put($1) }
        put(service.proxyVersion) { $0.put($1.rawValue) }
        put(all: service.udpPorts) { $0.put($1) }
        put(service.tcpIdleMilliseconds) { $0.put(Int($1)) }
    }

    private mutating func put(_ port: PublishedPort) {
        put(port.address) { $0.put($1) }
        put(port.port)
        put(port.containerPort)
        put(port.transport.rawValue)
        put(port.layer.rawValue)
        put(port.mode.rawValue)
    }

    private mutating func put(_ certificate: CertificateSpec) {
        switch certificate {
        case .files(let certificate, let key):
            put(UInt8(0))
            put(certificate)
            put(key) { $0.put($1) }
        case .text(let pem):
            put(UInt8(1))
            put(pem)
        }
    }

    private mutating func put(_ probe: ProbeSpec) {
        switch probe.kind {
        case .http(let port, let path):
            put(UInt8(0))
            put(port)
            put(path)
        case .tcp(let port):
            put(UInt8(1))
            put(port)
        case .grpc(let port, let service):
            put(UInt8(2))
            put(port)
            put(service)
        case .command(let words):
            put(UInt8(3))
            put(all: words) { $0.put($1) }
        }
        put(probe.initialDelaySeconds)
        put(probe.timeoutSeconds)
        put(probe.intervalSeconds)
        put(probe.rise)
        put(probe.fall)
        put(probe.tls) { $0.put($1) }
        put(probe.proxyVersion) { $0.put($1.rawValue) }
    }

    private mutating func put(_ tls: UpstreamTLS) {
        put(tls.serverName)
        put(tls.authorities) { $0.put($1) }
        put(tls.verifies)
    }
}

extension ImageReader {
    mutating func service() throws(ImageFault) -> ServiceSpec {
        var service = ServiceSpec(
            name: try text(), aliases: try all { reader throws(ImageFault) in try reader.text() },
            routes: try all { reader throws(ImageFault) in try reader.route() },
            publishedPorts: try all { reader throws(ImageFault) in try reader.publishedPort() },
            containerPorts: try all { reader throws(ImageFault) in try reader.port() },
            vipProtocols: try vipProtocols(), policy: try one(of: BalancePolicy.self),
            probe: try optional { reader throws(ImageFault) in try reader.probe() },
            scale: try optional { reader throws(ImageFault) in try reader.number(in: 0...Int.max) },
            weight: try number(in: 0...100), isSticky: try flag(),
            vip: try optional { reader throws(ImageFault) in try reader.address() },
            preference: try optional { reader throws(ImageFault) in try reader.preference() },
            slowStartSeconds: try double(in: 0...3_600))
        service.certificate = try optional { reader throws(ImageFault) in try reader.certificate() }
        guard let spoken = InstanceProtocol(rawValue: try byte()) else { throw ImageFault("a protocol is not known") }
        service.instanceProtocol = spoken
        service.upstreamTLS = try optional { reader throws(ImageFault) in try reader.upstreamTLS() }
        service.proxyVersion = try optional { reader throws(ImageFault) in try reader.proxyVersion() }
        service.udpPorts = try all { reader throws(ImageFault) in try reader.port() }
        service.tcpIdleMilliseconds = try optional { reader throws(ImageFault) in
            UInt32(try reader.number(in: 0...604_800_000))
        }
        return service
    }

    private mutating func upstreamTLS() throws(ImageFault) -> UpstreamTLS {
        UpstreamTLS(serverName: try text(), authorities: try optionalText(), verifies: try flag())
    }

    private mutating func proxyVersion() throws(ImageFault) -> ProxyVersion {
        guard let version = ProxyVersion(rawValue: try byte()) else {
            throw ImageFault("a version of the PROXY protocol is not known")
        }
        return version
    }

    private mutating func preference() throws(ImageFault) -> LocalityPreference {
        LocalityPreference(
            try one(of: LocalityPreference.Place.self), spillBelowPercent: try number(in: 1...100))
    }

    private mutating func certificate() throws(ImageFault) -> CertificateSpec {
        switch try byte() {
        case 0: return .files(certificate: try text(), key: try optionalText())
        case 1: return .text(try text())
        default: throw ImageFault("a kind of certificate is not known")
        }
    }

    private mutating func vipProtocols() throws(ImageFault) -> [UInt16: PortProtocol] {
        let pairs = try all { reader throws(ImageFault) in
            (try reader.port(), try reader.one(of: PortProtocol.self))
        }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }

    private mutating func publishedPort() throws(ImageFault) -> PublishedPort {
        PublishedPort(
            address: try optional { reader throws(ImageFault) in try reader.address() }, port: try port(),
            containerPort: try port(), transport: try one(of: PublishedPort.Transport.self),
            layer: try one(of: PortProtocol.self), mode: try one(of: PublishedPort.Mode.self))
    }

    private mutating func probe() throws(ImageFault) -> ProbeSpec {
        let kind: ProbeSpec.Kind
        switch try byte() {
        case 0: kind = .http(containerPort: try port(), path: try rootedPath())
        case 1: kind = .tcp(containerPort: try port())
        case 2: kind = .grpc(containerPort: try port(), service: try text())
        case 3: kind = .command(try all { reader throws(ImageFault) in try reader.text() })
        default: throw ImageFault("a kind of probe is not known")
        }
        var probe = ProbeSpec(
            kind: kind, initialDelaySeconds: try double(in: 0...86_400), timeoutSeconds: try double(in: 0.001...3_600),
            intervalSeconds: try double(in: 0.1...86_400), rise: try number(in: 1...100), fall: try number(in: 1...100))
        probe.tls = try optional { reader throws(ImageFault) in try reader.upstreamTLS() }
        probe.proxyVersion = try optional { reader throws(ImageFault) in try reader.proxyVersion() }
        return probe
    }
}
