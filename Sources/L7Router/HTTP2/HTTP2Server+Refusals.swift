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
        context.notes.clear()
        if let text { context.notes.setRequest(text) }
        let began = blockStream == nil ? loop.nowNanoseconds : blockBegan
        count(reason, began: began, octets: text?.count ?? 0, context.notes)
    }

    /// A whole head whose stream was reset for what came behind it, before anybody served it.
    ///
    /// - Parameter notes: of a head that is at fault.
    func count(head: UnsafeRawBufferPointer, _ notes: ExchangeNotes?) {
        context.notes.clear()
        if case .complete = context.requestHead.parse(head, limits: HTTP2Stream.ownLimits, fields: &context.fields),
            let base = head.baseAddress
        {
            context.notes.set(.method, context.requestHead.methodRange.bytes(in: base))
            context.notes.set(.host, context.requestHead.authority.bytes(in: base))
            context.notes.set(.target, context.requestHead.target.bytes(in: base))
        }
        count(.requestError, began: loop.nowNanoseconds, octets: head.count, notes ?? context.notes)
    }

    private func count(_ reason: EndReason, began: UInt64, octets: Int, _ notes: ExchangeNotes) {
        worker.counters.requests += 1
        worker.counters.malformedRequests += 1
        guard let log = worker.accessLog else { return }
        var entry = AccessEntry(
            peer: origin.source, client: origin.source.ip, version: .http2, status: 0,
            endNanoseconds: MonotonicClock.nowNanoseconds(), reason: reason)
        entry.times.headBegan = began
        entry.bytesIn = UInt64(octets)
        log.append(entry, notes)
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
