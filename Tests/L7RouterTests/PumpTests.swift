import CLinux
import Glibc
import HTTPCodec
import TestSupport
import Testing

@testable import L7Router
@testable import Reactor

/// Bodies through a `Pump`: received in pieces, decoded and framed in place, with the next request right behind.
@Suite struct PumpTests {
    /// A chunked body as a sender may write it, and its data.
    private func chunked(_ random: inout SeededRandom, longest: Int) -> (wire: [UInt8], data: [UInt8]) {
        var wire: [UInt8] = []
        var data: [UInt8] = []
        for _ in 0..<random.below(12) {
            let chunk = Self.pattern(1 + random.below(random.once(in: 4) ? longest : 40), from: data.count)
            let zeros = String(repeating: "0", count: random.below(4))
            let mark = random.once(in: 3) ? ";name=value" : ""
            wire += Array("\(zeros)\(String(chunk.count, radix: 16))\(mark)\r\n".utf8) + chunk + Array("\r\n".utf8)
            data += chunk
        }
        return (wire + Array("0\r\n".utf8), data)
    }

    private static func pattern(_ count: Int, from start: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: (start + $0) &* 31 &+ (start + $0) >> 8) }
    }

    @Test(arguments: 0..<24) func chunksInChunksOut(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let body = chunked(&random, longest: 600_000)
        let next = Array("GET /next HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        let wire = body.wire + Array("\r\n".utf8) + next
        let carried = try Carrier(.chunked, asChunks: true).carry(wire, &random)
        #expect(carried.error == nil)
        #expect(carried.rest == next, "what follows the body is untouched")
        #expect(Self.unchunk(carried.output) == body.data)
    }

    @Test(arguments: 0..<12) func chunksInPlainOut(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let body = chunked(&random, longest: 70_000)
        let carried = try Carrier(.chunked, asChunks: false).carry(body.wire + Array("\r\n".utf8), &random)
        #expect(carried.error == nil && carried.output == body.data)
    }

    /// Sizes around those of the buffers, small and large.
    @Test(arguments: [1, 16_358, 16_359, 16_360, 16_384, 40_000, 262_118, 262_119, 262_120, 262_144, 700_001])
    func lengthsAreCutExactly(size: Int) throws {
        var random = SeededRandom(seed: UInt64(size))
        let body = Self.pattern(size, from: 0)
        let carried = try Carrier(.length(UInt64(size)), asChunks: false).carry(body + Array("NEXT".utf8), &random)
        #expect(carried.output == body)
        #expect(carried.rest == Array("NEXT".utf8))
    }

    @Test(arguments: 0..<8) func bodiesThatEndWithTheirStreamBecomeChunks(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let body = Self.pattern(random.below(500_000), from: 0)
        let carried = try Carrier(.untilClose, asChunks: true).carry(body, &random)
        #expect(Self.unchunk(carried.output) == body)
    }

    @Test(arguments: 0..<12) func trailersGoOnWithoutThoseThatFrame(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let body = chunked(&random, longest: 20_000)
        let section = "X-Sum: 1\r\nContent-Length: 5\r\nHost: evil\r\nX-End: 2\r\n\r\n"
        let carried = try Carrier(.chunked, asChunks: true).carry(body.wire + Array(section.utf8), &random)
        let tail = Array("0\r\nX-Sum: 1\r\nX-End: 2\r\n\r\n".utf8)
        #expect(carried.output.suffix(tail.count) == tail[...])
        let whole = Array(carried.output.dropLast(tail.count)) + Array("0\r\n\r\n".utf8)
        #expect(Self.unchunk(whole) == body.data)
    }

    @Test func brokenChunksAreTold() throws {
        var random = SeededRandom(seed: 1)
        let carried = try Carrier(.chunked, asChunks: true).carry(Array("3\r\nabcX\r\n0\r\n\r\n".utf8), &random)
        #expect(carried.error == .badChunkEnd)
    }

    @Test func withoutABufferNothingIsRead() throws {
        let pair = try StreamPair()
        var pump = Pump()
        guard case .noBuffer = pump.fill(Transport(pair.near), BufferPool(limitBytes: 0)) else {
            Issue.record("a buffer beyond the limit")
            return
        }
    }

    /// A plain reading of the chunked coding; `nil` where the bytes are not exactly one body.
    private static func unchunk(_ wire: [UInt8]) -> [UInt8]? {
        var data: [UInt8] = []
        var rest = wire[...]
        while true {
            guard let end = rest.firstIndex(of: 13), end + 1 < rest.endIndex, rest[end + 1] == 10,
                let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16)
            else { return nil }
            rest = rest[(end + 2)...]
            if size == 0 { return Array(rest) == [13, 10] ? data : nil }
            guard rest.count >= size + 2 else { return nil }
            data += rest.prefix(size)
            rest = rest.dropFirst(size)
            guard rest.prefix(2) == [13, 10] else { return nil }
            rest = rest.dropFirst(2)
        }
    }
}

