import HTTPCodec
import NetAddress
import TestSupport
import Testing

@testable import L7Router

/// What instances are told of the client.
@Suite struct ForwardingTests {
    private static let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    private func origin(
        _ peer: String = "192.0.2.7", trusted: Bool = true, _ fields: ForwardingOptions.Fields = .both
    ) throws -> RequestOrigin {
        RequestOrigin(peer: try #require(IPAddress(peer)), isTrusted: trusted, port: 80, fields: fields)
    }

    /// The values of a field in the head that the instance gets.
    private func values(_ name: String, _ fields: [String], _ origin: RequestOrigin, host: String = "x") throws
        -> [String]
    {
        let head = "GET / HTTP/1.1\r\nHost: \(host)\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
        let lines = try WriterTests.rendered(head, origin).split(separator: "\r\n")
        return lines.filter { $0.lowercased().hasPrefix(name.lowercased() + ": ") }
            .map { String($0.dropFirst(name.utf8.count + 2)) }
    }

    // MARK: - Forwarded

    @Test(arguments: [
        ("192.0.2.7", "x.test", "for=192.0.2.7;host=x.test;proto=http"),
        ("192.0.2.7", "x.test:81", "for=192.0.2.7;host=\"x.test:81\";proto=http"),
        ("2001:db8::1", "[::1]", "for=\"[2001:db8::1]\";host=\"[::1]\";proto=http"),
    ])
    func forwardedIsQuoted(peer: String, host: String, expected: String) throws {
        let found = try values("Forwarded", [], origin(peer, trusted: false, .forwarded), host: host)
        #expect(found == [expected])
    }

    @Test func forwardedOfATrustedProxyGoesOn() throws {
        let lines = ["Forwarded: for=_a;secret=1", "Forwarded: for=\"[::1]:2\""]
        let own = "for=192.0.2.7;host=x;proto=http"
        #expect(
            try values("Forwarded", lines, origin()) == ["for=_a;secret=1, for=\"[::1]:2\", \(own)"])
        #expect(try values("Forwarded", lines, origin(trusted: false)) == [own])
        // An open quote would swallow what is appended.
        #expect(try values("Forwarded", lines + ["Forwarded: for=\"x"], origin()) == [own])
    }

    // MARK: - Cookies

    private static let session = "mesh-0123abcd=" + String(repeating: "0f", count: 24)

    @Test(arguments: [
        (["a=b"], ["a=b"]), ([session], []), (["a=b; \(session)"], ["a=b"]), (["\(session); a=b"], ["a=b"]),
        (["a=b; \(session);c=\"d e\""], ["a=b; c=\"d e\""]), (["\(session)", "x=y"], ["x=y"]),
        (["a=b", "\(session);  \(session) ; c"], ["c", "a=b"]), ([";\(session);"], []),
        // What has not the whole form is somebody else's.
        (["\(session)0"], ["\(session)0"]), (["\(session.dropLast())"], ["\(session.dropLast())"]),
        (["M\(session.dropFirst())"], ["M\(session.dropFirst())"]), (["mesh-=; =;;"], ["mesh-=; =;;"]),
        ([session.uppercased()], [session.uppercased()]),
    ])
    func sessionCookiesStayHere(came: [String], goesOn: [String]) throws {
        #expect(try values("Cookie", came.map { "Cookie: \($0)" }, origin()) == goesOn)
    }

    // MARK: - X-Forwarded

    @Test func theTrustedAreAddedToAndOthersReplaced() throws {
        let said = [
            "X-Forwarded-For: 10.0.0.1, 10.0.0.2", "X-Forwarded-Proto: https", "X-Forwarded-Host: outer",
            "X-Forwarded-Port: 443", "X-Forwarded-For: 10.0.0.3",
        ]
        let names = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"]
        let kept = try names.map { try values($0, said, origin()) }
        #expect(kept == [["10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7"], ["https"], ["outer"], ["443"]])
        let replaced = try names.map { try values($0, said, origin(trusted: false)) }
        #expect(replaced == [["192.0.2.7"], ["http"], ["x"], ["80"]])
        // A Connection field cannot take them away.
        let dropped = try names.map {
            try values($0, said + ["Connection: X-Forwarded-For, X-Forwarded-Proto"], origin())
        }
        #expect(dropped == [["10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7"], ["http"], ["outer"], ["443"]])
    }

