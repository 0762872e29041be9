// Sources: HTTPCodec

/// A request head: reading it must not trap, and what would go on to an instance must mean the same to its reader.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: data, count: count)
    var fields = FieldTable()
    defer { fields.deallocate() }
    var head = RequestHead()
    guard case .complete(let end) = head.parse(input, limits: MessageLimits(), fields: &fields) else { return 0 }
    precondition(end <= count && head.target.end <= end && head.host.end <= end && head.path.end <= end)
    // HTTP/1.0 may come without a host, which would not do in the HTTP/1.1 that goes on.
    if head.host.isEmpty { return 0 }
    let room = UnsafeMutableRawPointer.allocate(byteCount: 32 << 10, alignment: 1)
    defer { room.deallocate() }
    var writer = HeadWriter(room, capacity: 32 << 10)
    writer.appendRequestLine(head, from: data)
    writer.appendFields(fields, from: data)
    if head.framing == .chunked { writer.append("Transfer-Encoding: chunked\r\n") }
    if !hasHost(fields) { writer.append("Host: x\r\n") }
    writer.append("\r\n")
    precondition(!writer.hasOverflowed)
    var again = RequestHead()
    let written = UnsafeRawBufferPointer(start: room, count: writer.count)
    let limits = MessageLimits(targetBytes: 32 << 10, fields: 128, headBytes: 32 << 10)
    guard case .complete(writer.count) = again.parse(written, limits: limits, fields: &fields) else {
        preconditionFailure("what was written is not one whole request")
    }
    precondition(again.framing == head.framing && again.method == head.method)
    return 0
}

private func hasHost(_ fields: FieldTable) -> Bool {
    (0..<fields.count).contains { fields.fields[$0].known == .host }
}
