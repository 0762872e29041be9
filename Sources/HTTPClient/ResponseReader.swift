internal import HTTPCodec

/// One response in the order its octets come: interim heads, the head, the body. Pure.
///
/// The caller offers what it has received and has not been told to be consumed, always from the start.
struct ResponseReader {
    enum Step: Equatable {
        /// Not whole yet; so many octets are dealt with.
        case more(consumed: Int)
        case finished(FetchResult)
    }

    private enum State {
        case head
        case body(BodyDecoder)
    }

    /// 1xx responses skipped before the response proper (RFC 9110 section 15.2).
    static let interimLimit = 10

    private let toHead: Bool
    private let keepsBody: Bool
    private let limit: Int
    private var state = State.head
    private var interims = 0
    /// 0 before the head.
    private(set) var status = 0
    private var body: [UInt8] = []

    init(_ request: FetchRequest) {
        toHead = request.method == "HEAD"
        keepsBody = request.keepsBody
        limit = max(request.bodyLimitBytes, 0)
    }

    var isInBody: Bool { if case .body = state { true } else { false } }

    /// Reads on in `count` octets; a body is decoded in place.
    mutating func read(_ base: UnsafeMutableRawPointer, _ count: Int) -> Step {
        var position = 0
        while true {
            switch state {
            case .head:
                var head = ResponseHead()
                let rest = UnsafeRawBufferPointer(start: base + position, count: count - position)
                switch Self.parse(&head, rest, toHead) {
                case .incomplete: return .more(consumed: position)
                case .malformed(let error): return .finished(.failed(.malformed(error)))
                case .complete(let size): position += size
                }
                if let result = take(head) { return .finished(result) }
            case .body(var decoder):
                let step = decoder.decode(base, from: position, to: count)
                state = .body(decoder)
                return take(step, base)
            }
        }
    }

    /// Hands over the decoded body so far, which then no longer counts against the limit.
    mutating func takeBody() -> [UInt8] {
        let taken = body
        body = []
        return taken
    }

    /// The server will send no more.
    func streamEnded() -> FetchResult {
        if case .body(let decoder) = state, decoder.mayEndWithStream { return .response(status: status, body: body) }
        return .failed(.closedEarly)
    }

    private static func parse(
        _ head: inout ResponseHead, _ bytes: UnsafeRawBufferPointer, _ toHead: Bool
    ) -> HeadOutcome {
        var fields = FieldTable()
        defer { fields.deallocate() }
        return head.parse(bytes, toHead: toHead, limits: MessageLimits(), fields: &fields)
    }

    /// The result, where the head already decides it.
    private mutating func take(_ head: ResponseHead) -> FetchResult? {
        if head.isInterim {
            interims += 1
            // A server that only ever says "wait" is as broken as one that says nonsense.
            return interims > Self.interimLimit ? .failed(.malformed(.badStatusLine)) : nil
        }
        status = head.status
        guard keepsBody, head.framing != .none else { return .response(status: status, body: []) }
        if case .length(let length) = head.framing, length > UInt64(limit) { return .failed(.bodyTooLarge) }
        state = .body(BodyDecoder(head.framing))
        return nil
    }

    private mutating func take(_ step: BodyDecoder.Step, _ base: UnsafeMutableRawPointer) -> Step {
        if let error = step.error { return .finished(.failed(.malformed(error))) }
        guard step.dataCount <= limit - body.count else { return .finished(.failed(.bodyTooLarge)) }
        body.append(contentsOf: UnsafeRawBufferPointer(start: base + step.dataStart, count: step.dataCount))
        return step.isFinished
            ? .finished(.response(status: status, body: body)) : .more(consumed: step.consumed)
    }
}