    @Test(arguments: [ForwardingOptions.Fields.none, .forwarded, .xForwarded, .both])
    func whatIsNotSentIsNotForgedEither(fields: ForwardingOptions.Fields) throws {
        let said = ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1", "X-Forwarded-Proto: https"]
        let x = try values("X-Forwarded-For", said, origin(trusted: false, fields))
        let forwarded = try values("Forwarded", said, origin(trusted: false, fields))
        #expect(x == (fields.sendsXForwarded ? ["192.0.2.7"] : []))
        #expect(forwarded == (fields.sendsForwarded ? ["for=192.0.2.7;host=x;proto=http"] : []))
        // From a trusted proxy it goes on as it is.
        if fields == .none {
            #expect(try values("X-Forwarded-For", said, origin(trusted: true, fields)) == ["10.0.0.1"])
            #expect(try values("X-Forwarded-Proto", said, origin(trusted: true, fields)) == ["https"])
        }
    }

    @Test func encryptedConnectionsAreToldAsSuch() throws {
        var secure = try origin(trusted: false)
        secure.isSecure = true
        #expect(try values("X-Forwarded-Proto", [], secure) == ["https"])
        #expect(try values("Forwarded", [], secure) == ["for=192.0.2.7;host=x;proto=https"])
    }

    // MARK: - Request id

    @Test func idsOfTrustedProxiesAreKept() throws {
        let id = "X-Request-ID: abc-123_~.+/=:@"
        #expect(try values("X-Request-ID", [id], origin()) == ["abc-123_~.+/=:@"])
        for lines in [[], [id, id], ["X-Request-ID:"], ["X-Request-ID: a b"], ["X-Request-ID: a\"b"]] {
            let made = try values("X-Request-ID", lines, origin())
            #expect(made.count == 1 && isUUID(made[0]), "\(lines) \(made)")
        }
        let long = "X-Request-ID: " + String(repeating: "a", count: 129)
        #expect(try isUUID(values("X-Request-ID", [long], origin())[0]))
        #expect(try isUUID(values("X-Request-ID", [id], origin(trusted: false))[0]))
    }

    private func isUUID(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.count) == [8, 4, 4, 4, 12], parts[2].first == "4", "89ab".contains(parts[3].prefix(1)) else {
            return false
        }
        return parts.joined().allSatisfy { "0123456789abcdef".contains($0) }
    }

    @Test func randomBitsDoNotRepeat() {
        var random = RandomBits(seed: (1, 2, 3, 4))
        var other = RandomBits(seed: (5, 6, 7, 8))
        let numbers = (0..<10_000).flatMap { _ in [random.next(), other.next()] }
        #expect(Set(numbers).count == numbers.count)
        for bit in 0..<64 {
            let ones = numbers.filter { $0 >> UInt64(bit) & 1 == 1 }.count
            #expect((9_500...10_500).contains(ones), "bit \(bit): \(ones)")
        }
    }

    // MARK: - Trace context

    @Test func validTracesPassUntouched() throws {
        let lines = ["traceparent: \(Self.trace)", "tracestate: a=1", "tracestate: b=2 , c=3"]
        for trusted in [true, false] {
            #expect(try values("traceparent", lines, origin(trusted: trusted)) == [Self.trace])
            #expect(try values("tracestate", lines, origin(trusted: trusted)) == ["a=1", "b=2 , c=3"])
        }
        #expect(try values("traceparent", lines + ["tracestate: a=4"], origin()) == [Self.trace])
        #expect(try values("tracestate", lines + ["tracestate: a=4"], origin()) == [])
    }

    @Test(arguments: [["traceparent: 00-x"], [], ["traceparent: \(trace)", "traceparent: \(trace)"]])
    func malformedTracesStayHere(lines: [String]) throws {
        let all = lines + ["tracestate: a=1"]
        #expect(try values("traceparent", all, origin()) == [])
        #expect(try values("tracestate", all, origin()) == [])
        var generating = try origin()
        generating.generatesTraceParent = true
        let made = try values("traceparent", all, generating)
        #expect(made.count == 1 && Array(made[0].utf8).withUnsafeBytes { TraceContext.isValidParent($0) })
        #expect(try values("tracestate", all, generating) == [])
        #expect(try values("traceparent", ["traceparent: \(Self.trace)"], generating) == [Self.trace])
    }
}

