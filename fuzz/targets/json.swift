// Sources: JSONCodec

/// A JSON text is read or refused; base 64 that is taken has one spelling.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: count))
    if let value = try? JSONValue.parse(input) { check(value) }
    let text = String(decoding: input, as: UTF8.self)
    if let decoded = Base64.decode(text) { precondition(Base64.encode(decoded) == text) }
    return 0
}

private func check(_ value: JSONValue) {
    switch value {
    case .null, .bool: break
    case .number(let text):
        precondition(!text.isEmpty)
        _ = value.integer
    case .string(let text): if let bytes = Base64.decode(text) { precondition(Base64.encode(bytes) == text) }
    case .array(let items): for item in items { check(item) }
    case .object(let members):
        for member in members {
            precondition(value[member.name] == member.value)
            check(member.value)
        }
    }
}
