/// What becomes of one forwarded query: which upstream is asked, how, and when it ends. Pure.
///
/// Upstreams are asked in turn, beginning with the preferred one, each once. A client on TCP wants the whole answer:
/// a truncated one is asked for again over TCP, of the same upstream.
struct ForwardMachine {
    enum Step: Hashable {
        /// Ask this upstream with this message id, and give it the time of one attempt.
        case ask(upstream: Int, overTCP: Bool, id: UInt16)
        /// Hand the reply at hand to the client.
        case relay
        /// Every upstream was asked in vain: SERVFAIL.
        case giveUp
        /// The message was not meant for us; the deadline stands.
        case wait
    }

    private let upstreamCount: Int
    private let first: Int
    private let wantsWhole: Bool
    private var attempt = 0
    private(set) var isOverTCP = false
    private(set) var id: UInt16 = 0

    /// - Parameter upstreamCount: at least 1.
    init(upstreamCount: Int, preferred: Int, wantsWhole: Bool) {
        self.upstreamCount = upstreamCount
        self.first = preferred
        self.wantsWhole = wantsWhole
    }

    /// The upstream asked now.
    var upstream: Int { (first + attempt) % max(upstreamCount, 1) }

    mutating func start(using random: inout some RandomNumberGenerator) -> Step {
        guard attempt < upstreamCount else { return .giveUp }
        id = UInt16.random(in: .min ... .max, using: &random)
        return .ask(upstream: upstream, overTCP: isOverTCP, id: id)
    }

    /// The attempt came to nothing: a timeout, a refusal, a broken stream.
    mutating func failed(using random: inout some RandomNumberGenerator) -> Step {
        attempt += 1
        isOverTCP = false
        return start(using: &random)
    }

    mutating func received(_ reply: Reply, using random: inout some RandomNumberGenerator) -> Step {
        switch reply {
        case .foreign: return isOverTCP ? failed(using: &random) : .wait
        case .headerOnly: return failed(using: &random)
        case .unwilling: return attempt + 1 < upstreamCount ? failed(using: &random) : .relay
        case .truncated where wantsWhole && !isOverTCP:
            isOverTCP = true
            return start(using: &random)
        case .truncated, .usable: return .relay
        }
    }
}

/// What a message from an upstream is.
enum Reply: Hashable {
    /// Not the answer to our question: it may be forged and changes nothing.
    case foreign
    /// An error without the question, from a server that could not read our message.
    case headerOnly
    /// SERVFAIL, NOTIMP or REFUSED: another upstream may know better.
    case unwilling
    case truncated
    case usable

    /// - Parameters:
    ///   - query: the client's message, whose question must come back byte for byte, the case of letters included.
    ///   - id: the id that the message was sent with.
    init(_ reply: Span<UInt8>, to query: Span<UInt8>, questionEnd: Int, id: UInt16) {
        let fixed = Wire.Flag.response | Wire.Flag.opcodeMask
        guard reply.u16(at: 0) == id, let flags = reply.u16(at: 2), flags & fixed == Wire.Flag.response,
            let questions = reply.u16(at: 4), reply.count >= Wire.headerLength
        else {
            self = .foreign
            return
        }
        let rcode = Rcode(rawValue: flags & 0xf)
        if questions == 0, rcode != .noError, reply.count == Wire.headerLength {
            self = .headerOnly
            return
        }
        guard questions == 1, reply.count >= questionEnd, query.count >= questionEnd else {
            self = .foreign
            return
        }
        for offset in Wire.headerLength..<questionEnd where reply[offset] != query[offset] {
            self = .foreign
            return
        }
        switch rcode {
        case .serverFailure, .notImplemented, .refused: self = .unwilling
        default: self = flags & Wire.Flag.truncated != 0 ? .truncated : .usable
        }
    }
}

/// SplitMix64: short, seeded by the owner. Forgery is held off by the kernel's random source port as well as the id.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
