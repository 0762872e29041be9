/// Why a message was refused. The status is what a client gets for a request of this kind.
public enum MessageError: UInt8, Error, Sendable, CaseIterable {
    case badRequestLine
    case badMethod
    case badTarget
    case targetTooLong
    case badVersion
    case unsupportedVersion
    case badStatusLine
    case bareLineFeed
    case obsoleteFold
    case badFieldName
    case badFieldValue
    case tooManyFields
    case headTooLarge
    case badContentLength
    case repeatedContentLength
    case lengthAndTransferEncoding
    case badTransferEncoding
    case unknownTransferEncoding
    case transferEncodingInHTTP10
    case missingHost
    case repeatedHost
    case badHost
    case unsupportedMethod
    case unsupportedTunnel
    case badWebSocketKey
    case unknownExpectation
    case badChunkSize
    case badChunkEnd
    case badTrailer
    case bodyOnUpgrade

    public var status: Int {
        switch self {
        case .targetTooLong: 414
        case .tooManyFields, .headTooLarge: 431
        case .unsupportedVersion: 505
        case .unknownTransferEncoding, .unsupportedMethod, .unsupportedTunnel: 501
        case .unknownExpectation: 417
        default: 400
        }
    }

    /// For logs and the `details` of Proxy-Status: words with spaces, no quotes.
    public var reason: StaticString {
        switch self {
        case .badRequestLine: "malformed request line"
        case .badMethod: "malformed method"
        case .badTarget: "malformed request target"
        case .targetTooLong: "request target too long"
        case .badVersion: "malformed HTTP version"
        case .unsupportedVersion: "unsupported HTTP version"
        case .badStatusLine: "malformed status line"
        case .bareLineFeed: "line feed without carriage return"
        case .obsoleteFold: "folded header line"
        case .badFieldName: "malformed header name"
        case .badFieldValue: "control character in header value"
        case .tooManyFields: "too many header fields"
        case .headTooLarge: "header section too large"
        case .badContentLength: "malformed Content-Length"
        case .repeatedContentLength: "repeated Content-Length"
        case .lengthAndTransferEncoding: "Content-Length with Transfer-Encoding"
        case .badTransferEncoding: "malformed Transfer-Encoding"
        case .unknownTransferEncoding: "unknown Transfer-Encoding"
        case .transferEncodingInHTTP10: "Transfer-Encoding in HTTP/1.0"
        case .missingHost: "missing Host"
        case .repeatedHost: "repeated Host"
        case .badHost: "malformed Host"
        case .unsupportedMethod: "method not supported"
        case .unsupportedTunnel: "tunnel protocol not supported"
        case .badWebSocketKey: "malformed or missing Sec-WebSocket-Key"
        case .unknownExpectation: "unknown expectation"
        case .badChunkSize: "malformed chunk size"
        case .badChunkEnd: "malformed chunk end"
        case .badTrailer: "malformed trailer section"
        case .bodyOnUpgrade: "body on an upgrade request"
        }
    }
}
