import HTTPCodec
import TestSupport
import Testing

@Suite struct HeadWriterTests {
    /// The request line and fields as they would go on.
    private func forwarded(_ head: String) -> String? {
        var (request, fields) = (RequestHead(), FieldTable())
        defer { fields.deallocate() }
        return withExactCopy(Array(head.utf8)) { base in
            guard case .complete = request.parse(base, limits: MessageLimits(), fields: &fields) else { return nil }
            return written { writer in
                writer.appendRequestLine(request, from: base.baseAddress!)
                writer.appendFields(fields, from: base.baseAddress!)
            }
        }
    }

    @Test(arguments: [
        ("GET /a?b HTTP/1.0", "GET /a?b HTTP/1.1"), ("GET http://h/a?b HTTP/1.1", "GET /a?b HTTP/1.1"),
        ("GET http://h HTTP/1.1", "GET / HTTP/1.1"), ("GET http://h?b HTTP/1.1", "GET /?b HTTP/1.1"),
        ("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1"), ("OPTIONS http://h HTTP/1.1", "OPTIONS * HTTP/1.1"),
        ("OPTIONS http://h/ HTTP/1.1", "OPTIONS / HTTP/1.1"), ("OPTIONS http://h?q HTTP/1.1", "OPTIONS /?q HTTP/1.1"),
    ])
    func requestLines(line: String, forwardedLine: String) {
        #expect(forwarded("\(line)\r\nHost: h\r\n\r\n") == "\(forwardedLine)\r\nHost: h\r\n")
    }

    @Test func droppedFieldsAreLeftOut() {
        #expect(
            forwarded(
                "GET / HTTP/1.1\r\nConnection: a\r\nA: 1\r\nHost: h\r\nB:2 \r\nKeep-Alive: x\r\nC: 3\r\nTE: x\r\n\r\n")
                == "GET / HTTP/1.1\r\nHost: h\r\nB:2 \r\nC: 3\r\n")
        #expect(forwarded("GET / HTTP/1.0\r\nConnection: close\r\n\r\n") == "GET / HTTP/1.1\r\n")
    }

    @Test(arguments: [
        ("HTTP/1.0 200 OK", "HTTP/1.1 200 OK\r\n"), ("HTTP/1.1 204", "HTTP/1.1 204 \r\n"),
        ("HTTP/1.1 304 ", "HTTP/1.1 304 \r\n"),
    ])
    func statusLines(line: String, wanted: String) {
        var (response, fields) = (ResponseHead(), FieldTable())
        defer { fields.deallocate() }
        let found = withExactCopy(Array("\(line)\r\n\r\n".utf8)) { base in
            _ = response.parse(base, toHead: false, limits: MessageLimits(), fields: &fields)
            return written { $0.appendStatusLine(response, from: base.baseAddress!) }
        }
        #expect(found == wanted)
    }

    @Test func decimals() {
        for value in [0, 7, 10, 99, 100, 12_345, .max - 1, .max] as [UInt64] {
            #expect(written { $0.append(decimal: value) } == "\(value)")
        }
    }

    @Test func hexadecimals() {
        #expect(written { $0.append(hex: 0x0123_4567_89ab_cdef) } == "0123456789abcdef")
        #expect(written { $0.append(hex: 0xf0, digits: 2) } == "f0")
        #expect(written { $0.append(hex: 0x1_0000, digits: 5) } == "10000")
        #expect(
            written { $0.append(uuid: 0x0123_4567_89ab_4def, 0xb021_3a5c_7e9f_0001) }
                == "01234567-89ab-4def-b021-3a5c7e9f0001")
    }

    @Test func whatDoesNotFitIsNotWritten() {
        for capacity in 0..<8 {
            #expect(written(capacity: capacity) { $0.append("12345678") } == nil)
            #expect(written(capacity: capacity) { $0.append(decimal: 12_345_678) } == nil)
            #expect(written(capacity: capacity) { $0.append(hex: 0, digits: 8) } == nil)
        }
        #expect(written(capacity: 8) { $0.append("12345678") } == "12345678")
        #expect(written(capacity: 0) { $0.append(byte: 1) } == nil)
        #expect(
            written(capacity: 8) {
                $0.append("1234567")
                $0.append("89")
                $0.append("0")
            } == nil, "an overflow stays")
    }

    @Test func trailersThatMayGoOn() {
        func trailers(_ section: String) -> String? {
            var fields = FieldTable()
            defer { fields.deallocate() }
            return withExactCopy(Array(section.utf8)) { base in
                var isGood = false
                let text = written {
                    isGood = $0.appendTrailers(
                        ByteRange(0, base.count), from: base.baseAddress!, limits: MessageLimits(), fields: &fields)
                }
                return isGood ? text : nil
            }
        }
        #expect(
            trailers("A: 1\r\nContent-Length: 5\r\nB: 2\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                == "A: 1\r\nB: 2\r\n")
        #expect(trailers("Connection: close\r\nX-Forwarded-For: 1\r\nTrailer: x\r\n\r\n") == "")
        for bad in [
            "A : 1\r\n\r\n", "A: 1\r\n", " A: 1\r\n\r\n", "A: \u{1}\r\n\r\n", "A: 1\n\r\n", "A: 1\r\n\r\nB: 2\r\n\r\n",
        ] {
            #expect(trailers(bad) == nil)
        }
    }
}
