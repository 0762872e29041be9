// Sources: NetAddress MeshCore AliasDNS/Message AliasDNS/Answer

private let zone = Zone(
    [
        ZoneEntry(name: "web", addresses: [IPAddress(v4: 0x7f60_0001)]),
        ZoneEntry(name: "web.local", addresses: [IPAddress(v4: 0x7f60_0001), IPAddress(high: 1, low: 2)]),
        ZoneEntry(name: "tasks.web", addresses: (0..<90).map { IPAddress(v4: 0x0a00_0000 + $0) }),
    ])

/// A query: the answer must lie within its limits, whatever was asked.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let message = Array(UnsafeBufferPointer(start: data, count: count))
    var room = [UInt8](repeating: 0, count: 4096)
    for transport in [Responder.Transport.datagram, .stream] {
        let responder = Responder(ttlSeconds: 5, canForward: count & 1 == 1)
        let outcome = room.withUnsafeMutableBytes {
            responder.respond(to: message.span, zone: zone, over: transport, rotation: UInt64(count), into: $0)
        }
        if case .answer(let answer) = outcome { precondition(answer.length >= 12 && answer.length <= 4096) }
    }
    return 0
}
