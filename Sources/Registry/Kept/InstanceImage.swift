import MeshCore

// An instance's values in the order of `InstanceSpec`, as with services.

extension ImageWriter {
    mutating func put(_ instance: InstanceSpec) {
        put(instance.id)
        put(instance.service)
        put(instance.address)
        put(all: instance.portMap.sorted { $0.key < $1.key }) { writer, entry in
            writer.put(entry.key)
            writer.put(entry.value)
        }
        put(instance.solePort) { $0.put($1) }
        put(instance.node) { $0.put($1) }
        put(instance.zone) { $0.put($1) }
        put(instance.weight)
        put(instance.version) { $0.put($1) }
        put(instance.isDraining)
        put(instance.verdict) { $0.put($1) }
    }

    private mutating func put(_ verdict: AnnouncedVerdict) {
        switch verdict {
        case .starting: put(UInt8(0))
        case .healthy: put(UInt8(1))
        case .unhealthy(let cause):
            put(UInt8(2))
            put(cause) { $0.put($1) }
        }
    }
}

extension ImageReader {
    mutating func instance() throws(ImageFault) -> InstanceSpec {
        InstanceSpec(
            id: try text(), service: try text(), address: try address(), portMap: try portMap(),
            solePort: try optional { reader throws(ImageFault) in try reader.port() },
            node: try optionalText(), zone: try optionalText(), weight: try number(in: 0...1_000),
            version: try optionalText(), isDraining: try flag(),
            verdict: try optional { reader throws(ImageFault) in try reader.verdict() })
    }

    private mutating func verdict() throws(ImageFault) -> AnnouncedVerdict {
        switch try byte() {
        case 0: return .starting
        case 1: return .healthy
        case 2: return .unhealthy(cause: try optionalText())
        default: throw ImageFault("a verdict is not known")
        }
    }

    private mutating func portMap() throws(ImageFault) -> [UInt16: UInt16] {
        let pairs = try all { reader throws(ImageFault) in (try reader.port(), try reader.port()) }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }
}
