import HTTPCodec
import Reactor

/// An answer that meshd makes itself. Each names its cause in `Proxy-Status` (RFC 9209).
struct ErrorResponse {
    let status: Int
    let cause: EndReason
    let details: StaticString

    private init(_ status: Int, _ cause: EndReason, _ details: StaticString) {
        self.status = status
        self.cause = cause
        self.details = details
    }

    /// A request that cannot be understood in one way only.
    init(_ error: MessageError) { self.init(error.status, .requestError, error.reason) }

    static let requestTimeout = ErrorResponse(408, .clientTimeout, "request not complete in time")
    static let misdirected = ErrorResponse(421, .requestError, "TLS sessions for this host do not end here")
    static let overloaded = ErrorResponse(503, .internalResponse, "out of buffers")
    static let noService = ErrorResponse(503, .destinationUnavailable, "the service is gone")
    static let noInstance = ErrorResponse(503, .destinationUnavailable, "no healthy instance")
    static let connectionRefused = ErrorResponse(502, .connectionRefused, "no instance could be reached")
    static let connectionTimeout = ErrorResponse(504, .connectionTimeout, "no instance answered the connection")
    static let connectionFailed = ErrorResponse(502, .destinationUnroutable, "no instance could be reached")
    static let distrusted = ErrorResponse(
        502, .certificateError, "the instance's certificate is not trusted or has another name")
    static let tlsFailed = ErrorResponse(502, .tlsError, "the handshake with the instance failed")
    static let noTLS = ErrorResponse(500, .configurationError, "the authorities for the service cannot be used")
    static let connectionTerminated = ErrorResponse(502, .connectionTerminated, "the instance closed before its answer")
    static let responseTimeout = ErrorResponse(504, .responseTimeout, "the instance did not answer in time")
    static let deadline = ErrorResponse(504, .responseTimeout, "the caller's deadline has passed")
    static let silent = ErrorResponse(504, .connectionReadTimeout, "the instance did not go on in time")
    static let incomplete = ErrorResponse(502, .responseIncomplete, "the instance closed within its response")
    static let malformed = ErrorResponse(502, .protocolError, "the response is malformed")
    static let badUpgrade = ErrorResponse(502, .upgradeFailed, "the instance upgraded unasked")
    static let notUpgraded = ErrorResponse(502, .upgradeFailed, "the instance did not upgrade")
    static let badAccept = ErrorResponse(502, .upgradeFailed, "the instance's Sec-WebSocket-Accept is wrong")
    static let noTunnels = ErrorResponse(502, .upgradeFailed, "the instance takes no WebSocket over HTTP/2")
    static let noStreams = ErrorResponse(503, .connectionLimit, "the instance has no stream for another tunnel")
    static let tooManyInterim = ErrorResponse(502, .protocolError, "too many interim responses")

    static func unknownHost(_ status: Int) -> ErrorResponse {
        ErrorResponse(status, .destinationNotFound, "no route for this host and path")
    }

    /// meshd itself could not dial.
    static func shortage(_ shortage: Shortage) -> ErrorResponse {
        let details: StaticString =
            switch shortage {
            case .descriptors: "out of descriptors"
            case .localPorts: "out of local ports"
            case .memory: "out of kernel memory"
            }
        return ErrorResponse(503, .internalError, details)
    }

    static func badResponse(_ error: MessageError) -> ErrorResponse {
        ErrorResponse(502, .protocolError, error.reason)
    }

    var reason: StaticString {
        switch status {
        case 400: "Bad Request"
        case 404: "Not Found"
        case 408: "Request Timeout"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: "HTTP Version Not Supported"
        }
    }

    struct Rendering {
        var closes: Bool
        /// The request was HEAD: the length is told, the body is not sent.
        var isHead: Bool
        /// The request was a gRPC call: the failure is told as gRPC tells it, in a head that is all there is.
        var isGRPC = false
        /// Told to the client where it is not empty.
        var requestID = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// "STATUS REASON: DETAILS\n"
    var bodyLength: Int { 4 + reason.utf8CodeUnitCount + 2 + details.utf8CodeUnitCount + 1 }

    func write(to writer: inout HeadWriter, _ rendering: Rendering) {
        if rendering.isGRPC { return writeGRPC(to: &writer, rendering) }
        writer.append("HTTP/1.1 ")
        writer.append(decimal: UInt64(status))
        writer.append(" ")
        writer.append(reason)
        writer.append("\r\nContent-Type: text/plain\r\nProxy-Status: meshd; error=")
        writer.append(cause.proxyStatus)
        writer.append("; details=\"")
        writer.append(details)
        writer.append("\"\r\nContent-Length: ")
        writer.append(decimal: UInt64(bodyLength))
        writer.append("\r\n")
        if !rendering.requestID.isEmpty { writer.appendField("X-Request-ID: ", rendering.requestID) }
        writer.append(rendering.closes ? "Connection: close\r\n\r\n" : "\r\n")
        guard !rendering.isHead else { return }
        writer.append(decimal: UInt64(status))
        writer.append(" ")
        writer.append(reason)
        writer.append(": ")
        writer.append(details)
        writer.append("\n")
    }
}

extension ErrorResponse {
    private func writeGRPC(to writer: inout HeadWriter, _ rendering: Rendering) {
        writer.append("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n")
        writeGRPCStatus(to: &writer)
        writer.append("Proxy-Status: meshd; error=")
        writer.append(cause.proxyStatus)
        writer.append("; details=\"")
        writer.append(details)
        writer.append("\"\r\nContent-Length: 0\r\n")
        if !rendering.requestID.isEmpty { writer.appendField("X-Request-ID: ", rendering.requestID) }
        writer.append(rendering.closes ? "Connection: close\r\n\r\n" : "\r\n")
    }

    /// The two fields that tell of a call's end, in a head or in trailers.
    func writeGRPCStatus(to writer: inout HeadWriter) {
        writer.append("grpc-status: ")
        writer.append(decimal: UInt64(GRPC.status(forHTTP: status)))
        // Details are visible ASCII without a percent sign: as they are, they are already encoded.
        writer.append("\r\ngrpc-message: ")
        writer.append(details)
        writer.append("\r\n")
    }
}

/// The answer of a worker that has no buffer even for an answer: constant bytes, with the end of the connection.
private enum BufferlessAnswer {
    static let text: StaticString = """
        HTTP/1.1 503 Service Unavailable\r
        Content-Type: text/plain\r
        Proxy-Status: meshd; error=proxy_internal_response; details="out of buffers"\r
        Content-Length: 40\r
        Connection: close\r
        \r
        503 Service Unavailable: out of buffers

        """
    static let bodyCount = 40
}

extension OutputBuffer {
    /// Renders the answer.
    ///
    /// - Returns: the answer that the client gets: this one, or, where no buffer can be had, `overloaded`, which ends
    ///   the connection. `nil` where there is no room behind what already waits.
    mutating func append(
        _ response: ErrorResponse, _ rendering: ErrorResponse.Rendering, _ pool: BufferPool
    ) -> (answer: ErrorResponse, closes: Bool)? {
        guard var writer = writer(pool) else {
            let text = BufferlessAnswer.text
            show(text, count: text.utf8CodeUnitCount - (rendering.isHead ? BufferlessAnswer.bodyCount : 0))
            return (.overloaded, true)
        }
        response.write(to: &writer, rendering)
        guard !writer.hasOverflowed else { return nil }
        commit(writer)
        return (response, rendering.closes)
    }
}