/// Whose request it is.
@Suite struct ClientAddressTests {
    private func client(_ lines: [String], forwarded: Bool = false) throws -> String {
        var options = ForwardingOptions()
        options.fields = forwarded ? .forwarded : .xForwarded
        options.trustedProxies = [try #require(IPNetwork("10.0.0.0/8")), try #require(IPNetwork("fd00::/8"))]
        var fields = FieldTable()
        defer { fields.deallocate() }
        var head = RequestHead()
        let name = forwarded ? "Forwarded" : "X-Forwarded-For"
        let text = "GET / HTTP/1.1\r\nHost: x\r\n" + lines.map { "\(name): \($0)\r\n" }.joined() + "\r\n"
        let peer = try #require(IPAddress("10.9.9.9"))
        return try Array(text.utf8).withUnsafeBytes { raw in
            #expect(head.parse(raw, limits: MessageLimits(), fields: &fields) == .complete(raw.count))
            let base = try #require(raw.baseAddress)
            return "\(ClientAddress.find(fields, from: base, peer: peer, options))"
        }
    }

    @Test(arguments: [
        ([], "10.9.9.9"), (["192.0.2.1"], "192.0.2.1"), (["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        (["203.0.113.9", "192.0.2.1, 10.0.0.1", "10.0.0.2"], "192.0.2.1"), (["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        (["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"), (["192.0.2.1, unknown"], "10.9.9.9"),
        (["2001:db8::1, fd00::1"], "2001:db8::1"), (["[2001:db8::1]:443"], "2001:db8::1"),
        (["192.0.2.1:5000"], "192.0.2.1"), (["192.0.2.1:"], "10.9.9.9"), (["\"192.0.2.1\""], "10.9.9.9"),
        (["[192.0.2.1]"], "10.9.9.9"), (["192.0.2.1:123456"], "10.9.9.9"), (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["::ffff:10.0.0.1"], "10.0.0.1"), (["<script>, 10.0.0.1"], "10.0.0.1"),
    ])
    func fromXForwardedFor(lines: [String], expected: String) throws { #expect(try client(lines) == expected) }

    @Test(arguments: [
        ([], "10.9.9.9"), (["for=192.0.2.1"], "192.0.2.1"), (["for=203.0.113.9, for=192.0.2.1;by=_x"], "192.0.2.1"),
        (["For=\"[2001:db8::1]:4711\", for=10.0.0.1"], "2001:db8::1"), (["for=\"192.0.2.1:_p0rt\""], "192.0.2.1"),
        (["for=192.0.2.1, for=_hidden, for=10.0.0.1"], "10.0.0.1"), (["for=192.0.2.1, proto=http"], "10.9.9.9"),
        (["for=\"2001:db8::1\""], "10.9.9.9"), (["for=192.0.2.1", "for=\"x"], "10.9.9.9"),
        (["for=192.0.2.1;for=192.0.2.2"], "10.9.9.9"),
    ])
    func fromForwarded(lines: [String], expected: String) throws {
        #expect(try client(lines, forwarded: true) == expected)
    }
}
