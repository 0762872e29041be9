import CNGHTTP2
import HTTPCodec
import NetAddress
import Reactor

// Requests that never become an exchange, because HTTP/2 itself refuses them: each is a line of the access log all the
// same.

extension HTTP2Server {
    /// A frame that breaks the protocol: its stream is reset, or the connection ends.
    func note(refused frame: UnsafePointer<nghttp2_frame>) {
        guard UInt32(frame.pointee.hd.type) == NGHTTP2_HEADERS.rawValue else { return }
        // Of trailers the exchange hears, when its stream is reset.
        if isTrailerBlock, blockStream != nil { return dropBlock() }
        guard frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST else { return }
        if blockStream == nil { count(.requestError) } else { refuseHead(.requestError) }
    }

    /// The head under way, if there is one, is given up; its stream is reset or the connection ends.
    func refuseHead(_ reason: EndReason) {
        guard blockStream != nil else { return }
        if !isTrailerBlock { count(reason) }
        dropBlock()
    }

    private func count(_ reason: EndReason) {
        worker.counters.requests += 1
        worker.counters.malformedRequests += 1
        guard let log = worker.accessLog else { return }
        var entry = AccessEntry(
            peer: origin.source, client: origin.source.ip, version: .http2, status: 0,
            endNanoseconds: MonotonicClock.nowNanoseconds(), reason: reason)
        entry.times.headBegan = blockStream == nil ? loop.nowNanoseconds : blockBegan
        context.notes.clear()
        if let text {
            entry.bytesIn = UInt64(text.count)
            context.notes.setRequest(text)
        }
        log.append(entry, context.notes)
    }
}

extension ExchangeNotes {
    /// What came of a request's head.
    mutating func setRequest(_ text: RequestText) {
        let seen = text.seen
        set(.method, seen.method)
        set(.host, seen.authority)
        set(.target, seen.path)
    }
}
