import HTTPCodec
import TestSupport
import Testing

// Bounded runs of what `fuzz/` does without end: damaged inputs must not trap, and offsets lie inside the input.

@Suite struct FuzzTests {
    private static let marks = Array("\r\n\r\n: \t,;\u{0}\u{7f}0aA/*?[]@".utf8) + [0x80, 0xff]

    private static let responses = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.0 404\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nConnection: close, x-a\r\nX-A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nKeep-Alive: timeout=5\r\n\r\n",
    ].map { Array($0.utf8) }

    @Test(arguments: 0..<10)
    func requestHeads(seed: Int) {
        var random = SeededRandom(seed: 100 + UInt64(seed))
        var completes = 0
        for _ in 0..<10_000 {
            let limits =
                random.once(in: 4)
                ? MessageLimits(
                    targetBytes: 1 + random.below(30), fields: random.below(5), headBytes: 1 + random.below(200))
                : MessageLimits()
            let input = random.mutate(
                random.element(of: HeadScanTests.corpus), crossedWith: random.element(of: HeadScanTests.corpus),
                interesting: Self.marks)
            let read = readRequest(input, limits: limits)
            guard case .complete(let end) = read.outcome else { continue }
            completes += 1
            checkRequest(read, input, end)
        }
        #expect(completes > 200, "the mutations leave something to look at")
    }

    /// What no accepted request may be, whatever led to it.
    private func checkRequest(_ read: ReadRequest, _ input: [UInt8], _ end: Int) {
        let head = input[..<end]
        #expect(head.suffix(4).elementsEqual("\r\n\r\n".utf8) || read.fields.isEmpty)
        #expect(!head.contains(0) && !head.contains(0x7f))
        for (index, byte) in head.enumerated() {
            if byte == 10 { #expect(index > 0 && head[index - 1] == 13, "a bare line feed") }
            if byte == 13 { #expect(index + 1 < end && head[index + 1] == 10, "a bare carriage return") }
        }
        let names = read.fields.map { $0.name.lowercased() }
        #expect(names.filter { $0 == "host" }.count <= 1 && names.filter { $0 == "content-length" }.count <= 1)
        #expect(!(names.contains("content-length") && names.contains("transfer-encoding")))
        #expect(read.minor == 0 || names.contains("host"))
        #expect((read.framing == .chunked) == names.contains("transfer-encoding"))
        for field in read.fields {
            #expect(!field.name.isEmpty && !field.name.contains { " \t:\r\n".contains($0) })
            #expect(!field.value.hasPrefix(" ") && !field.value.hasSuffix(" "))
            if ["connection", "transfer-encoding", "te", "keep-alive"].contains(field.name.lowercased()) {
                #expect(field.isDropped)
            }
        }
    }

    @Test(arguments: 0..<10)
    func responseHeads(seed: Int) {
        var random = SeededRandom(seed: 200 + UInt64(seed))
        var completes = 0
        for _ in 0..<10_000 {
            let input = random.mutate(
                random.element(of: Self.responses), crossedWith: random.element(of: Self.responses),
                interesting: Self.marks)
            let read = readResponse(input, toHead: random.once(in: 5))
            guard case .complete(let end) = read.outcome else { continue }
            completes += 1
            #expect((100..<600).contains(read.status))
            #expect(!input[..<end].contains(0))
            let names = read.fields.map { $0.name.lowercased() }
            #expect(!(names.contains("content-length") && names.contains("transfer-encoding")))
            if read.framing == .untilClose { #expect(!read.keepsAlive) }
        }
        #expect(completes > 500)
    }

    @Test(arguments: 0..<10)
    func chunks(seed: Int) {
        var random = SeededRandom(seed: 300 + UInt64(seed))
        var ends = [0, 0, 0]
        for _ in 0..<10_000 {
            let input = random.mutate(
                random.element(of: BodyDecoderTests.corpus), crossedWith: random.element(of: BodyDecoderTests.corpus),
                interesting: Self.marks)
            let reference = ChunkReference(input)
            switch reference.end {
            case .finished: ends[0] += 1
            case .incomplete: ends[1] += 1
            case .malformed: ends[2] += 1
            }
            let cuts = (0..<random.below(5)).map { _ in random.below(input.count + 1) }.sorted()
            let decoded = DecodedBody(input, .chunked, cuts: cuts)
            let isSame = decoded.agrees(with: reference)
            #expect(
                isSame,
                "\(String(decoding: input, as: UTF8.self).debugDescription) \(cuts) \(decoded.end) \(reference.end)")
        }
        #expect(ends.allSatisfy { $0 > 300 }, "\(ends)")
    }
}
