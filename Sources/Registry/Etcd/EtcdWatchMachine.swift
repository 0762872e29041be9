/// How a prefix of etcd is read and then watched, whatever becomes of connections and members. Pure: what happened
/// comes in, what to do goes out.
///
/// It reads the prefix in pages at one revision, then watches from the revision behind. A watch that ends is taken up
/// where it stopped, on the next member; only where etcd no longer has those revisions, or is another store than
/// before, everything is read again. A store that was set back to an older state and written on looks like the same
/// one: where the last change is known, a watch is taken up with it and not behind it, and must tell it again. What
/// a watch delivers twice is dropped.
struct EtcdWatchMachine {
    enum Event {
        case start
        case page(EtcdPage)
        case readFailed(EtcdFailure)
        case watch(EtcdWatchAnswer)
        /// `nil`: etcd ended the stream in order.
        case watchEnded(EtcdFailure?)
        case checked
        case checkFailed(EtcdFailure)
        case timer
        /// The caller wants everything read again.
        case reread
    }

    enum Action: Equatable {
        /// Forget the pages so far and read from the start.
        case begin
        case read(from: [UInt8], revision: Int64, limit: Int)
        case add([EtcdKeyValue])
        /// The pages are whole.
        case commit
        case watch(from: Int64)
        case closeWatch
        case check
        case changes([EtcdChange])
        case failover
        case forgetToken
        /// One timer; a new one replaces it.
        case timer(nanoseconds: UInt64)
        /// What is known is what etcd has now.
        case heard
        case failing(EtcdFailure)
    }

    private enum State: Equatable {
        case idle
        case reading(revision: Int64)
        /// A watch is asked for and not confirmed.
        case opening
        case watching
        /// A member is asked whether it still answers.
        case checking
        case waiting
    }

    /// etcd looks at every key behind a page's first to make it, so few large pages cost it far less than many small.
    static let pageLimit = 4_000
    /// Between two questions whether the member still answers.
    static let checkNanoseconds: UInt64 = 4_000_000_000

    private let firstKey: [UInt8]
    private var state = State.idle
    private var needsRead = true
    private var cluster = ""
    /// Everything up to here has been told; what comes again is dropped.
    private(set) var applied: Int64 = 0
    /// The revision a watch is taken up behind: as `applied`, or further where etcd said that nothing has changed.
    private var resumable: Int64 = 0
    /// The first change of the newest revision that a watch has told.
    private var newest: EtcdChange?
    /// What the watch under way has to tell before all else.
    private var expected: EtcdChange?
    private var limit = EtcdWatchMachine.pageLimit
    private var backoff = Backoff()
    /// Watches cancelled in a row before any of them told something.
    private var cancels = 0

    init(first: [UInt8]) { firstKey = first }

    mutating func handle(_ event: Event, random: UInt64) -> [Action] {
        switch event {
        case .start: return state == .idle ? begin() : []
        case .page(let page): return took(page, random)
        case .readFailed(let failure): return readFailed(failure, random)
        case .watch(let answer): return watched(answer, random)
        case .watchEnded(let failure): return watchEnded(failure, random)
        case .checked:
            guard state == .checking else { return [] }
            state = .watching
            settle()
            return [.heard, checkTimer(random)]
        case .checkFailed(let failure):
            guard state == .checking else { return [] }
            return [.closeWatch] + fail(failure, random)
        case .timer: return timer(random)
        case .reread:
            guard state != .idle else { return [] }
            return (isStreaming ? [.closeWatch] : []) + begin()
        }
    }

    private var isStreaming: Bool { state == .opening || state == .watching || state == .checking }

    private func checkTimer(_ random: UInt64) -> Action {
        .timer(nanoseconds: Self.checkNanoseconds * 3 / 4 + random % (Self.checkNanoseconds / 2))
    }

    // MARK: - Reading

    private mutating func begin() -> [Action] {
        needsRead = true
        state = .reading(revision: 0)
        return [.begin, .read(from: firstKey, revision: 0, limit: limit)]
    }

