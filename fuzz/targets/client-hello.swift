// Sources: NetAddress MeshCore

/// The bytes of a connection, whole and in every prefix: what is decided once stays decided.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: data, count: min(count, ClientHello.limitBytes))
    let whole = ClientHello.look(at: bytes)
    let half = ClientHello.look(at: UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)]))
    precondition(half == .incomplete || half == whole)
    if case .serverName(let name) = whole { precondition((1...255).contains(name.utf8.count)) }
    return 0
}
