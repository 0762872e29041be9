import HTTPCodec
import MeshCore
import Reactor

// What the access log says of an exchange. Nothing of this is done without a log, but for a few additions.

extension Exchange {
    /// Keeps what the head says, as long as it is there.
    func beginNotes(_ head: RequestHead, _ base: UnsafeRawPointer, _ headLength: Int, _ began: UInt64) {
        times.headBegan = began
        times.parsed = MonotonicClock.nowNanoseconds()
        bytesIn = UInt64(headLength)
        notes.set(.method, head.methodRange.bytes(in: base))
        notes.set(.host, head.authority.bytes(in: base))
        notes.set(.target, head.target.bytes(in: base))
        let table = worker.trailers.fields
        for index in 0..<table.count {
            switch table.fields[index].known {
            case .userAgent: notes.set(.userAgent, table.fields[index].value.bytes(in: base))
            case .referer: notes.set(.referer, table.fields[index].value.bytes(in: base))
            default: break
            }
        }
    }

    func accessEntry(_ client: ClientConnection) -> AccessEntry {
        AccessEntry(
            peer: client.peer, client: clientAddress,
            version: client.isStream ? .http2 : clientIsHTTP10 ? .http10 : .http11,
            status: status, bytesIn: bytesIn,
            bytesOut: bytesOut, bodyBytesOut: bytesOut > headBytesOut ? bytesOut - headBytesOut : 0, times: times,
            endNanoseconds: MonotonicClock.nowNanoseconds(), instance: endpoint?.address, retries: max(picks - 1, 0),
            reason: reason ?? .ok)
    }

    /// Decodes what came of the request's body, and counts it.
    func decodeRequest(_ client: ClientConnection, asChunks: Bool) -> Pump.Decoded {
        let before = client.input.raw.count
        let decoded = client.input.decode(&requestBody, asChunks: asChunks, &worker.trailers)
        bytesIn &+= UInt64(max(before - client.input.raw.count, 0))
        return decoded
    }

    /// Sends what waits in the client's output, and counts it.
    func flushClientOutput(_ client: ClientConnection) -> OutputBuffer.Flush {
        // Not counted in place: what goes out may be the end of other streams, which count, too.
        var sent: UInt64 = 0
        let flushed = client.output.flush(client.transport, buffers, &sent)
        worker.counters.bytesToClients &+= sent
        bytesOut &+= sent
        return flushed
    }
}
