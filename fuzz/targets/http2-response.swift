// Sources: HTTPCodec

/// A header block of an instance, each field as a length, a name, a length and a value: what is rendered without a
/// fault is one head of HTTP/1.1, and what goes on from it to a client means the same to its reader.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let capacity = 64 + Int(data[0]) * 64
    let memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 1)
    defer { memory.deallocate() }
    let toHead = data[1] & 2 != 0
    let accept = data[1] & 4 != 0 ? WebSocketKey(1, 2).accept : nil
    var text = ResponseText(memory, capacity: capacity, limits: MessageLimits(), accept: accept)
    var position = 2
    func take() -> UnsafeRawBufferPointer {
        guard position < count else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let length = min(Int(data[position]), count - position - 1)
        defer { position += 1 + length }
        return UnsafeRawBufferPointer(start: data + position + 1, count: length)
    }
    while position < count {
        let name = take()
        text.append(name, take())
    }
    let isChunked = text.finish(hasBody: data[1] & 1 != 0, toHead: toHead)
    guard text.fault == nil else { return 0 }
    precondition(text.count <= capacity)
    check(UnsafeRawBufferPointer(start: memory, count: text.count), text, isChunked: isChunked, toHead: toHead, accept)
    return 0
}

private func check(
    _ bytes: UnsafeRawBufferPointer, _ text: ResponseText, isChunked: Bool, toHead: Bool, _ accept: WebSocketAccept?
) {
    precondition(bytes.suffix(4).elementsEqual("\r\n\r\n".utf8))
    for index in bytes.indices {
        precondition(bytes[index] != 0 && (bytes[index] != 13 || bytes[index + 1] == 10))
        precondition(bytes[index] != 10 || bytes[index - 1] == 13)
        if index > 3, index + 4 < bytes.count { precondition(!bytes[index...].starts(with: "\r\n\r\n".utf8)) }
    }
    var fields = FieldTable()
    defer { fields.deallocate() }
    var head = ResponseHead()
    switch head.parse(bytes, toHead: toHead, limits: MessageLimits(), fields: &fields) {
    case .complete(let end): precondition(end == bytes.count)
    case .incomplete: preconditionFailure("half a head")
    case .malformed: return
    }
    precondition(head.status == (text.isTunnel ? 101 : text.status))
    precondition(head.options.contains(.upgrade) == text.isTunnel, "an upgrade that nobody asked for")
    precondition(head.framing != .untilClose, "an end that only the connection would tell")
    precondition((head.framing == .chunked) == isChunked)
    let base = bytes.baseAddress!
    if text.isTunnel { precondition(accept.map { head.answers($0, fields, in: base) } ?? false) }
    let room = UnsafeMutableRawPointer.allocate(byteCount: 32 << 10, alignment: 1)
    defer { room.deallocate() }
    var writer = HeadWriter(room, capacity: 32 << 10)
    writer.appendStatusLine(head, from: base)
    writer.appendFields(fields, from: base)
    if head.framing == .chunked { writer.append("Transfer-Encoding: chunked\r\n") }
    writer.append("\r\n")
    var again = ResponseHead()
    let written = UnsafeRawBufferPointer(start: room, count: writer.count)
    let limits = MessageLimits(fields: 128, headBytes: 32 << 10)
    guard case .complete(writer.count) = again.parse(written, toHead: toHead, limits: limits, fields: &fields) else {
        preconditionFailure("what was written is not one whole response")
    }
    precondition(again.framing == head.framing && again.status == head.status)
}
