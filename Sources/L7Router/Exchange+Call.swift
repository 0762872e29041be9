import HTTPCodec
import Reactor

// gRPC calls that end before their time.

extension Exchange {
    /// Ends a gRPC call whose messages have begun with a status in trailers, so that the caller hears a reason of gRPC
    /// and not of HTTP/2. `false`: it is no such call, or part of what was read is not handed on yet; only a reset then
    /// keeps the part from being taken for the whole.
    func endCall(_ cause: EndReason) -> Bool {
        guard isGRPC, response == .body, responseIsChunked, let client, client.isStream, client.output.isEmpty,
            instance?.input.hasRun != true, let failure = callFailure(cause),
            var writer = client.output.writer(buffers)
        else { return false }
        dropInstance()
        writer.append("0\r\n")
        failure.writeGRPCStatus(to: &writer)
        writer.append("\r\n")
        client.output.commit(writer)
        responseBody = BodyDecoder(.none)
        pumpResponse(client, nil)
        return true
    }

    private func callFailure(_ cause: EndReason) -> ErrorResponse? {
        switch cause {
        case .connectionReadTimeout: isPastCallDeadline ? .deadline : .silent
        case .responseIncomplete: .incomplete
        case .protocolError: .malformed
        case .internalResponse: .overloaded
        case .clientTimeout: isPastCallDeadline ? .deadline : .requestTimeout
        default: nil
        }
    }

    /// The connection to the instance was not made in time: the instance's, or the caller's.
    func dialTimedOut() {
        guard isPastCallDeadline else { return dialFailed(SystemError("connect", SystemError.timedOut)) }
        worker.counters.timeouts += 1
        refuse(.deadline)
    }
}
