import TestSupport
import Testing

@testable import HTTPCodec

@Suite struct BodyDecoderTests {
    static let corpus = [
        "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET / next",
        "5;a=b;c=\"d\"\r\nhello\r\n6 ; x\r\n world\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        "a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n", "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0;last\r\n\r\n",
        "000000000000005\r\nhello\r\n0\r\n\r\n", "10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n",
        "7fffffffffffffff\r\nabc", "5\r\nhel",
    ].map { Array($0.utf8) }

    @Test(arguments: [
        ("0\r\n\r\n", "", 5), ("5\r\nhello\r\n0\r\n\r\n", "hello", 15),
        ("5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\nrest", "helloabc", 23),
        ("2;ext\r\nab\r\n0\r\n\r\n", "ab", 16), ("2 \t;e=\"q\"\r\nab\r\n0 ;x\r\n\r\n", "ab", 23),
        ("002\r\nab\r\n000\r\n\r\n", "ab", 16),
    ])
    func goodChunks(input: String, data: String, consumed: Int) {
        let decoded = DecodedBody(Array(input.utf8), .chunked, cuts: [])
        #expect(String(decoding: decoded.data, as: UTF8.self) == data)
        #expect(decoded.end == .finished(consumed: consumed))
    }

    @Test(
        arguments: [
            ("\r\n", .badChunkSize), ("g\r\n", .badChunkSize), (" 5\r\n", .badChunkSize), ("+5\r\n", .badChunkSize),
            ("-5\r\n", .badChunkSize), ("0x5\r\n", .badChunkSize), ("5\n", .badChunkSize), ("5\rx", .badChunkSize),
            (";x\r\n", .badChunkSize),
            ("5 5\r\n", .badChunkSize), ("5;a\nb\r\n", .badChunkSize), ("5;a\u{0}\r\n", .badChunkSize),
            ("5;a\r\r\n", .badChunkSize),
            ("8000000000000000\r\n", .badChunkSize), ("ffffffffffffffff\r\n", .badChunkSize),
            ("10000000000000000\r\n", .badChunkSize), ("00000000000000005\r\n", .badChunkSize),
            ("1\r\nab\r\n", .badChunkEnd), ("1\r\na\n", .badChunkEnd), ("1\r\na\rb", .badChunkEnd),
            ("1\r\na0\r\n\r\n", .badChunkEnd),
            ("0\r\nA: b\n\r\n", .bareLineFeed), ("0\r\n\n", .bareLineFeed), ("0\r\n\r\r\n\n", .bareLineFeed),
        ] as [(String, MessageError)])
    func badChunks(input: String, error: MessageError) {
        var bytes = Array(input.utf8)
        var decoder = BodyDecoder(.chunked)
        let count = bytes.count
        let found = bytes.withUnsafeMutableBytes { decoder.decode($0.baseAddress!, from: 0, to: count).error }
        #expect(found == error)
    }

    @Test func limitsOfSizeLinesAndTrailers() {
        func end(_ input: String) -> ChunkReference.End { DecodedBody(Array(input.utf8), .chunked, cuts: []).end }
        func pad(_ count: Int) -> String { String(repeating: "x", count: count) }
        #expect(end("0;" + pad(4_000) + "\r\n\r\n") == .finished(consumed: 4_006))
        #expect(end("0;" + pad(5_000)) == .malformed, "refused before its end has come")
        #expect(end("5 " + String(repeating: " ", count: 5_000)) == .malformed)
        #expect(end("0\r\nA: " + pad(4_000) + "\r\n\r\n") == .finished(consumed: 4_010))
        #expect(end("0\r\nA: " + pad(4_100)) == .malformed)
        #expect(end("0\r\n" + String(repeating: "A: b\r\n", count: 700)) == .malformed)
        #expect(end("0\r\n" + String(repeating: "A: b\r\n", count: 700) + "\r\n") == .malformed)
    }

    @Test func lengthBodies() {
        let input = Array("helloworld".utf8)
        for cut in 0...10 {
            let five = DecodedBody(input, .length(5), cuts: [cut])
            #expect(five.data == Array("hello".utf8) && five.end == .finished(consumed: 5))
            #expect(DecodedBody(input, .length(11), cuts: [cut]).end == .incomplete)
            #expect(DecodedBody(input, .length(.max), cuts: [cut]).data == input)
            #expect(DecodedBody(input, .none, cuts: [cut]).end == .finished(consumed: 0))
            #expect(DecodedBody(input, .length(0), cuts: [cut]).end == .finished(consumed: 0))
            #expect(DecodedBody(input, .untilClose, cuts: [cut]).data == input)
        }
    }

    @Test func whichBodiesMayEndWithTheStream() {
        #expect(BodyDecoder(.none).mayEndWithStream && BodyDecoder(.untilClose).mayEndWithStream)
        #expect(!BodyDecoder(.chunked).mayEndWithStream && !BodyDecoder(.length(1)).mayEndWithStream)
        #expect(BodyDecoder(.length(0)).mayEndWithStream && BodyDecoder(.length(0)).isFinished)
        #expect(!BodyDecoder(.untilClose).isFinished)
    }

    @Test func everyCutGivesTheSameBody() {
        for input in Self.corpus {
            let reference = ChunkReference(input)
            #expect(reference.end != .malformed)
            for first in 0...input.count {
                for second in first...input.count {
                    let decoded = DecodedBody(input, .chunked, cuts: [first, second])
                    #expect(
                        decoded.agrees(with: reference), "\(String(decoding: input, as: UTF8.self)) \(first) \(second)")
                }
            }
            #expect(DecodedBody(input, .chunked, cuts: Array(0...input.count)).agrees(with: reference))
        }
    }
}
