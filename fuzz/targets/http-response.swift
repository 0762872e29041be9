// Sources: HTTPCodec

/// A response head: reading it must not trap, and what would go on to a client must mean the same to its reader.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: data, count: count)
    var fields = FieldTable()
    defer { fields.deallocate() }
    var head = ResponseHead()
    guard case .complete(let end) = head.parse(input, toHead: count & 1 == 1, limits: MessageLimits(), fields: &fields)
    else { return 0 }
    precondition(end <= count && head.reason.end <= end && (100..<600).contains(head.status))
    let room = UnsafeMutableRawPointer.allocate(byteCount: 32 << 10, alignment: 1)
    defer { room.deallocate() }
    var writer = HeadWriter(room, capacity: 32 << 10)
    writer.appendStatusLine(head, from: data)
    writer.appendFields(fields, from: data)
    if head.framing == .chunked { writer.append("Transfer-Encoding: chunked\r\n") }
    writer.append("\r\n")
    precondition(!writer.hasOverflowed)
    var again = ResponseHead()
    let written = UnsafeRawBufferPointer(start: room, count: writer.count)
    let limits = MessageLimits(fields: 128, headBytes: 32 << 10)
    guard case .complete(writer.count) = again.parse(written, toHead: count & 1 == 1, limits: limits, fields: &fields)
    else { preconditionFailure("what was written is not one whole response") }
    precondition(again.framing == head.framing && again.status == head.status)
    return 0
}
