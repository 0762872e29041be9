import Testing

@testable import HTTPClient

/// Feeds `bytes` in random pieces, keeping what the reader leaves, as the fetch does.
private func read(_ bytes: [UInt8], limit: Int, _ random: inout SeededRandom) -> FetchResult {
    let request = FetchRequest(
        "GET", "/", to: .unix(path: ""), host: "", timeoutNanoseconds: 0, bodyLimitBytes: limit)
    var reader = ResponseReader(request)
    let capacity = 16 << 10
    let base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
    defer { base.deallocate() }
    var filled = 0
    var offset = 0
    while offset < bytes.count {
        let count = min(Int(random.next() % 700) + 1, bytes.count - offset, capacity - filled)
        guard count > 0 else { return .failed(.outOfBuffers) }
        bytes.withUnsafeBytes { (base + filled).copyMemory(from: $0.baseAddress! + offset, byteCount: count) }
        offset += count
        switch reader.read(base, filled + count) {
        case .finished(let result): return result
        case .more(let consumed):
            precondition((0...filled + count).contains(consumed))
            filled += count - consumed
            base.copyMemory(from: base + consumed, byteCount: filled)
        }
    }
    return reader.streamEnded()
}

@Suite struct ResponseReaderTests {
    private static let seeds = [
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nServer: x\r\n\r\nhello, world",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\nuntil close",
    ]

    @Test(arguments: 0..<40)
    func piecesDoNotMatter(seed: Int) {
        var random = SeededRandom(state: UInt64(seed))
        let expected: [FetchResult] = [
            .response(status: 200, body: Array("hello, world".utf8)),
            .response(status: 200, body: Array("hello, world".utf8)),
            .response(status: 404, body: Array("until close".utf8)),
        ]
        for (text, result) in zip(Self.seeds, expected) {
            let outcome = read(Array(text.utf8), limit: 100, &random)
            #expect(outcome == result)
        }
    }

    /// Broken input neither traps nor fills the buffer nor yields more than the limit.
    @Test(arguments: 0..<20)
    func survivesMutations(seed: Int) {
        var random = SeededRandom(state: UInt64(seed) &+ 1000)
        for _ in 0..<500 {
            var bytes = Array(Self.seeds[Int(random.next() % 3)].utf8)
            for _ in 0..<random.next() % 6 + 1 {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 4 {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(contentsOf: bytes[at...].prefix(40), at: at)
                default:
                    let run = [UInt8](repeating: bytes[at], count: Int(random.next() % 6000))
                    bytes.insert(contentsOf: run, at: at)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            let result = read(bytes, limit: 50, &random)
            #expect(result != .failed(.outOfBuffers), "seed \(seed): the buffer filled without progress")
            if case .response(let status, let body) = result {
                #expect((101..<600).contains(status))
                #expect(body.count <= 50)
            }
        }
    }
}

private struct SeededRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 32
    }
}