/// What a body became on the other side.
private struct Carried {
    var output: [UInt8] = []
    /// Bytes behind the body.
    var rest: [UInt8] = []
    var error: MessageError?
}

/// Sends a body into a pump in random pieces and takes every run out again.
private final class Carrier {
    private var decoder: BodyDecoder
    private let asChunks: Bool
    private var pump = Pump()

    init(_ framing: Framing, asChunks: Bool) {
        decoder = BodyDecoder(framing)
        self.asChunks = asChunks
    }

    func carry(_ wire: [UInt8], _ random: inout SeededRandom) throws -> Carried {
        let pool = BufferPool(limitBytes: 1 << 22)
        let pair = try StreamPair()
        var trailers = TrailerContext(fields: FieldTable(), limits: MessageLimits())
        defer { trailers.fields.deallocate() }
        var carried = Carried()
        var sent = 0
        var waits = true
        while !decoder.isFinished {
            if waits || !pump.hasRaw {
                if sent < wire.count { sent += pair.send(wire[sent...].prefix(piece(&random))) }
                guard case .bytes = pump.fill(Transport(pair.near), pool) else {
                    if sent < wire.count { continue }
                    break
                }
            }
            switch pump.decode(&decoder, asChunks: asChunks, &trailers) {
            case .malformed(let error):
                carried.error = error
                pump.release(pool)
                return carried
            case .needsMore: waits = true
            case .progress, .finished: waits = false
            }
            // In two parts, as a full socket takes it.
            let half = random.below(pump.run.count + 1)
            carried.output += pump.run.prefix(half)
            pump.consumeRun(half)
            carried.output += pump.run
            pump.consumeRun(pump.run.count)
        }
        finish(&carried, wire[sent...], pair, pool)
        return carried
    }

    private func finish(
        _ carried: inout Carried, _ unsent: ArraySlice<UInt8>, _ pair: StreamPair, _ pool: BufferPool
    ) {
        if decoder.mayEndWithStream, !decoder.isFinished {
            var trailers = TrailerContext(fields: FieldTable(), limits: MessageLimits())
            defer { trailers.fields.deallocate() }
            while case .bytes = pump.fill(Transport(pair.near), pool) {
                _ = pump.decode(&decoder, asChunks: asChunks, &trailers)
                carried.output += pump.run
                pump.consumeRun(pump.run.count)
            }
            if asChunks, pump.endChunks(pool) {
                carried.output += pump.run
                pump.consumeRun(pump.run.count)
            }
        }
        carried.rest = Array(pump.raw)
        while case .bytes = pump.fill(Transport(pair.near), pool) { carried.rest = Array(pump.raw) }
        carried.rest += unsent
        pump.release(pool)
        #expect(pool.leasedBytes == 0)
    }

    /// Mostly large, sometimes single bytes, so that every cut comes up.
    private func piece(_ random: inout SeededRandom) -> Int {
        random.once(in: 3) ? 1 + random.below(8) : 1 + random.below(120_000)
    }
}

/// Two ends of a stream inside the kernel: what one has sent the other has.
private final class StreamPair {
    let near: Socket
    let far: Socket

    init() throws {
        var ends: (Int32, Int32) = (-1, -1)
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let result = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { socketpair(AF_UNIX, kind, 0, $0) }
        }
        try #require(result == 0)
        near = Socket(descriptor: ends.0)
        far = Socket(descriptor: ends.1)
    }

    /// Bytes the kernel took.
    func send(_ bytes: ArraySlice<UInt8>) -> Int {
        guard case .count(let count) = bytes.withUnsafeBytes({ far.send($0.baseAddress!, $0.count) }) else { return 0 }
        return count
    }

    deinit {
        near.close()
        far.close()
    }
}