    private mutating func took(_ page: EtcdPage, _ random: UInt64) -> [Action] {
        guard case .reading(let reading) = state else { return [] }
        let revision = reading == 0 ? page.revision : reading
        guard page.hasMore else {
            needsRead = false
            cluster = page.cluster
            applied = revision
            resumable = revision
            newest = nil
            return [.add(page.pairs), .commit, .heard] + open(random)
        }
        guard !page.lastKey.isEmpty else { return fail(.malformed("a page without keys"), random) }
        state = .reading(revision: revision)
        // Asked for first: etcd makes the next page while this one is taken in.
        return [.read(from: page.lastKey + [0], revision: revision, limit: limit), .add(page.pairs)]
    }

    private mutating func readFailed(_ failure: EtcdFailure, _ random: UInt64) -> [Action] {
        guard case .reading = state else { return [] }
        if failure == .tooLarge, limit > 1 {
            limit = max(limit / 8, 1)
            return begin()
        }
        return fail(failure, random)
    }

    // MARK: - Watching

    private mutating func open(_ random: UInt64) -> [Action] {
        state = .opening
        // Nothing was told for so long that the change may be compacted away: progress counts.
        expected = newest?.modRevision == resumable ? newest : nil
        return [.watch(from: expected?.modRevision ?? resumable + 1), checkTimer(random)]
    }

    private mutating func watched(_ answer: EtcdWatchAnswer, _ random: UInt64) -> [Action] {
        guard isStreaming else { return [] }
        if answer.isCancelled { return cancelled(answer, random) }
        if answer.isCreated {
            // Another store, or one that was set back: its revisions are no continuation of ours. A member that only
            // lags behind looks the same; reading again then changes nothing.
            guard answer.cluster == cluster, answer.revision >= resumable else { return [.closeWatch] + begin() }
            // A watch that is refused is confirmed first, too.
            if cancels == 0 { backoff.succeeded() }
            if state == .opening { state = .watching }
        }
        if let expected, !answer.changes.isEmpty {
            guard answer.changes.contains(expected) else { return [.closeWatch] + begin() }
            self.expected = nil
        }
        let news = answer.changes.filter { $0.modRevision > applied }
        if let last = news.last?.modRevision, last != newest?.modRevision {
            newest = news.first { $0.modRevision == last }
        }
        if !answer.isFragment, let last = answer.changes.map(\.modRevision).max() { applied = max(applied, last) }
        resumable = max(resumable, applied)
        // A notice of progress: what it names has been delivered.
        if answer.changes.isEmpty, !answer.isCreated { resumable = max(resumable, answer.revision) }
        if !answer.isCreated { settle() }
        return (news.isEmpty ? [] : [.changes(news)]) + [.heard]
    }

    private mutating func settle() {
        cancels = 0
        backoff.succeeded()
    }

    private mutating func cancelled(_ answer: EtcdWatchAnswer, _ random: UInt64) -> [Action] {
        cancels += 1
        if answer.compactRevision > 0 {
            // At once the first time: what was missed is missing until it is read.
            if cancels == 1 { return [.closeWatch] + begin() }
            needsRead = true
        }
        return [.closeWatch] + fail(.refused(code: 0, message: "watch cancelled: \(answer.reason)"), random)
    }

    private mutating func watchEnded(_ failure: EtcdFailure?, _ random: UInt64) -> [Action] {
        guard isStreaming else { return [] }
        // What is too large for one line comes in pages.
        if failure == .tooLarge || failure?.isCompacted == true { needsRead = true }
        return fail(failure ?? .unreachable("the watch was ended"), random)
    }

    // MARK: - Failures

    private mutating func fail(_ failure: EtcdFailure, _ random: UInt64) -> [Action] {
        state = .waiting
        // A refusal may be the member's (no leader) as well as the cluster's; a token is void on all of them.
        return [.failing(failure), .forgetToken, .failover, .timer(nanoseconds: backoff.next(random: random))]
    }

    private mutating func timer(_ random: UInt64) -> [Action] {
        switch state {
        case .waiting: return needsRead ? begin() : open(random)
        case .watching:
            state = .checking
            return [.check]
        case .opening: return [.closeWatch] + fail(.unreachable("the watch does not begin"), random)
        case .idle, .reading, .checking: return []
        }
    }
}
