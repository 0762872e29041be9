import COpenSSL

// Plain bytes into records, one or several for a call to the socket.

extension TLSLayer {
    /// Each record leaves by itself.
    func sendRecords(_ ssl: OpaquePointer, _ bytes: UnsafeRawBufferPointer, more: Bool) -> IOResult {
        guard let base = bytes.baseAddress else { return .count(0) }
        var sent = 0
        while sent < bytes.count {
            moreFollows = more || bytes.count - sent > Self.recordBytes
            var count = 0
            guard SSL_write_ex(ssl, base + sent, bytes.count - sent, &count) != 1 else {
                sent += count
                continue
            }
            switch trouble(ssl) {
            case .blocked: return sent > 0 ? .count(sent) : .wouldBlock
            case .ended: return .failed(SystemError.connectionReset)
            case .failed(let code): return .failed(code)
            }
        }
        return .count(sent)
    }

    /// As many records as there is room for leave in one call. Where the socket does not take all of them, the last one
    /// counts as not sent until it is gone: whoever sends comes back with its bytes then.
    func sendGathered(
        _ ssl: OpaquePointer, _ first: UnsafeRawBufferPointer, _ rest: UnsafeRawBufferPointer, more: Bool
    ) -> IOResult {
        let total = first.count + rest.count
        var sent = 0
        while sent < total {
            var last = 0
            while sent < total, gather.hasRoomForRecord {
                let part = sent < first.count ? first[sent...] : rest[(sent - first.count)...]
                guard SSL_write_ex(ssl, UnsafeRawBufferPointer(rebasing: part).baseAddress, part.count, &last) != 1
                else {
                    sent += last
                    continue
                }
                last = 0
                guard case .blocked = trouble(ssl) else { return sendingFailed(0) }
                break
            }
            switch gather.flush(socket, more: more || sent < total) {
            case .count: guard last > 0 else { return sentInPart(sent) }
            case .wouldBlock:
                gather.wait(withholding: last, engine.buffers)
                return sent > last ? .count(sent - last) : .wouldBlock
            case .failed(let code): return sendingFailed(code)
            }
        }
        gather.close(engine.buffers)
        return .count(sent)
    }

    private func sentInPart(_ sent: Int) -> IOResult {
        gather.close(engine.buffers)
        return sent > 0 ? .count(sent) : .wouldBlock
    }

    private func sendingFailed(_ code: Int32) -> IOResult {
        gather.close(engine.buffers)
        isBroken = true
        if code != 0 { ioError = code }
        return .failed(ioError != 0 ? ioError : SystemError.brokenProtocol)
    }

    /// Sends what was left of the call before, then what is new in this one.
    func resumeSending(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, more: Bool
    ) -> IOResult {
        switch gather.flush(socket, more: more) {
        case .count: break
        case .wouldBlock: return .wouldBlock
        case .failed(let code): return sendingFailed(code)
        }
        let gone = gather.takeWithheld(upTo: first.count + second.count)
        gather.close(engine.buffers)
        let head = UnsafeRawBufferPointer(rebasing: first[min(gone, first.count)...])
        let tail = UnsafeRawBufferPointer(rebasing: second[max(gone - first.count, 0)...])
        if head.isEmpty && tail.isEmpty { return .count(gone) }
        return Self.adding(gone, to: send(head, tail, more: more))
    }

    static func adding(_ sent: Int, to result: IOResult) -> IOResult {
        switch result {
        case .count(let further): return .count(sent + further)
        case .wouldBlock, .failed: return sent > 0 ? .count(sent) : result
        }
    }
}
