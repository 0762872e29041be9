import HTTPCodec
import TestSupport
import Testing

/// Feeds a head in pieces as a connection does: scan, then parse where that is worth it.
private func readInPieces(_ bytes: [UInt8], cuts: [Int], limits: MessageLimits) -> ReadRequest {
    var scan = HeadScan()
    for end in cuts + [bytes.count] {
        let prefix = Array(bytes[..<end])
        guard withExactCopy(prefix, { scan.isWorthParsing($0, limitBytes: limits.headBytes) }) else { continue }
        let read = readRequest(prefix, limits: limits)
        if read.outcome != .incomplete { return read }
    }
    return ReadRequest(outcome: .incomplete)
}

@Suite struct HeadScanTests {
    static let corpus = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nrest\r\n\r\n",
        "\r\n\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n", "GET / HTTP/1.1\n\n", "\n",
        "\r\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n fold\r\n\r\n", "\r\n\r\n\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close, x\r\nX: 1\r\n\r\n"
            + "5\r\nhello\r\n0\r\n\r\n",
        "GET http://b:80/x HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"
            + "TE: trailers\r\nExpect: 100-continue\r\n\r\n",
    ].map { Array($0.utf8) }

    private func check(_ bytes: [UInt8], cuts: [Int], _ limits: MessageLimits = MessageLimits()) {
        let whole = readRequest(bytes, limits: limits)
        var pieces = readInPieces(bytes, cuts: cuts, limits: limits)
        // Which fault is named first may depend on the cut, and when: at the latest where the head ends.
        if whole.error != nil, pieces.outcome == .incomplete {
            pieces = readInPieces(bytes + Array("\r\n\r\n".utf8), cuts: cuts + [bytes.count], limits: limits)
        }
        let isSame = whole.error != nil ? pieces.error != nil : pieces == whole
        #expect(isSame, "\(String(decoding: bytes, as: UTF8.self)) at \(cuts)")
    }

    @Test func everyCutGivesTheSameOutcome() {
        for bytes in Self.corpus {
            for first in 0...bytes.count {
                check(bytes, cuts: [first])
                check(bytes, cuts: [first, min(first + 1, bytes.count)])
            }
            check(bytes, cuts: Array(0..<bytes.count))
        }
    }

    @Test func damagedHeadsInPieces() {
        var random = SeededRandom(seed: 6)
        let marks = Array("\r\n\r\n: /\t\u{0},;".utf8)
        for _ in 0..<20_000 {
            let bytes = random.mutate(
                random.element(of: Self.corpus), crossedWith: random.element(of: Self.corpus), interesting: marks)
            check(bytes, cuts: (0..<random.below(5)).map { _ in random.below(bytes.count + 1) }.sorted())
        }
    }

    @Test func smallLimitsInPieces() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<5_000 {
            let limits = MessageLimits(
                targetBytes: 1 + random.below(20), fields: 1 + random.below(4), headBytes: 1 + random.below(80))
            let bytes = Array(random.element(of: Self.corpus).prefix(limits.headBytes))
            check(bytes, cuts: Array(0..<bytes.count), limits)
        }
    }

    @Test func singleOctetsAreLookedAtOnce() {
        let bytes = Array(("GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 5_000) + "\r\n\r\n").utf8)
        var scan = HeadScan()
        let parses = (1...bytes.count).filter { end in
            withExactCopy(Array(bytes[..<end])) { scan.isWorthParsing($0, limitBytes: 15 << 10) }
        }
        #expect(parses == [1, bytes.count])
    }
}
