import HTTPCodec

/// A head that was read, as strings.
struct ReadRequest: Equatable {
    var outcome: HeadOutcome
    var method = ""
    var target = ""
    var path = ""
    var authority = ""
    var host = ""
    var minor: UInt8 = 0
    var framing = Framing.none
    var options: ConnectionOptions = []
    var upgradeField: Int32 = -1
    var fields: [ReadField] = []

    var error: MessageError? { if case .malformed(let error) = outcome { error } else { nil } }
    func value(_ name: String) -> String? { fields.first { $0.name.lowercased() == name.lowercased() }?.value }
}

struct ReadField: Equatable {
    var name: String
    var value: String
    var isDropped: Bool
}

func text(_ range: ByteRange, _ base: UnsafeRawBufferPointer) -> String {
    precondition(range.count >= 0 && range.start >= 0 && range.end <= base.count, "a range outside the input")
    return String(decoding: base[Int(range.start)..<range.end], as: UTF8.self)
}

func list(_ fields: FieldTable, _ base: UnsafeRawBufferPointer) -> [ReadField] {
    (0..<fields.count).map { index in
        let field = fields.fields[index]
        precondition(Int(field.lineEnd) <= base.count && Int(field.lineEnd) >= field.value.end + 2)
        return ReadField(
            name: text(field.name, base), value: text(field.value, base), isDropped: field.isDropped)
    }
}

/// Exactly these bytes in memory of their own, so that a look behind the end is seen by the address sanitizer.
func withExactCopy<R>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> R) -> R {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
    defer { memory.deallocate() }
    memory.copyBytes(from: bytes)
    return body(UnsafeRawBufferPointer(rebasing: memory[..<bytes.count]))
}

func readRequest(_ bytes: [UInt8], limits: MessageLimits = MessageLimits()) -> ReadRequest {
    var fields = FieldTable()
    defer { fields.deallocate() }
    return withExactCopy(bytes) { base in
        var head = RequestHead()
        let outcome = head.parse(base, limits: limits, fields: &fields)
        guard case .complete(let end) = outcome else { return ReadRequest(outcome: outcome) }
        precondition(end <= base.count)
        return ReadRequest(
            outcome: outcome, method: text(head.methodRange, base), target: text(head.target, base),
            path: text(head.path, base), authority: text(head.authority, base), host: text(head.host, base),
            minor: head.minorVersion, framing: head.framing, options: head.options, upgradeField: head.upgradeField,
            fields: list(fields, base))
    }
}

func readRequest(_ text: String, limits: MessageLimits = MessageLimits()) -> ReadRequest {
    readRequest(Array(text.utf8), limits: limits)
}

struct ReadResponse: Equatable {
    var outcome: HeadOutcome
    var status = 0
    var reason = ""
    var minor: UInt8 = 0
    var framing = Framing.none
    var options: ConnectionOptions = []
    var keepsAlive = false
    var fields: [ReadField] = []

    var error: MessageError? { if case .malformed(let error) = outcome { error } else { nil } }
}

func readResponse(_ bytes: [UInt8], toHead: Bool = false, limits: MessageLimits = MessageLimits()) -> ReadResponse {
    var fields = FieldTable()
    defer { fields.deallocate() }
    return withExactCopy(bytes) { base in
        var head = ResponseHead()
        let outcome = head.parse(base, toHead: toHead, limits: limits, fields: &fields)
        guard case .complete(let end) = outcome else { return ReadResponse(outcome: outcome) }
        precondition(end <= base.count)
        return ReadResponse(
            outcome: outcome, status: head.status, reason: text(head.reason, base), minor: head.minorVersion,
            framing: head.framing, options: head.options, keepsAlive: head.keepsAlive, fields: list(fields, base))
    }
}

func readResponse(_ text: String, toHead: Bool = false, limits: MessageLimits = MessageLimits()) -> ReadResponse {
    readResponse(Array(text.utf8), toHead: toHead, limits: limits)
}

/// Runs `body` on a writer and returns what it wrote; `nil` when it overflowed.
func written(capacity: Int = 16 << 10, _ body: (inout HeadWriter) -> Void) -> String? {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(capacity, 1), alignment: 1)
    defer { memory.deallocate() }
    var writer = HeadWriter(memory, capacity: capacity)
    body(&writer)
    precondition(writer.count <= capacity)
    if writer.hasOverflowed { return nil }
    return String(decoding: UnsafeRawBufferPointer(start: memory, count: writer.count), as: UTF8.self)
}
