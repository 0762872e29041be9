/// What an alias server has done since it was made. Numbers only grow.
public struct AliasDNSCounters: Hashable, Sendable {
    /// Messages that came, by transport, readable or not.
    public internal(set) var queriesUDP: UInt64 = 0
    public internal(set) var queriesTCP: UInt64 = 0

    /// Answers by RCODE (RFC 1035 section 4.1.1; BADVERS: RFC 6891), our own and relayed ones.
    public internal(set) var noError: UInt64 = 0
    public internal(set) var formatErrors: UInt64 = 0
    public internal(set) var serverFailures: UInt64 = 0
    public internal(set) var noSuchName: UInt64 = 0
    public internal(set) var notImplemented: UInt64 = 0
    public internal(set) var refused: UInt64 = 0
    public internal(set) var badVersion: UInt64 = 0
    /// Relayed answers with an RCODE not named above.
    public internal(set) var otherRcode: UInt64 = 0

    /// Queries given to the upstreams.
    public internal(set) var forwarded: UInt64 = 0
    /// Attempts at an upstream that ran out of time.
    public internal(set) var forwardTimeouts: UInt64 = 0
    /// Attempts at an upstream that failed otherwise: refused, unreachable, a broken stream.
    public internal(set) var forwardFailures: UInt64 = 0
    /// Queries answered SERVFAIL because too many were being forwarded.
    public internal(set) var forwardOverflows: UInt64 = 0
    /// Messages from upstreams that did not match the question and were ignored.
    public internal(set) var foreignReplies: UInt64 = 0

    /// Messages that got no answer: no header, a response, cut by the size limit, or the answer could not be sent.
    public internal(set) var dropped: UInt64 = 0
    /// Messages that broke the format, answered FORMERR or dropped.
    public internal(set) var malformed: UInt64 = 0
    /// Answers with the TC bit.
    public internal(set) var truncated: UInt64 = 0

    /// TCP clients whose connection we ended: idle, too much unread, a message too long.
    public internal(set) var clientsClosed: UInt64 = 0

    mutating func countAnswer(_ rcode: Rcode, isTruncated: Bool) {
        switch rcode {
        case .noError: noError += 1
        case .formatError: formatErrors += 1
        case .serverFailure: serverFailures += 1
        case .noSuchName: noSuchName += 1
        case .notImplemented: notImplemented += 1
        case .refused: refused += 1
        case .badVersion: badVersion += 1
        default: otherRcode += 1
        }
        if isTruncated { truncated += 1 }
    }
}
