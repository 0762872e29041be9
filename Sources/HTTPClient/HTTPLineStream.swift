public import Reactor

/// One request whose response is a stream of lines, told while they come: an event stream, newline-delimited JSON.
///
/// Lives on one loop, which keeps it until it has ended. It holds the present line and nothing more.
public final class HTTPLineStream {
    public enum Event: Equatable, Sendable {
        /// The response's head is there; 200...599. The lines of another status than 200 are its body all the same.
        case opened(status: Int)
        /// Without its line end; empty lines are left out.
        case line([UInt8])
        /// The last event. `nil`: the server ended the response in order; a line it did not end has been told.
        case ended(FetchFailure?)
    }

    private var fetch: HTTPFetch?
    private var splitter: LineSplitter
    private var told: ((Event) -> Void)?
    private var isOpened = false

    private init(_ lineLimitBytes: Int, _ told: @escaping (Event) -> Void) {
        splitter = LineSplitter(limit: lineLimitBytes)
        self.told = told
    }

    /// Begins to dial. The request's timeout is for the response's head, its body limit is not used.
    ///
    /// - Parameters:
    ///   - lineLimitBytes: the longest line; a longer one ends the stream with `bodyTooLarge`.
    ///   - told: called on the loop, never from within `start`, and not again after `cancel`.
    public static func start(
        _ request: FetchRequest, lineLimitBytes: Int, on loop: EventLoop, told: @escaping (Event) -> Void
    ) -> HTTPLineStream {
        var request = request
        request.bodyLimitBytes = .max
        request.keepsBody = true
        let stream = HTTPLineStream(lineLimitBytes, told)
        // The fetch keeps the stream until it ends.
        stream.fetch = HTTPFetch.stream(
            request, on: loop, piece: { stream.received($0, $1) }, completion: { stream.completed($0) })
        return stream
    }

    /// Ends the stream without a further event. Harmless when it has ended.
    public func cancel() {
        told = nil
        fetch?.cancel()
        fetch = nil
    }

    private func received(_ status: Int, _ bytes: [UInt8]) {
        open(status)
        split(bytes)
    }

    private func completed(_ result: FetchResult) {
        switch result {
        case .failed(let failure): end(failure)
        case .response(let status, let rest):
            open(status)
            split(rest)
            if let line = splitter.rest() { told?(.line(line)) }
            end(nil)
        }
    }

    private func open(_ status: Int) {
        guard !isOpened else { return }
        isOpened = true
        told?(.opened(status: status))
    }

    private func split(_ bytes: [UInt8]) {
        var rest = bytes[...]
        // A line's reader may have had enough.
        while told != nil {
            switch splitter.next(&rest) {
            case .line(let line): told?(.line(line))
            case .needsMore: return
            case .tooLong:
                fetch?.cancel()
                return end(.bodyTooLarge)
            }
        }
    }

    private func end(_ failure: FetchFailure?) {
        let told = told
        self.told = nil
        fetch = nil
        told?(.ended(failure))
    }
}

/// Cuts a stream of octets into lines that end with a line feed. Pure.
struct LineSplitter {
    enum Step: Equatable {
        case line([UInt8])
        case needsMore
        case tooLong
    }

    private let limit: Int
    private var line: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    /// The next line that is not empty; takes from the front of `bytes` what it is made of.
    mutating func next(_ bytes: inout ArraySlice<UInt8>) -> Step {
        while !bytes.isEmpty {
            let end = bytes.firstIndex(of: 0x0a)
            let part = bytes[..<(end ?? bytes.endIndex)]
            guard part.count <= limit - line.count else { return .tooLong }
            line += part
            bytes = bytes[(end.map { $0 + 1 } ?? bytes.endIndex)...]
            guard end != nil else { return .needsMore }
            if let line = rest() { return .line(line) }
        }
        return .needsMore
    }

    /// What has come of a line that is not ended; `nil` where that is nothing.
    mutating func rest() -> [UInt8]? {
        if line.last == 0x0d { line.removeLast() }
        guard !line.isEmpty else { return nil }
        let taken = line
        line = []
        return taken
    }
}
