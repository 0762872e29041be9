import HTTPCodec
import Testing

/// W3C Trace Context, section 3.
@Suite struct TraceContextTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let span = "00f067aa0ba902b7"

    @Test(arguments: [
        ("00-\(trace)-\(span)-01", true), ("00-\(trace)-\(span)-ff", true), ("01-\(trace)-\(span)-01", true),
        ("cc-\(trace)-\(span)-01-more", true), ("ff-\(trace)-\(span)-01", false),
        ("00-\(trace)-\(span)-01-more", false), ("cc-\(trace)-\(span)-01more", false),
        ("00-\(trace)-\(span)-0", false), ("00-\(trace)-\(span)", false), ("", false),
        ("00-\(trace.uppercased())-\(span)-01", false), ("00-\(trace)-\(span)-0G", false),
        ("00-00000000000000000000000000000000-\(span)-01", false), ("00-\(trace)-0000000000000000-01", false),
        ("00_\(trace)-\(span)-01", false), ("0g-\(trace)-\(span)-01", false), ("00-\(trace)\(span)--01", false),
    ])
    func parent(text: String, isValid: Bool) {
        #expect(Array(text.utf8).withUnsafeBytes { TraceContext.isValidParent($0) } == isValid, "\(text)")
    }

    private func isValid(_ lines: [String]) -> Bool {
        var fields = FieldTable()
        defer { fields.deallocate() }
        var head = RequestHead()
        let text = "GET / HTTP/1.1\r\nHost: x\r\n" + lines.map { "TraceState: \($0)\r\n" }.joined() + "\r\n"
        return Array(text.utf8).withUnsafeBytes { raw in
            guard case .complete = head.parse(raw, limits: MessageLimits(), fields: &fields), let base = raw.baseAddress
            else { return false }
            return TraceContext.isValidState(fields, from: base)
        }
    }

    private static let long = String(repeating: "v", count: 256)
    private static let members = (0..<32).map { "k\($0)=v" }

    private static let valid: [[String]] = [
        ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], ["a=1", "b=2, c=3"], [""], ["a=1,,b=2,"],
        ["fw529a3039@dt=FfAAAAE", "0a=x y"], ["a_-*/1=!~"], ["a=\(long)"], ["\(long)=1"],
        [members.joined(separator: ",")],
    ]

    private static let malformed: [[String]] = [
        ["a=1, a=2"], ["a=1", "a=2"], ["A=1"], ["_a=1"], ["a"], ["a="], ["=1"], ["a=1=2"], ["a=\u{e9}"], ["a b=1"],
        ["a=v\(long)"], ["v\(long)=1"], [members.joined(separator: ","), "last=1"],
    ]

    @Test(arguments: valid) func stateThatGoesOn(lines: [String]) { #expect(isValid(lines), "\(lines)") }

    @Test(arguments: malformed) func stateThatDoesNot(lines: [String]) { #expect(!isValid(lines), "\(lines)") }
}
