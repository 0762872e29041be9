// Sources: Registry JSONCodec MeshCore NetAddress YAML Reactor HTTPClient HTTPCodec

/// What an engine says is taken or refused; what is taken is an instance or a named problem.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: count))
    if let list = try? DockerAnswer.list(input) {
        for container in list.containers { precondition(DockerRequest.isID(container.id)) }
    }
    if let event = try? DockerAnswer.event(input) {
        precondition(DockerRequest.isID(event.id))
        if case .signalled(let signal) = event.kind { precondition((1...64).contains(signal)) }
    }
    if let container = try? DockerAnswer.container(input) {
        precondition((1...64).contains(container.stopSignal) && (-1...86_400).contains(container.stopTimeoutSeconds))
        guard case .docker(let url)? = try? RegistryURL("docker:///d") else { return 0 }
        var catalogue = DockerCatalogue(place: DockerPlace(url: url, node: nil, zone: nil), routingDomain: nil)
        catalogue.put(container)
        precondition(catalogue.instances.count + catalogue.problemCount <= 1)
        for announcement in catalogue.announcements.values {
            _ = try? JSONValue.parse(announcement.json)
        }
    }
    var output = DockerOutput()
    output.add(input)
    precondition(output.line.utf8.count <= 600)
    return 0
}
