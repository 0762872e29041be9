// Sources: HTTPCodec

/// A header block, each field as a length, a name, a length and a value: what is rendered without a fault is one head
/// of HTTP/1.1.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let capacity = 64 + Int(data[0]) * 64
    let memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 1)
    defer { memory.deallocate() }
    var text = RequestText(memory, capacity: capacity, limits: MessageLimits())
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
    _ = text.finish(hasBody: data[1] & 1 != 0) { WebSocketKey(1, 2) }
    guard text.fault == nil else { return 0 }
    let bytes = UnsafeRawBufferPointer(start: memory, count: text.count)
    precondition(text.count <= capacity && bytes.suffix(4).elementsEqual("\r\n\r\n".utf8))
    for index in bytes.indices {
        precondition(bytes[index] != 0 && (bytes[index] != 13 || bytes[index + 1] == 10))
        precondition(bytes[index] != 10 || bytes[index - 1] == 13)
        if index > 3, index + 4 < bytes.count { precondition(!bytes[index...].starts(with: "\r\n\r\n".utf8)) }
    }
    var fields = FieldTable()
    defer { fields.deallocate() }
    var head = RequestHead()
    switch head.parse(bytes, limits: MessageLimits(), fields: &fields) {
    case .complete(let end): precondition(end == bytes.count)
    case .incomplete: preconditionFailure("half a head")
    case .malformed: break
    }
    return 0
}
