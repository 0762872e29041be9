import TestSupport
import Testing

@testable import HTTPCodec

@Suite struct ChunkFrameTests {
    @Test(arguments: [1, 2, 15, 16, 17, 255, 256, 4_095, 4_096, 65_535, 65_536, 1 << 20])
    func aFrameReadsBack(count: Int) {
        let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let size = ChunkFrame.headroom + count + ChunkFrame.tailroom
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
        defer { memory.deallocate() }
        memory[ChunkFrame.headroom..<ChunkFrame.headroom + count].copyBytes(from: data)
        let start = ChunkFrame.headroom
        let begin = ChunkFrame.begin(memory.baseAddress!, dataStart: start, dataEnd: start + count)
        let frame = Array(memory[begin..<start + count + 2])
        #expect(frame.prefix { $0 != 13 } == Array(String(count, radix: 16).utf8)[...])
        let decoded = DecodedBody(frame + Array("\(ChunkFrame.last)".utf8), .chunked, cuts: [])
        #expect(decoded.data == data)
        #expect(decoded.end == .finished(consumed: frame.count + 5))
    }
}

/// A relay that takes the chunked coding off what arrives and puts it round the same octets again, in one buffer.
private struct InPlaceRelay {
    /// What went on.
    var output: [UInt8] = []
    var isFinished = false
    private var decoder: BodyDecoder

    init(_ framing: Framing) { decoder = BodyDecoder(framing) }

    /// One read: `piece` lies behind the head room; returns how much of it was consumed.
    mutating func take(_ piece: [UInt8]) -> Int {
        let (head, tail) = (ChunkFrame.headroom, ChunkFrame.tailroom)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: head + piece.count + tail, alignment: 1)
        defer { memory.deallocate() }
        let end = head + piece.count
        memory[head..<end].copyBytes(from: piece)
        let step = decoder.decode(memory.baseAddress!, from: head, to: end)
        precondition(step.error == nil)
        let room = step.consumed == end ? end + tail : step.consumed
        if step.dataCount > 0 {
            let begin = ChunkFrame.begin(memory.baseAddress!, dataStart: step.dataStart, dataEnd: step.dataEnd)
            precondition(begin >= 0)
            var written = step.dataEnd + 2
            if step.isFinished {
                memory[written..<written + 5].copyBytes(from: "\(ChunkFrame.last)".utf8)
                written += 5
                if !step.trailers.isEmpty { precondition(step.dataEnd + 5 <= Int(step.trailers.start)) }
            }
            precondition(written <= room, "the frame reaches behind what was consumed")
            output += memory[begin..<written]
        } else if step.isFinished {
            precondition(step.consumed - 5 >= 0, "the last chunk does not fit before what was consumed")
            memory[step.consumed - 5..<step.consumed].copyBytes(from: "\(ChunkFrame.last)".utf8)
            output += memory[step.consumed - 5..<step.consumed]
        }
        precondition(Array(memory[step.consumed..<max(end, step.consumed)]) == Array(piece[(step.consumed - head)...]))
        isFinished = step.isFinished
        return step.consumed - head
    }
}

@Suite struct InPlaceFramingTests {
    private func randomBody(_ random: inout SeededRandom) -> (input: [UInt8], data: [UInt8]) {
        var input: [UInt8] = []
        var data: [UInt8] = []
        for _ in 0..<random.below(6) {
            let chunk = (0...random.below(random.once(in: 3) ? 40 : 4)).map { _ in UInt8(random.below(256)) }
            let zeros = String(repeating: "0", count: random.once(in: 3) ? random.below(5) : 0)
            input += Array((zeros + String(chunk.count, radix: 16, uppercase: random.once(in: 2))).utf8)
            if random.once(in: 4) { input += Array(" ;ext=\"v\"".utf8) }
            input += [13, 10] + chunk + [13, 10]
            data += chunk
        }
        input += Array("0\r\n".utf8)
        if random.once(in: 4) { input += Array("T: v\r\n".utf8) }
        return (input + [13, 10], data)
    }

    /// Whatever the cuts, what goes on decodes to the same data, and nothing behind `consumed` is touched.
    @Test(arguments: 0..<40)
    func relayedChunksAreTheSame(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        for _ in 0..<100 {
            let (body, data) = randomBody(&random)
            let input = body + Array("GET / HTTP/1.1\r\n".utf8)
            var relay = InPlaceRelay(.chunked)
            var start = 0
            var arrived = 0
            while !relay.isFinished {
                arrived = min(input.count, arrived + 1 + random.below(random.once(in: 2) ? 4 : 60))
                start += relay.take(Array(input[start..<arrived]))
            }
            #expect(start == body.count, "the next request is left alone")
            let again = ChunkReference(relay.output)
            #expect(again.data == data && again.end == .finished(consumed: relay.output.count))
        }
    }

    @Test func aBodyUntilCloseIsFramed() {
        var relay = InPlaceRelay(.untilClose)
        for piece in ["hello", " ", "world"] { #expect(relay.take(Array(piece.utf8)) == piece.utf8.count) }
        #expect(String(decoding: relay.output, as: UTF8.self) == "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n")
    }
}
