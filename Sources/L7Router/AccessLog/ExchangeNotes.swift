import HTTPCodec

/// Texts of a request that outlive its head: for the access log, and for a response that tells the request's id. They
/// lie in memory that an exchange has from its first note on and keeps for the exchanges that follow.
struct ExchangeNotes {
    enum Slot: Int, CaseIterable {
        case method, host, target, userAgent, referer, requestID, traceID, service

        /// Bytes kept of the text; the rest is cut off.
        var capacity: Int {
            switch self {
            case .method: 32
            case .host: 264
            case .target: 1024
            case .userAgent: 256
            case .referer: 512
            case .requestID: RequestIdentity.longestID
            case .traceID: 32
            case .service: 128
            }
        }

        fileprivate var offset: Int {
            switch self {
            case .method: 16
            case .host: 48
            case .target: 312
            case .userAgent: 1336
            case .referer: 1592
            case .requestID: 2104
            case .traceID: 2232
            case .service: 2264
            }
        }
    }

    /// The lengths as 16-bit numbers, then the texts.
    private static let bytes = 2392
    private var memory: UnsafeMutableRawPointer?

    mutating func set(_ slot: Slot, _ text: UnsafeRawBufferPointer) {
        let memory = self.memory ?? allocate()
        let count = min(text.count, slot.capacity)
        memory.storeBytes(of: UInt16(truncatingIfNeeded: count), toByteOffset: 2 * slot.rawValue, as: UInt16.self)
        if let source = text.baseAddress { (memory + slot.offset).copyMemory(from: source, byteCount: count) }
    }

    subscript(slot: Slot) -> UnsafeRawBufferPointer {
        guard let memory else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let count = Int(memory.load(fromByteOffset: 2 * slot.rawValue, as: UInt16.self))
        return UnsafeRawBufferPointer(start: memory + slot.offset, count: count)
    }

    /// Forgets every text.
    func clear() { memory?.initializeMemory(as: UInt16.self, repeating: 0, count: 8) }

    private mutating func allocate() -> UnsafeMutableRawPointer {
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: Self.bytes, alignment: 16)
        memory = fresh
        clear()
        return fresh
    }

    mutating func deallocate() {
        memory?.deallocate()
        memory = nil
    }
}
