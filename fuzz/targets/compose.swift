// Sources: NetAddress MeshCore YAML Registry/CatalogueProblem.swift Registry/Compose Registry/Labels

/// A Compose file with its labels: a catalogue or a problem with its place, never a trap.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    guard let catalogue = try? ComposeCatalogue.parse(bytes, file: "f", routingDomain: "example.com") else { return 0 }
    precondition(catalogue.warnings.count <= ComposeCatalogue.maximumWarnings)
    var compiler = SnapshotCompiler(
        options: .init(vipRange: IPNetwork("127.96.0.0/16")!, publishAddress: .anyV4))
    var merged = Catalogue(sources: ["f"])
    let change = SourceEvent.Change.reset(services: catalogue.services, instances: catalogue.instances)
    let dirty = merged.apply(SourceEvent(source: "f", revision: 1, change: change))
    _ = compiler.compile(merged, dirty: dirty) { _ in .healthy }
    return 0
}
